"""A request's records in, its timeline in words out: who did what, and when. Pure but for reading the ledger."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.models import AccessRequest
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
    Event.EXECUTION_INDETERMINATE: "Execution unknown: nobody reported its end",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline."""

    at: datetime
    text: str


def timeline(request: AccessRequest) -> list[Moment]:
    """Oldest first, from the evidence itself, so that the page cannot tell another story than the pack."""
    statements = ledger.history(request.tenant.slug, request.pk, limit=_LIMIT)
    return list(_moments(reversed(statements)))


def _moments(statements: Iterator[Mapping[str, Any]]) -> Iterator[Moment]:
    for statement in statements:
        said = statement["predicate"]
        words = _WORDS.get(Event(said["event"]))
        if words:
            yield Moment(datetime.fromisoformat(said["recorded_at"]), words.format(**_values(said)))


def _values(said: Mapping[str, Any]) -> dict[str, str]:
    """What a sentence may mention: names and closed lists only, never free text of a caller."""
    return {
        "actor": said["actor"]["id"],
        "decision": str(said.get("detail", {}).get("decision", "")),
        "outcome": str(said.get("decision", {}).get("outcome", "")),
        "status": str(said.get("execution", {}).get("status", "")),
    }
