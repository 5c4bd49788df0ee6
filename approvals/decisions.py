"""What was decided, read from the evidence: a page of decisions, and the why of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from countersign.proof.events import Event
from evidence import ledger

PAGE = 50
SCANNED = 5_000
_AT_ONCE = 200


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
        return named(self.action, "agent", "subject")

    @property
    def resource(self) -> str:
        """With what: the tool, or `type:id`."""
        return named(self.action, "tool", "resource")

    @property
    def rules(self) -> Sequence[str]:
        """The rules that said so, each once."""
        return list(dict.fromkeys(one["rule"] for one in self.decision.get("reasons", ()) if "rule" in one))

    @property
    def risk(self) -> str:
        """The score and what it is made of, as far as the record tells."""
        told = self.decision.get("risk")
        if not isinstance(told, Mapping):
            return f"{told} of 100"
        factors = ", ".join(f"{one['name'].replace('_', ' ')} {one['points']}" for one in told.get("factors", ()))
        return f"{told.get('score')} of 100" + (f" ({factors})" if factors else "")

    @property
    def waiver(self) -> Mapping[str, Any] | None:
        """The exception that let it through, and what would have happened without; None for any other decision."""
        told = self.predicate.get("waiver")
        return told if isinstance(told, Mapping) else None

    @property
    def is_approved(self) -> bool:
        """Whether people let it through: an approval was used up for it."""
        return self.outcome == "allow" and isinstance(self.predicate.get("entitlement"), Mapping)

    @property
    def request_id(self) -> str | None:
        """The request this decision belongs to, if it was about one."""
        thread = str(self.predicate["thread"]["id"])
        return thread if thread.startswith("arq_") else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed to; empty matches all."""

    outcome: str = ""
    agent: str = ""
    tool: str = ""

    def matches(self, decided: Decided) -> bool:
        """Whole names, as the record has them: half a name would match a neighbour."""
        return (
            self.outcome in ("", decided.outcome)
            and self.agent in ("", decided.subject)
            and self.tool in ("", decided.resource)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Decisions, newest first. `following` is where the next page starts before; `back_to` how far this one looked."""

    rows: Sequence[Decided]
    following: int | None
    back_to: datetime | None


def page(tenant: str, *, wanted: Wanted, before: int | None) -> Page:
    """The newest sealed decisions that match, before a place in the log.

    Records are not indexed by what they say, so a page looks at so many and no more, and tells how far it came.
    """
    rows: list[Decided] = []
    looked_at = 0
    while looked_at < SCANNED:
        found = ledger.recent(tenant, event=Event.DECISION_MADE, before_seq=before, limit=_AT_ONCE)
        for record in found:
            before = record.seq
            decided = _decided(record.statement)
            if wanted.matches(decided):
                rows.append(decided)
            if len(rows) == PAGE:
                return Page(rows, before, decided.at)
        if len(found) < _AT_ONCE:
            return Page(rows, None, None)
        looked_at += len(found)
    return Page(rows, before, _decided(found[-1].statement).at)


def one(tenant: str, evaluation_id: str) -> Decided | None:
    """One decision, sealed or not, by the id the PEP was told."""
    statement = ledger.find(tenant, evaluation_id)
    if statement is None or statement["predicate"]["event"] != Event.DECISION_MADE.value:
        return None
    return _decided(statement)


def named(action: Mapping[str, Any], registered: str, other: str) -> str:
    """What a record calls the agent or the tool; `type:id` for a subject or resource that is none."""
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
