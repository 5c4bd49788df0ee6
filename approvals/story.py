"""A request's records in, its story in words out: who did what, and what became of the approval. Reads the ledger."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.models import AccessRequest, Approval
from countersign.proof.events import Event
from evidence import ledger

_LIMIT = 200

_WORDS = {
    Event.DECISION_MADE: "Decision: {outcome}",
    Event.REQUEST_OPENED: "Request opened",
    Event.REQUEST_JOINED: "Asked again; joined this request",
    Event.REQUEST_CANCELLED: "Withdrawn by the requester",
    Event.REQUEST_EXPIRED: "Expired: nobody decided in time",
    Event.REQUEST_APPROVED: "Approved",
    Event.REQUEST_DENIED: "Denied",
    Event.VOTE_CAST: "{actor} voted to {decision}",
    Event.VOTE_REFUSED: "A vote of {actor} was refused",
    Event.STEPUP_PASSED: "{actor} confirmed with a fresh code",
    Event.STEPUP_FAILED: "{actor} entered a code that did not pass",
    Event.APPROVAL_ISSUED: "Approval issued",
    Event.APPROVAL_USED: "Approval used: the call may run",
    Event.APPROVAL_REFUSED: "An attempt to use the approval was refused",
    Event.APPROVAL_LAPSED: "Approval lapsed unused",
    Event.APPROVAL_REVOKED: "Approval revoked",
    Event.EXECUTION_REPORTED: "Execution: {status}",
    Event.EXECUTION_VERIFIED: "Execution checked by a verifier: {status}",
    Event.EXECUTION_INDETERMINATE: "Execution unknown: nobody reported its end",
    Event.EXECUTION_RECONCILED: "Execution settled by a person: {status}",
}

# After an approval: a short name that is also the badge's, and what it means.
_AFTER = {
    "reserved": ("used", "The approval was used. The call has not started yet."),
    "executing": ("running", "The call is running."),
    "committed": ("ran", "The call ran, and its effect is committed."),
    "failed": ("failed", "The call ran and failed."),
    "indeterminate": ("unknown", "The call may have run: nobody reported its end. It is not repeated by itself."),
    "lapsed": ("lapsed", "The approval was used, but the call was never started."),
}
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
    """What became of an approval. `until` is there while it may still be used."""

    name: str
    words: str
    at: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """Oldest first, from the evidence itself, so that the page cannot tell another story than the pack."""

    timeline: Sequence[Moment]
    after: After | None


def story(request: AccessRequest, *, now: datetime) -> Story:
    """What the records of the request's thread tell as of now."""
    newest_first = ledger.history(request.tenant.slug, request.pk, limit=_LIMIT)
    return Story(list(_moments(reversed(newest_first))), _after(request, newest_first, now=now))


def _moments(statements: Iterable[Mapping[str, Any]]) -> Iterator[Moment]:
    for statement in statements:
        said = statement["predicate"]
        words = _WORDS.get(Event(said["event"]))
        if words:
            yield Moment(_at(said), words.format(**_values(said)))


def _after(request: AccessRequest, newest_first: Iterable[Mapping[str, Any]], *, now: datetime) -> After | None:
    approval = Approval.objects.filter(request=request).first()
    if approval is None:
        return None
    last = next((one["predicate"] for one in newest_first if Event(one["predicate"]["event"]) in _EXECUTION), None)
    if last is not None:
        name, words = _AFTER.get(_status(last), _AFTER["reserved"])
        return After(name, words, at=_at(last))
    if approval.revoked_at is not None:
        return After("revoked", "The approval was taken back before it was used.", at=approval.revoked_at)
    if now >= approval.expires_at:
        return After("lapsed", "The approval was not used in time. Nothing ran.", at=approval.expires_at)
    return After("unused", "Approved, and not used yet.", until=approval.expires_at)


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
        "outcome": str(said.get("decision", {}).get("outcome", "")),
        "status": str(said.get("execution", {}).get("status", "")),
    }
