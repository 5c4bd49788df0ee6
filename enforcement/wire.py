"""One transaction of the group commit on the wire: all that must be known in one round trip, all writes in another.

On a machine that has other things to do each round trip is a wait for three processes to be scheduled, and counters
stay locked meanwhile. SQLite has no wire: there the same is done statement by statement.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import psycopg
from django.db import connection, transaction

from enforcement import attempts, caps
from enforcement.attempts import Given, Name
from enforcement.budgets import Place
from evidence import journal, kept
from evidence.journal import Entry
from evidence.models import KeptArguments

LOCK_TIMEOUT = "1s"


class Seen(NamedTuple):
    """What the transaction found: its time, the epochs, attempts answered before, counters (locked until its end)."""

    now: datetime
    epochs: Mapping[int, int]
    given: Mapping[Name, Given]
    used: Mapping[Place, int]


class Wanted(NamedTuple):
    """What it is asked to find. `places` maps each counter to the seconds of its window."""

    tenant_ids: Sequence[int]
    names: Sequence[Name]
    places: Mapping[Place, int]


class Writes(NamedTuple):
    """What it leaves behind. `used` are the counters that changed."""

    entries: Sequence[Entry]
    given: Sequence[tuple[Name, Given]]
    used: Mapping[Place, int]
    kept: Sequence[KeptArguments]


class Transaction(Protocol):
    """Look once, write once; leaving the context commits, or rolls back if it is left by an exception."""

    def look(self, wanted: Wanted) -> Seen:
        """Find what is wanted, and lock its counters in sorted order."""

    def write(self, writes: Writes) -> None:
        """Leave it behind."""


@contextmanager
def opened() -> Iterator[Transaction]:
    """A transaction on this thread's connection. Raises Django's database errors."""
    connection.ensure_connection()
    if connection.vendor != "postgresql":
        with transaction.atomic(durable=True):
            yield _Statements()
        return
    raw = connection.connection
    with connection.wrap_database_errors:
        try:
            with raw.pipeline() as pipeline:
                wire = _Wire(raw, pipeline.sync)
                yield wire
                wire.execute("COMMIT")
        except BaseException:
            if not raw.closed:
                raw.rollback()
            raise


_BEGIN = "BEGIN"
_LOOK = (
    "SELECT id, epoch, now(), set_config('lock_timeout', %s, true) FROM registry_tenant WHERE id = ANY(%s::bigint[])"
)
_FIND = (
    "SELECT credential_id, attempt, action_digest, answer FROM enforcement_attempt"
    " WHERE (credential_id, attempt) IN (SELECT * FROM unnest(%s::bigint[], %s::text[]))"
)
_WINDOW = "to_timestamp(floor(extract(epoch FROM now()))::bigint / seconds * seconds)"
_LOCK = (
    "SELECT counter.tenant_id, counter.key, counter.used"  # noqa: S608 - an expression of our own
    " FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS wanted (tenant_id, key, seconds)"
    " JOIN enforcement_counter AS counter ON counter.tenant_id = wanted.tenant_id AND counter.key = wanted.key"
    f' AND counter."window" = {_WINDOW}'
    ' ORDER BY counter.tenant_id, counter.key, counter."window" FOR UPDATE OF counter'
)
_MAKE = (
    'INSERT INTO enforcement_counter (tenant_id, key, "window", used)'  # noqa: S608 - an expression of our own
    f" SELECT tenant_id, key, {_WINDOW}, 0"
    " FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS wanted (tenant_id, key, seconds)"
    ' ORDER BY tenant_id, key ON CONFLICT (tenant_id, key, "window") DO NOTHING'
)
_STORE = (
    "UPDATE enforcement_counter AS counter SET used = wanted.used"  # noqa: S608 - an expression of our own
    " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[]) AS wanted (tenant_id, key, seconds, used)"
    " WHERE counter.tenant_id = wanted.tenant_id AND counter.key = wanted.key"
    f' AND counter."window" = {_WINDOW}'
)


class _Wire:
    """PostgreSQL in pipeline mode. `now()` is the time of BEGIN, the same in every statement of a transaction."""

    def __init__(self, raw: "psycopg.Connection[Any]", sync: Callable[[], None]) -> None:
        self._raw = raw
        self._sync = sync
        self._places: Mapping[Place, int] = {}

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> "psycopg.Cursor[Any]":
        """Send; what comes back can be fetched after the next sync. Binary both ways."""
        cursor = psycopg.Cursor(self._raw)
        return cursor.execute(sql, parameters, binary=True)

    def look(self, wanted: Wanted) -> Seen:
        self._places = wanted.places
        self.execute(_BEGIN)
        looked = self.execute(_LOOK, [LOCK_TIMEOUT, list(wanted.tenant_ids)])
        found = self.execute(_FIND, _columns(wanted.names)) if wanted.names else None
        locked = self._lock(wanted.places) if wanted.places else None
        self._sync()
        rows = looked.fetchall()
        return Seen(
            rows[0][2].astimezone(UTC),
            {row[0]: row[1] for row in rows},
            {(row[0], row[1]): Given(row[2], bytes(row[3])) for row in found.fetchall()} if found else {},
            self._used(locked) if locked else {},
        )

    def _lock(self, places: Mapping[Place, int]) -> "psycopg.Cursor[Any]":
        return self.execute(_LOCK, _columns([(*place, places[place]) for place in sorted(places)]))

    def _used(self, locked: "psycopg.Cursor[Any]") -> Mapping[Place, int]:
        """What each counter has used. One whose window is new is made first, and then locked like the others."""
        used = {(row[0], row[1]): row[2] for row in locked.fetchall()}
        if used.keys() == self._places.keys():
            return used
        missing = sorted(self._places.keys() - used.keys())
        self.execute(_MAKE, _columns([(*place, self._places[place]) for place in missing]))
        locked = self._lock(self._places)
        self._sync()
        return {(row[0], row[1]): row[2] for row in locked.fetchall()}

    def write(self, writes: Writes) -> None:
        if writes.used:
            rows = [(*place, self._places[place], writes.used[place]) for place in sorted(writes.used)]
            self.execute(_STORE, _columns(rows))
        with connection.cursor() as cursor:
            journal.insert_many(cursor, writes.entries)
            attempts.keep(cursor, writes.given)
            kept.insert_many(cursor, writes.kept)


class _Statements:
    """SQLite, one statement after the other: it has one writer, so there is nobody to lock out."""

    def look(self, wanted: Wanted) -> Seen:
        now, epochs = read_now(wanted.tenant_ids)
        with connection.cursor() as cursor:
            given = attempts.find(cursor, wanted.names)
            self._now, self._places = now, wanted.places
            return Seen(now, epochs, given, caps.locked(cursor, wanted.places, now))

    def write(self, writes: Writes) -> None:
        with connection.cursor() as cursor:
            caps.store(cursor, self._places, writes.used, self._now)
            journal.insert_many(cursor, writes.entries)
            attempts.keep(cursor, writes.given)
            kept.insert_many(cursor, writes.kept)


_NOW = (
    "SELECT id, epoch, clock_timestamp(), set_config('lock_timeout', %s, true)"
    " FROM registry_tenant WHERE id = ANY(%s::bigint[])"
)
_NOW_SQLITE = "SELECT id, epoch, strftime('%%Y-%%m-%%dT%%H:%%M:%%f', 'now') FROM registry_tenant WHERE id IN "


def read_now(tenant_ids: Sequence[int], *, lock_timeout: str = LOCK_TIMEOUT) -> tuple[datetime, Mapping[int, int]]:
    """The database's time and the epoch of each tenant; on PostgreSQL also sets how long a lock is waited for."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_NOW, [lock_timeout, list(tenant_ids)])
            rows = cursor.fetchall()
            return rows[0][2], {row[0]: row[1] for row in rows}
        cursor.execute(f"{_NOW_SQLITE}({', '.join(['%s'] * len(tenant_ids))})", list(tenant_ids))
        rows = cursor.fetchall()
        return datetime.fromisoformat(rows[0][2]).replace(tzinfo=UTC), {row[0]: row[1] for row in rows}


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
