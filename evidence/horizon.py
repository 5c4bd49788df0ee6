"""Which journalled records have no place in a tree yet, found without reading the whole journal each time.

Rows become visible out of the order of their ids: a transaction that took id 7 may commit after the one that took 8.
So a row is looked for by "not sealed", never by "above the last one seen", and the search starts at a `horizon` below
which nothing can appear any more. On PostgreSQL whoever takes an id already holds a ROW EXCLUSIVE lock on the table,
and keeps it until after their commit is visible: an id is settled once all who held that lock, when the id was the
highest, hold it no more. (A transaction id would not do: it is given only after the row's id.)
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Exists, Max, OuterRef, QuerySet

from evidence.by_key import by_key
from evidence.models import Record, Sealed

AT_ONCE = 20_000
"""Unsealed rows looked at in one round; the oldest of all logs, so that no log waits behind another for long."""

_WINDOW = 200_000  # ids searched at once after a start; what is older is swept in the rounds that follow
_SWEEP = 50_000
_LATE = 20_000  # how far below the newest sealed row `behind` looks for one that committed late
_BEHIND_ROWS = 5_000

_WRITERS = (
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted"
    " AND relation = 'evidence_record'::regclass"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Horizon:
    """One sealer's memory of how far the journal is settled and sealed. Losing it costs a search, never a row."""

    def __init__(self) -> None:
        top = _top()
        self._sealed_to = max(0, top - _WINDOW)  # nothing unsealed between `_swept_to` and this, nor can there be
        self._swept_to = self._sealed_to  # what lies below has not been looked at since the start
        self._candidate = 0
        self._writers: Collection[str] = ()
        self._settled = 0
        self._answered_to = 0
        self._left: dict[str, int] = {}

    def due(self) -> dict[str, list[int]]:
        """The oldest unsealed rows by log, in the order of their ids."""
        looked = self._settle()
        low = self._sweep()
        if looked and self._candidate <= low:  # the usual case where little happens
            self._answered_to = self._settled
            return {}
        with by_key():
            found = list(_unsealed(low).exclude(log__in=self._left).values_list("id", "log")[:AT_ONCE])
        full = len(found) == AT_ONCE
        self._answered_to = min(self._settled, found[-1][0]) if full else self._settled
        return _by_log(found)

    def all_sealed(self) -> None:
        """Everything of the last answer is sealed now or left alone: the next search starts behind it."""
        self._sealed_to = max(self._sealed_to, self._answered_to)

    def leave(self, log: str) -> None:
        """Answer nothing of this log until `take_back`, so that it holds up no other."""
        self._left.setdefault(log, self._sealed_to)

    def take_back(self) -> None:
        """Look again at the logs that were left, from where they were left."""
        self._sealed_to = min([self._sealed_to, *self._left.values()])
        self._left.clear()

    def _settle(self) -> bool:
        """Move on if everybody who could still fill the ids up to the candidate has committed or given up.

        Whether they have, and the candidate is now the highest id there is.
        """
        writers = _writers()
        over = writers.isdisjoint(self._writers)
        if over:
            self._settled = max(self._settled, self._candidate)
            self._candidate = _top()
            self._writers = _writers()  # read after the candidate: who took an id below it is among them or is done
            if not self._writers:
                self._settled = max(self._settled, self._candidate)
        return over

    def _sweep(self) -> int:
        """Look at one more stretch of what was there before the start; go back to it if it holds unsealed rows."""
        if self._swept_to > 0:
            low = max(0, self._swept_to - _SWEEP)
            with by_key():
                missed = _unsealed(low).filter(id__lte=self._swept_to).exists()
            if missed:
                self._sealed_to = min(self._sealed_to, low)
                self._left = {log: min(left, low) for log, left in self._left.items()}
            self._swept_to = low
        return self._sealed_to


def _unsealed(low: int) -> QuerySet[Record]:
    """Rows above `low` without a place. The bound is said twice: the planner does not carry it into the inner query."""
    sealed = Sealed.objects.filter(record_id=OuterRef("id"), record_id__gt=low)
    return Record.objects.filter(~Exists(sealed), id__gt=low).order_by("id")


def _by_log(found: list[tuple[int, str]]) -> dict[str, list[int]]:
    logs: dict[str, list[int]] = {}
    for row, log in found:
        logs.setdefault(log, []).append(row)
    return logs


def unsealed_of(log: str) -> list[int]:
    """Every unsealed row of one log in the order of ids. Reads all of the log: for commands and tests."""
    return list(_unsealed(0).filter(log=log).values_list("id", flat=True))


def logs_behind(now: datetime) -> dict[str, timedelta]:
    """How old the oldest unsealed record of each log is; a log that is fully sealed is absent. Cheap, for /readyz."""
    newest = Sealed.objects.aggregate(top=Max("record_id"))["top"] or 0
    oldest: dict[str, timedelta] = {}
    with by_key():
        rows = list(_unsealed(max(0, newest - _LATE)).values_list("log", "recorded_at")[:_BEHIND_ROWS])
    for log, recorded_at in rows:
        oldest[log] = max(oldest.get(log, timedelta(0)), now - recorded_at)
    return oldest


def _top() -> int:
    """The highest id that can be seen; a higher one that cannot is no concern of anybody who asks now."""
    return Record.objects.aggregate(top=Max("id"))["top"] or 0


def _writers() -> set[str]:
    """Transactions that may hold ids of rows we cannot see yet. SQLite has one writer, whose ids are in order."""
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        return {row[0] for row in cursor.fetchall()}
