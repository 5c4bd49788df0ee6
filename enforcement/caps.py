"""Counters of caps: claims in, which of them fit out, inside the caller's transaction.

Rows are locked in sorted order and held until commit, so that a decision and its budget cannot disagree.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from enforcement import budgets
from enforcement.budgets import Claim, Demand, Move, Place

_FIND = (
    'SELECT tenant_id, key, used FROM enforcement_counter WHERE (tenant_id, key, "window") IN'
    " (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]))"
)
_LOCK = _FIND + ' ORDER BY tenant_id, key, "window" FOR UPDATE'
_MAKE = (
    'INSERT INTO enforcement_counter (tenant_id, key, "window", used)'
    " SELECT tenant_id, key, start, 0"
    " FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS new (tenant_id, key, start)"
    ' ORDER BY tenant_id, key, start ON CONFLICT (tenant_id, key, "window") DO NOTHING'
)
_STORE = (
    "UPDATE enforcement_counter AS counter SET used = new.used"
    " FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::bigint[]) AS new (tenant_id, key, start, used)"
    ' WHERE counter.tenant_id = new.tenant_id AND counter.key = new.key AND counter."window" = new.start'
)
_READ_SQLITE = 'SELECT tenant_id, key, used FROM enforcement_counter WHERE (tenant_id, key, "window") IN '
_MAKE_SQLITE = 'INSERT INTO enforcement_counter (tenant_id, key, "window", used) VALUES '
_MOVE = (
    "UPDATE enforcement_counter SET used = CASE WHEN used < %s THEN 0 WHEN used > %s THEN used ELSE used + %s END"
    ' WHERE tenant_id = %s AND key = %s AND "window" = %s'
)
_FULL = 8 * 10**18  # beyond every cap, and one more call's worth still fits the column


def reserve(cursor: CursorWrapper, claims: Sequence[Claim], now: datetime) -> list[Demand | None]:
    """Take what each claim asks, all or nothing, in order. Answers the demand each one fails on, or None."""
    places = budgets.places(claims)
    before = locked(cursor, places, now)
    refused, changed = budgets.taken(claims, before)
    store(cursor, places, changed, now)
    return refused


def locked(cursor: CursorWrapper, places: Mapping[Place, int], now: datetime) -> dict[Place, int]:
    """What each counter has used in its present window, its row locked; one that is not there yet is made."""
    if not places:
        return {}
    rows = _rows(places, now)
    found = _read(cursor, rows)
    missing = [row for row in rows if row[:2] not in found]
    if missing:
        _make(cursor, missing)
        found = _read(cursor, rows)
    return found


def used(cursor: CursorWrapper, places: Mapping[Place, int], now: datetime) -> dict[Place, int]:
    """The same without a lock, and without making any: for who only wants to know."""
    found = _read(cursor, _rows(places, now), find=_FIND) if places else {}
    return dict.fromkeys(places, 0) | found


def store(cursor: CursorWrapper, places: Mapping[Place, int], used: Mapping[Place, int], now: datetime) -> None:
    """Write what changed."""
    if used:
        changed = {place: places[place] for place in used}
        _store(cursor, [(*row, used[row[:2]]) for row in _rows(changed, now)])


def _rows(places: Mapping[Place, int], now: datetime) -> list[tuple[int, str, datetime]]:
    seconds = int(now.timestamp())
    return [(*place, _moment(budgets.window(places[place], seconds))) for place in sorted(places)]


def move(cursor: CursorWrapper, tenant_id: int, moves: Iterable[Move]) -> None:
    """Count more or less in windows that may be over by now. A counter never falls below nothing."""
    for key, window, by in sorted(moves):
        if by > 0:
            _make_one(cursor, (tenant_id, key, _moment(window)))
        start = cursor.db.ops.adapt_datetimefield_value(_moment(window))
        cursor.execute(_MOVE, [-by, _FULL, by, tenant_id, key, start])


def _make_one(cursor: CursorWrapper, row: tuple[int, str, datetime]) -> None:
    """Unless it is there: what was charged nothing has no counter yet."""
    if not _read(cursor, [row]):
        _make(cursor, [row])


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _read(cursor: CursorWrapper, rows: Sequence[tuple[int, str, datetime]], *, find: str = _LOCK) -> dict[Place, int]:
    if cursor.db.vendor == "postgresql":
        cursor.execute(find, _columns(rows))
    else:  # SQLite: the transaction is the only writer already
        values = ", ".join(["(%s, %s, %s)"] * len(rows))
        cursor.execute(f"{_READ_SQLITE}(VALUES {values})", _flat(cursor, rows))
    return {(tenant_id, key): used for tenant_id, key, used in cursor.fetchall()}


def _make(cursor: CursorWrapper, rows: Sequence[tuple[int, str, datetime]]) -> None:
    if cursor.db.vendor == "postgresql":
        cursor.execute(_MAKE, _columns(rows))
        return
    values = ", ".join(["(%s, %s, %s, 0)"] * len(rows))
    cursor.execute(f"{_MAKE_SQLITE}{values}", _flat(cursor, rows))


def _store(cursor: CursorWrapper, rows: Sequence[tuple[int, str, datetime, int]]) -> None:
    if cursor.db.vendor == "postgresql":
        cursor.execute(_STORE, _columns(rows))
        return
    for tenant_id, key, start, used in rows:
        cursor.execute(
            'UPDATE enforcement_counter SET used = %s WHERE tenant_id = %s AND key = %s AND "window" = %s',
            [used, tenant_id, key, cursor.db.ops.adapt_datetimefield_value(start)],
        )


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _flat(cursor: CursorWrapper, rows: Sequence[tuple[int, str, datetime]]) -> list[Any]:
    adapt = cursor.db.ops.adapt_datetimefield_value
    return [value for tenant_id, key, start in rows for value in (tenant_id, key, adapt(start))]
