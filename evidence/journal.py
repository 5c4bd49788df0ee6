"""Events in, journal entries out; many entries in, one INSERT out, in the transaction of what they record."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from django.db.backends.utils import CursorWrapper

from countersign.proof import digests, merkle, statement
from countersign.proof.events import Event


class Entry(NamedTuple):
    """One record before it is a row; its fields are the columns, in order. A tuple: thousands are made a second."""

    log: str
    event: str
    event_id: str
    thread: str
    n: int
    session: str
    transaction: str
    request: str
    recorded_at: datetime
    body: bytes
    leaf: bytes


_COLUMNS = 'log, event, event_id, thread, n, session, "transaction", request, recorded_at, body, leaf'
_POSTGRESQL = (
    f"INSERT INTO evidence_record ({_COLUMNS})"  # noqa: S608 - column names of our own
    " SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::int[], %b::text[], %b::text[],"
    " %b::text[], %b::timestamptz[], %b::bytea[], %b::bytea[])"
)
_SQLITE = f"INSERT INTO evidence_record ({_COLUMNS}) VALUES "  # noqa: S608 - column names of our own
_SQLITE_ROW = f"({', '.join(['%s'] * len(Entry._fields))})"
_SQLITE_CHUNK = 900 // len(Entry._fields)  # SQLite builds of old take 999 variables


def entry(
    event: Event,
    *,
    event_id: str,
    tenant: str,
    thread: str,
    n: int,
    prev_leaf: bytes | None,
    recorded_at: datetime,
    actor: Mapping[str, Any],
    commitment: str | None,
    members: Mapping[str, Any],
    session: str = "",
    transaction: str = "",
    request: str = "",
) -> Entry:
    """The record of one event as number `n` of its thread; pure. Raises BadStatement on members that no record has.

    `commitment` is that of the action the event is about; an event about none has a `detail` among its `members`.
    A record that belongs to a request names it, whether or not `members` say more about it.
    """
    place = (
        {"id": thread, "n": n} if prev_leaf is None else {"id": thread, "n": n, "prev_leaf": digests.text(prev_leaf)}
    )
    name = event.value
    predicate = {
        "v": statement.VERSION,
        "log": tenant,
        "event": name,
        "event_id": event_id,
        "tenant": tenant,
        "recorded_at": timestamp(recorded_at),
        "thread": place,
        "actor": actor,
        **members,
    }
    if request and "request" not in members:
        predicate["request"] = {"id": request}
    body = statement.build(event=event, commitment=commitment, predicate=predicate)
    leaf = merkle.leaf_hash(body)
    return Entry(tenant, name, event_id, thread, n, session, transaction, request, recorded_at, body, leaf)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as records carry it."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def insert_many(cursor: CursorWrapper, entries: Sequence[Entry]) -> None:
    """Write entries in the caller's transaction: one INSERT on PostgreSQL, as few as its variables allow on SQLite."""
    if not entries:
        return
    if cursor.db.vendor == "postgresql":
        _insert_postgresql(cursor, entries)
    else:
        _insert_sqlite(cursor, entries)


def _insert_postgresql(cursor: CursorWrapper, entries: Sequence[Entry]) -> None:
    """Bound at the server in binary: Django's cursor pastes values into the text, at eight times the price."""
    columns = [list(column) for column in zip(*entries, strict=True)]
    with cursor.db.wrap_database_errors, psycopg.Cursor(cursor.connection) as binary:
        binary.execute(_POSTGRESQL, columns)


def _insert_sqlite(cursor: CursorWrapper, entries: Sequence[Entry]) -> None:
    for at in range(0, len(entries), _SQLITE_CHUNK):
        chunk = entries[at : at + _SQLITE_CHUNK]
        rows = [value for item in chunk for value in (*item[:8], _sqlite_time(item.recorded_at), *item[9:])]
        cursor.execute(_SQLITE + ", ".join([_SQLITE_ROW] * len(chunk)), rows)


def _sqlite_time(moment: datetime) -> str:
    """As Django writes its DateTimeField: naive UTC text."""
    return str(moment.astimezone(UTC).replace(tzinfo=None))
