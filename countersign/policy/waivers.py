"""Granted waivers and a call that rules hold up in; the waiver that lifts them, and the verdict under it, out. Pure.

A waiver takes back what its rules say of the calls it was granted for, and nothing else: registry, other rules, risk
and caps judge on. It is pinned to what people saw when they granted it (the rules, the agents, the tools with schema
and risk tier), so that nothing that changes later can widen it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from countersign.policy import verdicts
from countersign.policy.bundle import Bundle
from countersign.policy.cel import Condition, EvaluationError
from countersign.policy.evaluate import evaluate, facts_of
from countersign.policy.globs import Memo
from countersign.policy.index import Index
from countersign.policy.lanes import Key, Lane
from countersign.policy.laying import lay
from countersign.policy.rules import Match
from countersign.policy.values import Because, Call, Mode, Outcome, Reason, Tier, Verdict

LANES_KEPT: Final = 8192
RESOURCE: Final = "waiver"
"""The type of what is asked for when a waiver is: no waiver ever lifts a rule about those."""


class Category(StrEnum):
    """`waiver`: the risk is taken. `mitigated`: something else is done about it."""

    WAIVER = "waiver"
    MITIGATED = "mitigated"


@dataclass(frozen=True, slots=True)
class Pin:
    """A tool as it was when the waiver was asked for: the digest of its schema (None: it had none), its tier."""

    schema_digest: str | None
    risk_tier: Tier


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waiver in force. `rules` gives for each rule the digest it had; `principals` None is everybody.

    It holds from `not_before` until before `expires_at`. Uses, controls and the votes it stands on are not here: they
    are looked at under a lock when it is used.
    """

    id: str
    version: int
    category: Category
    rules: Mapping[str, str]
    match: Match
    agents: frozenset[str]
    tools: Mapping[str, Pin]
    not_before: datetime
    expires_at: datetime
    principals: frozenset[str] | None = None
    condition: Condition | None = None
    obligations: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Lifted:
    """A call that a waiver lets through: the verdict under it, and what would have happened without."""

    waiver: Waiver
    verdict: Verdict
    without: Verdict


class Waivers:
    """All waivers of a tenant that are in force. Immutable but for what it remembers of the names it was asked."""

    __slots__ = ("_candidates", "_index", "_lanes", "all")

    def __init__(self, waivers: Sequence[Waiver] = ()) -> None:
        self.all = tuple(sorted(waivers, key=lambda one: (one.expires_at, one.id)))  # what ends first is used first
        self._index = Index(self.all)
        self._candidates: Memo[tuple[Waiver, ...]] = Memo(LANES_KEPT)
        self._lanes: Memo[tuple[Bundle, Lane]] = Memo(LANES_KEPT)

    def candidates(self, key: Key) -> tuple[Waiver, ...]:
        """Those that may speak of these names, in the order they are used."""
        known = self._candidates.get(key)
        if known is None:
            subject_type, subject_id, action, resource_type, resource_id, intent = key
            found = self._index.candidates(
                (subject_type, subject_id), action, (resource_type, resource_id), intent or ""
            )
            known = tuple(one for one in found if _is_pinned(one, key))
            self._candidates.put(key, known)
        return known

    def lane(self, bundle: Bundle, key: Key, lifted: frozenset[str]) -> Lane:
        """How calls of these names are judged when these rules are lifted."""
        place = (key, lifted)
        known = self._lanes.get(place)
        if known is None or known[0] is not bundle:
            known = (bundle, lay(bundle, key, lifted=lifted))
            self._lanes.put(place, known)
        return known[1]


def _is_pinned(waiver: Waiver, key: Key) -> bool:
    """Whether agent and tool are those of the day it was asked for: a glob reaches nobody who came later."""
    subject_type, subject_id, _, resource_type, resource_id, _ = key
    if subject_type == "agent" and subject_id not in waiver.agents:
        return False
    if resource_type == "tool" and resource_id not in waiver.tools:
        return False
    return resource_type != RESOURCE


def lift(
    waivers: Waivers, bundle: Bundle, call: Call, verdict: Verdict, *, now: datetime, without: Collection[str] = ()
) -> Lifted | None:
    """The first waiver under which `call`, on which `verdict` was given, is allowed; None if there is none.

    `without` names waivers that are not to be looked at. One waiver must lift every rule in the way: what two of them
    would let through together nobody has granted.
    """
    if verdict.rule is None or verdict.outcome is Outcome.ALLOW or verdict.mode is Mode.OBSERVE:
        return None  # no rule said so (registry, risk, nothing matched), or nothing is held up
    key = (call.subject_type, call.subject_id, call.action_name, call.resource_type, call.resource_id, call.intent)
    for waiver in waivers.candidates(key):
        if verdict.rule not in waiver.rules or waiver.id in without or not waiver.not_before <= now < waiver.expires_at:
            continue
        found = _under(waivers, waiver, bundle, call, verdict, key=key, now=now)
        if found is not None:
            return Lifted(waiver, found, verdict)
    return None


def _under(
    waivers: Waivers, waiver: Waiver, bundle: Bundle, call: Call, verdict: Verdict, *, key: Key, now: datetime
) -> Verdict | None:
    """The allow this waiver makes of `verdict`, if it does."""
    if not _as_granted(waiver, bundle, call) or not _holds(waiver, bundle, call, now=now):
        return None
    lifted = frozenset(liftable(waiver, bundle, key))
    lane = waivers.lane(bundle, key, lifted)
    judged = evaluate(bundle, call, now=now, lane=lane)
    if judged.outcome is not Outcome.ALLOW:
        return None
    words = f"Waiver {waiver.id} lets this call through."
    return replace(
        judged,
        reason=Reason.WAIVER,
        rule=verdict.rule,
        reasons=(Because(Reason.WAIVER, words), *verdict.reasons),
        obligations=verdicts.each_once((*verdict.obligations, *waiver.obligations, *judged.obligations)),
    )


def _as_granted(waiver: Waiver, bundle: Bundle, call: Call) -> bool:
    """Whether tool and principal are still what people said yes to."""
    if waiver.principals is not None and (call.principal is None or call.principal.id not in waiver.principals):
        return False
    if call.resource_type != "tool":
        return True
    pin, compiled = waiver.tools[call.resource_id], bundle.tools[call.resource_id]
    if compiled.schema_digest != pin.schema_digest or compiled.tool.risk_tier > pin.risk_tier:
        return False
    return waiver.condition is not None or not compiled.tool.wrapper


def _holds(waiver: Waiver, bundle: Bundle, call: Call, *, now: datetime) -> bool:
    """Whether its condition is true of this call. One that errors is not."""
    if waiver.condition is None:
        return True
    try:
        return waiver.condition.check(facts_of(bundle, call, now=now))
    except EvaluationError:
        return False


def liftable(waiver: Waiver, bundle: Bundle, key: Key) -> Iterator[str]:
    """Of its rules, those that are still the same and still say that they may be waived."""
    rules = {rule.id: rule for rule in lay(bundle, key).rules}
    for identifier, digest in waiver.rules.items():
        rule = rules.get(identifier)
        if rule is not None and rule.waivable and rule.digest == digest:
            yield identifier
