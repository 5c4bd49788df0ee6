"""A waiver and what a check counts in; whether our own records of its uses are within it, out. Reads alone.

All that a waiver let through is in the thread of its request: each use, what the PEP reported of it, and what an
independent verifier saw.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

from approvals.waivers.finding import Finding
from approvals.waivers.models import Waiver
from countersign.policy.waiver_terms import Metric
from countersign.proof import canonical
from countersign.proof.events import Event
from evidence import ledger
from evidence.models import Record

_REPORTS: Final = frozenset({Event.EXECUTION_REPORTED, Event.EXECUTION_INDETERMINATE, Event.EXECUTION_RECONCILED})
_BAD: Final = frozenset({"failed", "indeterminate"})
_VERIFIED, _DIVERGED = "verified", "diverged"
_OUT_OF_ORDER: Final = timedelta(minutes=1)  # a record's time is read before its place in the thread is taken


def measure(waiver: Waiver, metric: Metric, *, over: timedelta, most: int, now: datetime) -> Finding:
    """Whether the number is at most `most` for the time since `now - over`. No uses, no fault."""
    since = now - over
    value: float
    match metric:
        case Metric.USES:
            value, words = _uses(waiver, since).count(), "uses"
        case Metric.FAILED:
            value, words = _failed_share(waiver, since), "percent of the uses failed or are indeterminate"
        case Metric.DIVERGED:
            value, words = _diverged(waiver, since), "uses of which a verifier saw something else"
    return Finding(holds=value <= most, found=f"{_number(value)} {words}; at most {most} is agreed.")


def verified(waiver: Waiver, last: int, *, every: timedelta, now: datetime) -> Finding:
    """Whether a verifier saw each of the last uses as it was told, and none of them otherwise.

    Uses of the last round (`every`) are not asked for yet: that is the time a verifier has.
    """
    rows = _thread(waiver).filter(event=Event.DECISION_MADE, recorded_at__lte=now - every).order_by("-n")
    wanted = list(rows.values_list("event_id", "n")[:last])
    if not wanted:
        return Finding(holds=True, found="There is no use to be verified yet.")
    findings = _findings(waiver, begin=wanted[-1][1])
    missing = sum(findings.get(use) != {_VERIFIED} for use, _ in wanted)
    words = "All" if not missing else f"{len(wanted) - missing}"
    return Finding(holds=not missing, found=f"{words} of the last {len(wanted)} uses were verified.")


def _failed_share(waiver: Waiver, since: datetime) -> float:
    uses = frozenset(_uses(waiver, since).values_list("event_id", flat=True))
    if not uses:
        return 0
    last: dict[str, str] = {}
    for execution, _ in _told(waiver, _REPORTS, begin=_begin(waiver, since)):
        if execution["evaluation_id"] in uses:
            last[execution["evaluation_id"]] = str(execution["status"])
    return 100 * sum(status in _BAD for status in last.values()) / len(uses)


def _diverged(waiver: Waiver, since: datetime) -> int:
    findings = _findings(waiver, begin=_begin(waiver, since), since=since)
    return sum(_DIVERGED in found for found in findings.values())


def _findings(waiver: Waiver, *, begin: int, since: datetime | None = None) -> dict[str, set[str]]:
    """By use, what verifiers last said of it; a verifier may come to see it otherwise. `unverifiable` is said as well:
    who could not look does not speak for who did.
    """
    last: dict[tuple[str, str], str] = {}
    for execution, verifier in _told(waiver, {Event.EXECUTION_VERIFIED}, begin=begin, since=since):
        last[execution["evaluation_id"], verifier] = str(execution["status"])
    found: dict[str, set[str]] = {}
    for (use, _), status in last.items():
        if status in {_VERIFIED, _DIVERGED}:
            found.setdefault(use, set()).add(status)
    return found


def _told(
    waiver: Waiver, events: Collection[Event], *, begin: int, since: datetime | None = None
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The `execution` of each such record, in order, with who said it."""
    rows = _thread(waiver).filter(event__in=[one.value for one in events], n__gte=begin).order_by("n")
    if since is not None:
        rows = rows.filter(recorded_at__gte=since)
    for body in rows.values_list("body", flat=True).iterator():
        said = canonical.loads_object(bytes(body))["predicate"]
        yield said["execution"], said["actor"]["id"]


# --- the stretch of a thread


def _uses(waiver: Waiver, since: datetime) -> QuerySet[Record]:
    begin = _begin(waiver, since)
    return _thread(waiver).filter(event=Event.DECISION_MADE, n__gte=begin, recorded_at__gte=since)


def _begin(waiver: Waiver, since: datetime) -> int:
    """Where in the thread that time begins, found by halving: no index has the time, and a thread may be long."""
    with connection.cursor() as cursor:
        head = ledger.thread_head(cursor, waiver.tenant.slug, waiver.request_id)
    low, high = 0, head[0] + 1 if head else 0
    while low < high:
        middle = (low + high) // 2
        found = _thread(waiver).filter(n=middle).values_list("recorded_at", flat=True).first()
        if found is None or found < since - _OUT_OF_ORDER:  # none: pruned, so it was older
            low = middle + 1
        else:
            high = middle
    return low


def _thread(waiver: Waiver) -> QuerySet[Record]:
    return Record.objects.filter(log=waiver.tenant.slug, thread=waiver.request_id)


def _number(value: float) -> str:
    return f"{value:g}" if value < 10_000 else f"{value:.0f}"  # noqa: PLR2004  `g` would write an exponent
