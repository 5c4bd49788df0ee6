"""Work in, one row out: inserted in the caller's transaction, so that it exists exactly if the cause does."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from outbox import doorbell
from outbox.models import Job

_INSERT = (
    "INSERT INTO outbox_job (kind, tenant, payload, dedupe, state, run_at, attempts, max_attempts, lease, last_error,"
    " created_at) VALUES (%s, %s, %s, %s, 'ready', {run_at}, 0, %s, '', '', {now}) ON CONFLICT (dedupe) DO NOTHING"
)
_NOW = {"postgresql": "clock_timestamp()", "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')"}


def enqueue(
    kind: str,
    payload: Mapping[str, Any],
    *,
    run_at: datetime | None = None,
    dedupe: str | None = None,
    tenant: str = "",
    max_attempts: int = 12,
) -> None:
    """Add a job, due at `run_at` (default: at once, by the database's clock).

    With `dedupe`, a second enqueue of the same name is ignored for as long as the first row exists. Rings the
    doorbell after the commit; a lost ring costs at most one poll.
    """
    now = _NOW[connection.vendor]
    field = Job._meta.get_field("payload")  # noqa: SLF001  Django's public way to a field
    values: list[Any] = [kind, tenant, field.get_db_prep_save(dict(payload), connection), dedupe]
    due = [] if run_at is None else [connection.ops.adapt_datetimefield_value(run_at)]
    with connection.cursor() as cursor:
        sql = _INSERT.format(run_at=now if run_at is None else "%s", now=now)
        cursor.execute(sql, [*values, *due, max_attempts])
    transaction.on_commit(doorbell.ring)


Handler = Callable[[Mapping[str, Any]], None]
_handlers: dict[str, Handler] = {}


def handler(kind: str) -> Callable[[Handler], Handler]:
    """Register the function that does jobs of one kind: payload in, nothing out, safe to repeat."""

    def register(function: Handler) -> Handler:
        if kind in _handlers:
            raise KindTaken(kind)
        _handlers[kind] = function
        return function

    return register


_intervals: dict[str, timedelta] = {}


def every(kind: str, interval: timedelta) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register work that comes round by itself: its one row goes back to waiting after each run, and never dies."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        handler(kind)(lambda _: function())
        _intervals[kind] = interval
        return function

    return register


def interval_of(kind: str) -> timedelta | None:
    """How often this kind comes round; None for work that is done once."""
    return _intervals.get(kind)


def rounds() -> list[str]:
    """The kinds that come round, each of which is also the name of its one row."""
    return list(_intervals)


def begin_rounds() -> None:
    """Put in the row of each kind that comes round, where it is missing. Any process may, as often as it likes."""
    for kind in _intervals:
        enqueue(kind, {}, dedupe=kind)


def handler_of(kind: str) -> Handler:
    """The function for a kind. Raises UnknownKind."""
    try:
        return _handlers[kind]
    except KeyError:
        raise UnknownKind(f"no handler is registered for jobs of kind {kind!r}") from None


class KindTaken(Exception):
    """Two rooms registered the same kind."""


class UnknownKind(Exception):
    """A job's kind has no handler in this process: it is kept and tried again, for a newer process may have one."""
