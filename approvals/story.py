"""A request's records in, its story in words out: who did what, and what became of the approval. Reads the ledger."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from approvals import surfaces
from approvals.models import AccessRequest, Approval
from countersign.proof.events import Event
from evidence import ledger

_LIMIT = 200

_WORDS = {
    Event.DECISION_MADE: "Decision: {outcome}",
    Event.REQUEST_OPENED: "Request opened",
    Event.REQUEST_JOINED: "Asked again; joined this request",
    Event.REQUEST_BUNDLED: "Asked for together with others",
    Event.REQUEST_CANCELLED: "Withdrawn by the requester",
    Event.REQUEST_EXPIRED: "Expired: nobody decided in time",
    Event.REQUEST_APPROVED: "Approved",
    Event.REQUEST_DENIED: "Denied",
    Event.VOTE_CAST: "{actor} voted to {decision} {where} {haste}",
    Event.VOTE_REFUSED: "A vote of {actor} was refused",
    Event.STEPUP_PASSED: "{actor} confirmed with a fresh code",
    Event.STEPUP_FAILED: "{actor} entered {factor}",
    Event.APPROVAL_ISSUED: "Approval issued",
    Event.APPROVAL_USED: "Approval used: the call may run",
    Event.APPROVAL_REFUSED: "An attempt to use the approval was refused",
    Event.APPROVAL_LAPSED: "Approval lapsed unused",
    Event.APPROVAL_REVOKED: "Approval revoked",
    Event.EXECUTION_REPORTED: "Execution: {status}",
    Event.EXECUTION_VERIFIED: "Execution checked by a verifier: {status}",
    Event.EXECUTION_INDETERMINATE: "Execution unknown: nobody reported its end",
    Event.EXECUTION_RECONCILED: "Execution settled by a person: {status}",
    Event.WAIVER_REQUESTED: "{actor} asked for the exception",
    Event.WAIVER_GRANTED: "Granted: the exception is in force",
    Event.WAIVER_REFUSED: "Not granted",
    Event.WAIVER_SUSPENDED: "Suspended: a control does not hold",
    Event.WAIVER_RESUMED: "In force again: every control holds",
    Event.WAIVER_SHORTENED: "{actor} brought its end forward",
    Event.WAIVER_EXPIRED: "Ended: its time was over",
    Event.WAIVER_REVOKED: "{actor} revoked it",
    Event.WAIVER_USED_UP: "Ended: it was used as often as granted",
    Event.CONTROL_ATTESTED: "{actor} confirmed a control",
    Event.CONTROL_WITHDRAWN: "{actor} took a confirmation back",
    Event.CONTROL_CHECKED: "A control was checked",
}

# What a machine can repeat as often as it likes. Read apart, so that it crowds out nothing people did.
_NOISY = frozenset(
    {
        Event.DECISION_MADE,
        Event.REQUEST_BUNDLED,
        Event.VOTE_REFUSED,
        Event.STEPUP_FAILED,
        Event.APPROVAL_REFUSED,
        Event.CONTROL_CHECKED,
    }
)
_STEADY = frozenset(_WORDS) - _NOISY
_ASKED = _WORDS[Event.DECISION_MADE].format(outcome="escalate")
_HASTE = "less than two seconds after first seeing it"
_BAD_CODE = "a code that did not pass"
_BAD_NUMBER = "a number that was not the one shown"
_WAIVED = "A call was let through"
_LEFT_OUT = "Earlier repetitions are left out here; the evidence has them all"

# After an approval: a name for programs, a few words for the badge, and what it means.
_AFTER = {
    "reserved": ("used", "", "The approval was used. The call has not started yet."),
    "executing": ("running", "running", "The call is running."),
    "committed": ("ran", "committed", "The call ran, and its effect is committed."),
    "failed": ("failed", "failed", "The call ran and failed."),
    "indeterminate": (
        "unknown", "end unknown", "The call may have run: nobody reported its end. It is not repeated by itself.",
    ),
    "lapsed": ("lapsed", "never started", "The approval was used, but the call was never started."),
}  # fmt: skip
_EXECUTION = frozenset(
    {Event.APPROVAL_USED, Event.EXECUTION_REPORTED, Event.EXECUTION_INDETERMINATE, Event.EXECUTION_RECONCILED}
)


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class After:
    """What became of an approval. `until` is there while it may still be used, `used_at` once it was."""

    name: str
    brief: str
    words: str
    at: datetime | None = None
    until: datetime | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """Oldest first, from the evidence itself, so that the page cannot tell another story than the pack."""

    timeline: Sequence[Moment]
    after: After | None


def story(request: AccessRequest, *, now: datetime) -> Story:
    """What the records of the request's thread tell as of now."""
    steady, noisy = _read(request, _STEADY), _read(request, _NOISY)
    in_order = sorted((*steady, *noisy), key=lambda said: int(said["thread"]["n"]))
    cut = len(noisy) == _LIMIT
    timeline = [*_folded(_moments(in_order, asked_before=cut))]
    if cut:
        timeline.insert(0, Moment(_at(in_order[0]), _LEFT_OUT))
    return Story(timeline, _after(request, steady, now=now))


def _read(request: AccessRequest, events: frozenset[Event]) -> list[Mapping[str, Any]]:
    """What the newest records say, newest first."""
    found = ledger.history(request.tenant.slug, request.pk, limit=_LIMIT, events=events)
    return [statement["predicate"] for statement in found]


def _moments(in_order: Iterable[Mapping[str, Any]], *, asked_before: bool) -> Iterator[Moment]:
    """One for each record. The first question is a decision, each one after it the same asked again."""
    for said in in_order:
        event = Event(said["event"])
        text = " ".join(_WORDS[event].format(**_values(said)).split())
        if event is Event.DECISION_MADE and "waiver" in said:
            text = _WAIVED
        yield Moment(_at(said), "Asked again" if text == _ASKED and asked_before else text)
        asked_before = asked_before or text == _ASKED


def _folded(moments: Iterable[Moment]) -> Iterator[Moment]:
    """Neighbours of the same text as one line, or an agent that asks every few seconds would drown the votes."""
    for text, run in groupby(moments, key=lambda moment: moment.text):
        first, *more = run
        yield Moment(first.at, f"{text} ×{len(more) + 1}, last {more[-1].at:%H:%M:%S} UTC" if more else text)


def _after(request: AccessRequest, newest_first: Sequence[Mapping[str, Any]], *, now: datetime) -> After | None:
    if request.asked_by_id is not None:
        return None  # nothing runs by it: what became of a waiver is told by the waiver
    approval = Approval.objects.filter(request=request).first()
    if approval is None:
        return None
    last = next((said for said in newest_first if Event(said["event"]) in _EXECUTION), None)
    if last is not None:
        used = next((_at(said) for said in newest_first if said["event"] == Event.APPROVAL_USED), None)
        return After(*_AFTER.get(_status(last), _AFTER["reserved"]), at=_at(last), used_at=used)
    if approval.revoked_at is not None:
        words = "The approval was taken back before it was used."
        return After("revoked", "taken back", words, at=approval.revoked_at)
    if now >= approval.expires_at:
        return After("lapsed", "not used", "The approval was not used in time. Nothing ran.", at=approval.expires_at)
    return After("unused", "not used yet", "Approved, and not used yet.", until=approval.expires_at)


def _status(said: Mapping[str, Any]) -> str:
    if said["event"] == Event.EXECUTION_INDETERMINATE:
        return "indeterminate"
    return str(said.get("execution", {}).get("status", "reserved"))


def _at(said: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(said["recorded_at"])


def _values(said: Mapping[str, Any]) -> dict[str, str]:
    """What a sentence may mention: names and closed lists only, never free text of a caller."""
    return {
        "actor": said["actor"]["id"],
        "decision": str(said.get("detail", {}).get("decision", "")),
        "where": surfaces.words(str(said.get("detail", {}).get("surface", ""))),
        "haste": _HASTE if "quick" in said.get("detail", {}).get("flags", ()) else "",
        "factor": _BAD_NUMBER if said.get("detail", {}).get("method") == "number" else _BAD_CODE,
        "outcome": str(said.get("decision", {}).get("outcome", "")),
        "status": str(said.get("execution", {}).get("status", "")),
    }
