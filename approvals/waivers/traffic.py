"""A tenant and a time in, the calls out that rules held up since then, or would have but for a waiver."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from countersign.policy.values import Reason
from countersign.proof import canonical
from countersign.proof.events import Event
from evidence import stretch

LOOKED_AT: Final = 10_000
"""Records that one look reads at most: of a month with more, a sample with equal steps between."""

_BY_RULES: Final = frozenset(
    {Reason.RULE, Reason.APPROVAL_REQUIRED, Reason.APPROVAL_AVAILABLE, Reason.GRANT_PENDING, Reason.WAIVER}
)
_NAMES_A_RULE: Final = b'"rule":"'

Entity = tuple[str, str]  # type and id


@dataclass(frozen=True, slots=True)
class HeldUp:
    """One call as the record of its decision tells it. `rules` are all that had something to say, `waiver` the one that
    let it through.
    """

    evaluation_id: str
    at: datetime
    commitment: str
    subject: Entity
    resource: Entity
    method: str
    rules: frozenset[str]
    waiver: str | None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls, newest first, each once however often it was asked again. `looked_at` of the `there` records were read."""

    calls: tuple[HeldUp, ...]
    since: datetime
    there: int
    looked_at: int

    @property
    def factor(self) -> float:
        """By how much a number of these calls is to be multiplied to speak of all records."""
        return self.there / self.looked_at if self.looked_at else 1.0


def look(tenant: str, *, since: datetime) -> Traffic:
    """Read the sealed records since then: one look serves any number of waivers."""
    found = stretch.since(tenant, since, most=LOOKED_AT, holding=_NAMES_A_RULE)
    calls: dict[str, HeldUp] = {}
    for body in found.bodies:
        one = _read(body)
        if one is not None:
            calls.setdefault(one.commitment, one)
    return Traffic(tuple(calls.values()), since, found.there, found.looked_at)


def _read(body: bytes) -> HeldUp | None:
    """None for what is no decision, or one that no rule held up."""
    statement = canonical.loads_object(body)
    said = statement["predicate"]
    if said["event"] != Event.DECISION_MADE:
        return None
    decided = said["decision"]
    waived = decided["reason"] == Reason.WAIVER
    if decided["reason"] not in _BY_RULES or decided["permitted"] is not waived:
        return None
    action = said["action"]
    return HeldUp(
        evaluation_id=said["event_id"],
        at=datetime.fromisoformat(said["recorded_at"]),
        commitment="sha256:" + statement["subject"][0]["digest"]["sha256"],
        subject=_named(action, "agent", "subject"),
        resource=_named(action, "tool", "resource"),
        method=str(action["method"]),
        rules=frozenset(one["rule"] for one in decided["reasons"] if "rule" in one),
        waiver=said["waiver"]["id"] if waived else None,
    )


def _named(action: Mapping[str, Any], registered: str, other: str) -> Entity:
    if registered in action:
        return registered, str(action[registered])
    return str(action[other]["type"]), str(action[other]["id"])
