"""One transaction of the group commit on the wire: all that must be known in one round trip, all writes in another.

On a machine that has other things to do each round trip is a wait for three processes to be scheduled, and counters
stay locked meanwhile. SQLite has no wire: there the same is done statement by statement.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import psycopg
from django.db import connection, transaction

from enforcement import attempts, caps, line
from enforcement.attempts import Given, Name
from enforcement.budgets import Place
from enforcement.line import Row, Waiting
from evidence import binary, journal, kept
from evidence.bulk import Inserter
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
    """Look once, write once. Generators: each yields what it waits for, which on SQLite is nothing."""

    def frame(self) -> AbstractContextManager[object]:
        """Around all of it. Raises Django's database errors; left by an exception, nothing is written."""

    def look(self, wanted: Wanted) -> Waiting[Seen]:
        """Begin; find what is wanted, and lock its counters in sorted order."""

    def write(self, writes: Writes) -> Waiting[None]:
        """Leave it behind. On PostgreSQL this commits, on SQLite leaving the frame does."""

    def roll_back(self) -> Waiting[None]:
        """Undo, so that the connection is good for the next transaction."""

    def drop(self) -> None:
        """Let go of a connection that is of no use any more."""


def here() -> Transaction:
    """A transaction on this thread's connection. Raises Django's database errors."""
    connection.ensure_connection()
    return _Wire(connection.connection, connection.close) if connection.vendor == "postgresql" else _Statements()


def over(raw: "psycopg.Connection[Any]", *, written: Callable[[], None]) -> Transaction:
    """A transaction on a PostgreSQL connection that is nobody else's. `written` is called when only COMMIT is left."""
    return _Wire(raw, raw.close, written)


_LOOK = (
    b"SELECT id, epoch, now(), set_config('lock_timeout', $1::text, true)"
    b" FROM registry_tenant WHERE id = ANY($2::bigint[])"
)
_FIND = (
    b"SELECT credential_id, attempt, action_digest, answer FROM enforcement_attempt"
    b" WHERE (credential_id, attempt) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))"
)
_WINDOW = "to_timestamp(floor(extract(epoch FROM now()))::bigint / seconds * seconds)"
_LOCK = (
    "SELECT counter.tenant_id, counter.key, counter.used"  # noqa: S608 - an expression of our own
    " FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS wanted (tenant_id, key, seconds)"
    " JOIN enforcement_counter AS counter ON counter.tenant_id = wanted.tenant_id AND counter.key = wanted.key"
    f' AND counter."window" = {_WINDOW}'
    ' ORDER BY counter.tenant_id, counter.key, counter."window" FOR UPDATE OF counter'
).encode()
_MAKE = (
    'INSERT INTO enforcement_counter (tenant_id, key, "window", used)'  # noqa: S608 - an expression of our own
    f" SELECT tenant_id, key, {_WINDOW}, 0"
    " FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS wanted (tenant_id, key, seconds)"
    ' ORDER BY tenant_id, key ON CONFLICT (tenant_id, key, "window") DO NOTHING'
).encode()
_STORE = (
    "UPDATE enforcement_counter AS counter SET used = wanted.used"  # noqa: S608 - an expression of our own
    " FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS wanted (tenant_id, key, seconds, used)"
    " WHERE counter.tenant_id = wanted.tenant_id AND counter.key = wanted.key"
    f' AND counter."window" = {_WINDOW}'
).encode()
_PLACES = ("bigint", "text", "bigint", "bigint")


class _Wire:
    """PostgreSQL in pipeline mode. `now()` is the time of BEGIN, the same in every statement of a transaction."""

    def __init__(
        self, raw: "psycopg.Connection[Any]", drop: Callable[[], None], written: Callable[[], None] | None = None
    ) -> None:
        self._line = line.of(raw)
        self._places: Mapping[Place, int] = {}
        self.drop = drop
        self._written = written

    @contextmanager
    def frame(self) -> Iterator[None]:
        with connection.wrap_database_errors:
            self._line.begin()
            yield
            self._line.end()

    def look(self, wanted: Wanted) -> Waiting[Seen]:
        self._places = wanted.places
        send = self._line.send
        send(b"BEGIN")
        send(_LOOK, [LOCK_TIMEOUT.encode(), binary.array("bigint", wanted.tenant_ids)], rows=True)
        if wanted.names:
            send(_FIND, _columns(("bigint", "text"), wanted.names), rows=True)
        if wanted.places:
            self._lock()
        looked, *more = yield from self._line.sync()
        given = dict(map(_given, more.pop(0))) if wanted.names else {}
        used = (yield from self._used(more[0])) if wanted.places else {}
        return Seen(binary.to_moment(looked[0][2]), dict(map(_numbers, looked)), given, used)

    def _lock(self) -> None:
        self._line.send(_LOCK, self._rows(self._places), rows=True)

    def _rows(self, places: Iterable[Place]) -> list[bytes]:
        return _columns(_PLACES, [(*place, self._places[place]) for place in sorted(places)])

    def _used(self, locked: Sequence[Row]) -> Waiting[Mapping[Place, int]]:
        """What each counter has used. One whose window is new is made first, and then locked like the others."""
        used = dict(map(_count, locked))
        if used.keys() == self._places.keys():
            return used
        self._line.send(_MAKE, self._rows(self._places.keys() - used.keys()))
        self._lock()
        (locked,) = yield from self._line.sync()
        return dict(map(_count, locked))

    def write(self, writes: Writes) -> Waiting[None]:
        send = self._line.send
        if writes.used:
            rows = [(*place, self._places[place], writes.used[place]) for place in sorted(writes.used)]
            send(_STORE, _columns(_PLACES, rows))
        for table, values in _rows_of(writes):
            if values:
                send(table.statement, table.encoded(values))
        send(b"COMMIT")
        if self._written is not None:
            self._written()
        yield from self._line.sync()

    def roll_back(self) -> Waiting[None]:
        if not self._line.raw.closed:
            self._line.send(b"ROLLBACK")
            yield from self._line.sync()
            self._line.end()


class _Statements:
    """SQLite, one statement after the other: it has one writer, so there is nobody to lock out or to wait for."""

    drop = staticmethod(connection.close)

    def frame(self) -> AbstractContextManager[object]:
        return transaction.atomic(durable=True)

    def look(self, wanted: Wanted) -> Waiting[Seen]:
        yield from ()
        now, epochs = read_now(wanted.tenant_ids)
        with connection.cursor() as cursor:
            given = attempts.find(cursor, wanted.names)
            self._now, self._places = now, wanted.places
            return Seen(now, epochs, given, caps.locked(cursor, wanted.places, now))

    def write(self, writes: Writes) -> Waiting[None]:
        yield from ()
        with connection.cursor() as cursor:
            caps.store(cursor, self._places, writes.used, self._now)
            for table, rows in _rows_of(writes):
                table.insert(cursor, rows)

    def roll_back(self) -> Waiting[None]:
        yield from ()  # leaving the frame does


def _rows_of(writes: Writes) -> Iterator[tuple[Inserter, Sequence[tuple[Any, ...]]]]:
    yield journal.RECORDS, writes.entries
    yield attempts.ATTEMPTS, attempts.rows(writes.given)
    yield kept.KEPT, kept.columns(writes.kept)


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


def _columns(kinds: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
    return [binary.array(kind, column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=False)]


def _name(row: Row) -> Name:
    return binary.to_integer(row[0]), row[1].decode()


def _count(row: Row) -> tuple[Place, int]:
    return _name(row), binary.to_integer(row[2])


def _numbers(row: Row) -> tuple[int, int]:
    return binary.to_integer(row[0]), binary.to_integer(row[1])


def _given(row: Row) -> tuple[Name, Given]:
    return _name(row), Given(row[2].decode(), row[3])
