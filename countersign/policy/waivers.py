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
from countersign.policy.globs import Patterns
from countersign.policy.index import Index, Part
from countersign.policy.lanes import VERDICTS_PER_LANE, Key, Lane
from countersign.policy.laying import lane_of, lay
from countersign.policy.rules import Match, Rule
from countersign.policy.values import Because, Call, Outcome, Reason, Tier, Verdict

REMEMBERED: Final = 40_000
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


class Ready:
    """A waiver that fits a call's names, rule and registry, the lane in which its rules are lifted, and what it made of
    the verdicts of that lane so far.
    """

    __slots__ = ("lane", "lifted", "waiver")

    def __init__(self, waiver: Waiver, lane: Lane) -> None:
        self.waiver = waiver
        self.lane = lane
        self.lifted: dict[int, tuple[Verdict, Lifted]] = {}


class Waivers:
    """All waivers of a tenant that are in force. Immutable but for what it remembers of the verdicts it was shown.

    A verdict that a rule gave is one object for one bundle and one set of names (`Lane.verdicts`), so what could lift
    it is remembered by its identity; `is` says whether it is still the same.
    """

    __slots__ = ("_index", "_whole", "all", "remembered")

    def __init__(self, waivers: Sequence[Waiver] = ()) -> None:
        self.all = tuple(sorted(waivers, key=lambda one: (one.expires_at, one.id)))  # what ends first is used first
        self._index = Index(self.all)
        self._whole = (1 << len(self.all)) - 1
        self.remembered: dict[int, tuple[Verdict, tuple[Ready, ...]]] = {}

    def could_lift(self, bundle: Bundle, call: Call, verdict: Verdict) -> tuple[Ready, ...]:
        """Those that could turn `verdict` on a call of these names into an allow, in the order they are used.

        None where no rule said so (registry, risk, nothing matched), or nothing is held up.
        """
        rule = verdict.rule
        if not self.all or rule is None or not verdict.held_up:
            return ()
        found = tuple(self._fitting(bundle, _key(call), rule))
        if len(self.remembered) >= REMEMBERED:
            self.remembered = {}
        self.remembered[id(verdict)] = (verdict, found)
        return found

    def patterns(self, part: Part, call: Call) -> Patterns:
        """What names waivers speak of in one part of a call, the others being those of `call`."""
        if not self.all:
            return Patterns()
        subject_type, subject_id, action, resource_type, resource_id, intent = _key(call)
        subject, resource = (subject_type, subject_id), (resource_type, resource_id)
        return self._index.patterns(part, subject, action, resource, intent or "", among=self._whole)

    def _fitting(self, bundle: Bundle, key: Key, rule: str) -> Iterator[Ready]:
        subject_type, subject_id, action, resource_type, resource_id, intent = key
        found = self._index.candidates((subject_type, subject_id), action, (resource_type, resource_id), intent or "")
        if not found:
            return
        rules = {one.id: one for one in lane_of(bundle, key).rules}
        for waiver in found:
            if rule in waiver.rules and _is_pinned(waiver, key) and _as_granted(waiver, bundle, key):
                lifted = frozenset(_liftable(waiver, rules))
                yield Ready(waiver, lay(bundle, key, lifted=lifted))


def _key(call: Call) -> Key:
    return (call.subject_type, call.subject_id, call.action_name, call.resource_type, call.resource_id, call.intent)


def _is_pinned(waiver: Waiver, key: Key) -> bool:
    """Whether agent and tool are those of the day it was asked for: a glob reaches nobody who came later."""
    subject_type, subject_id, _, resource_type, resource_id, _ = key
    if subject_type == "agent" and subject_id not in waiver.agents:
        return False
    if resource_type == "tool" and resource_id not in waiver.tools:
        return False
    return resource_type != RESOURCE


def _as_granted(waiver: Waiver, bundle: Bundle, key: Key) -> bool:
    """Whether the tool is still what people said yes to."""
    _, _, _, resource_type, resource_id, _ = key
    if resource_type != "tool":
        return True
    pin, compiled = waiver.tools[resource_id], bundle.tools[resource_id]
    if compiled.schema_digest != pin.schema_digest or compiled.tool.risk_tier > pin.risk_tier:
        return False
    return waiver.condition is not None or not compiled.tool.wrapper


def _liftable(waiver: Waiver, rules: Mapping[str, Rule]) -> Iterator[str]:
    """Of its rules, those that are still the same and still say that they may be waived."""
    for identifier, digest in waiver.rules.items():
        rule = rules.get(identifier)
        if rule is not None and rule.waivable and rule.digest == digest:
            yield identifier


def lift(
    waivers: Waivers, bundle: Bundle, call: Call, verdict: Verdict, *, now: datetime, without: Collection[str] = ()
) -> Lifted | None:
    """The first waiver under which `call`, on which `verdict` was given, is allowed; None if there is none.

    `without` names waivers that are not to be looked at. One waiver must lift every rule in the way: what two of them
    would let through together nobody has granted.
    """
    known = waivers.remembered.get(id(verdict))
    could = known[1] if known is not None and known[0] is verdict else waivers.could_lift(bundle, call, verdict)
    for ready in could:
        waiver = ready.waiver
        if waiver.id in without or not waiver.not_before <= now < waiver.expires_at:
            continue
        if _holds(waiver, bundle, call, now=now):
            judged = evaluate(bundle, call, now=now, lane=ready.lane)
            if judged.outcome is Outcome.ALLOW:
                return _lifted(ready, judged, verdict)
    return None


def _lifted(ready: Ready, judged: Verdict, verdict: Verdict) -> Lifted:
    known = ready.lifted.get(id(judged))
    if known is not None and known[0] is judged and known[1].without is verdict:
        return known[1]
    lifted = Lifted(ready.waiver, _told(ready.waiver, judged, verdict), verdict)
    if len(ready.lifted) >= VERDICTS_PER_LANE:
        ready.lifted = {}
    ready.lifted[id(judged)] = (judged, lifted)
    return lifted


def _holds(waiver: Waiver, bundle: Bundle, call: Call, *, now: datetime) -> bool:
    """Whether it is for this principal, and its condition is true of this call. One that errors is not."""
    if waiver.principals is not None and (call.principal is None or call.principal.id not in waiver.principals):
        return False
    if waiver.condition is None:
        return True
    try:
        return waiver.condition.check(facts_of(bundle, call, now=now))
    except EvaluationError:
        return False


def _told(waiver: Waiver, judged: Verdict, verdict: Verdict) -> Verdict:
    """The allow, with what would have been said first among its reasons, and what is obliged in its stead."""
    words = f"Waiver {waiver.id} lets this call through."
    return replace(
        judged,
        reason=Reason.WAIVER,
        rule=verdict.rule,
        reasons=(Because(Reason.WAIVER, words), *verdict.reasons),
        obligations=verdicts.each_once((*verdict.obligations, *waiver.obligations, *judged.obligations)),
    )
