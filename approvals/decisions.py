"""What was decided, read from the evidence: a page of decisions, and the why of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from countersign.proof.events import Event
from evidence import ledger

PAGE = 50


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as its record tells it. No argument is in a record, so none is here."""

    evaluation_id: str
    at: datetime
    action: Mapping[str, Any]
    decision: Mapping[str, Any]
    predicate: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        return str(self.decision.get("outcome", ""))

    @property
    def subject(self) -> str:
        """Who asked to act: the agent, or `type:id`."""
        return _named(self.action, "agent", "subject")

    @property
    def resource(self) -> str:
        """With what: the tool, or `type:id`."""
        return _named(self.action, "tool", "resource")

    @property
    def rules(self) -> Sequence[str]:
        """The rules that said so, each once."""
        return list(dict.fromkeys(one["rule"] for one in self.decision.get("reasons", ()) if "rule" in one))

    @property
    def request_id(self) -> str | None:
        """The request this decision belongs to, if it was about one."""
        thread = str(self.predicate["thread"]["id"])
        return thread if thread.startswith("arq_") else None


def page(tenant: str, *, before: int | None) -> tuple[Sequence[Decided], int | None]:
    """The newest sealed decisions before a place in the log, and the place the next page starts before."""
    found = ledger.recent(tenant, event=Event.DECISION_MADE, before_seq=before, limit=PAGE)
    following = found[-1].seq if len(found) == PAGE else None
    return [_decided(record.statement) for record in found], following


def one(tenant: str, evaluation_id: str) -> Decided | None:
    """One decision, sealed or not, by the id the PEP was told."""
    statement = ledger.find(tenant, evaluation_id)
    if statement is None or statement["predicate"]["event"] != Event.DECISION_MADE.value:
        return None
    return _decided(statement)


def _named(action: Mapping[str, Any], registered: str, other: str) -> str:
    if registered in action:
        return str(action[registered])
    entity = action.get(other, {})
    return f"{entity.get('type', '?')}:{entity.get('id', '?')}"


def _decided(statement: Mapping[str, Any]) -> Decided:
    said = statement["predicate"]
    return Decided(
        evaluation_id=said["event_id"],
        at=datetime.fromisoformat(said["recorded_at"]),
        action=said.get("action", {}),
        decision=said["decision"],
        predicate=said,
    )
