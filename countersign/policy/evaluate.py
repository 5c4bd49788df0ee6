"""Bundle and call in, verdict out. No I/O, no clock, no globals.

Who and what is registered comes first, then the arguments, then the rules, then risk. Everything about a call that
its names alone decide is worked out once and kept as a lane (`laying`); what is left for each call is the arguments'
schema, the conditions of the few rules that can speak of it, and the look-up of a finished verdict.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from countersign.policy import verdicts
from countersign.policy.bundle import Bundle
from countersign.policy.cel import Environment, EvaluationError
from countersign.policy.lanes import Lane
from countersign.policy.laying import lane_of, lay
from countersign.policy.risk import amount_points, as_cel, score
from countersign.policy.rules import Rule
from countersign.policy.values import Call, Reason, Risk, Verdict

_new: Final = object.__new__
_UNREADABLE: Final = (ValueError, TypeError, RecursionError)  # what the validator cannot even look at does not fit
_AMOUNT_BITS: Final = 5  # 0 to 20
_DYNAMIC_BITS: Final = _AMOUNT_BITS + 1


def evaluate(  # noqa: C901, PLR0912 -- one frame: it is hot
    bundle: Bundle, call: Call, *, now: datetime, lane: Lane | None = None
) -> Verdict:
    """What the policy says of `call` at `now` (aware). Verdicts are shared: treat them as constants.

    `lane` is another than the call's own: one that leaves rules out (`waivers`).
    """
    lanes = bundle.lanes
    if lane is None:
        key = (call.subject_type, call.subject_id, call.action_name, call.resource_type, call.resource_id, call.intent)
        lane = lanes.recent.get(key) or lanes.promoted(key) or lay(bundle, key)
    if lane.refusal is not None:
        return lane.refusal
    arguments = call.arguments
    if lane.needs_proof and not (call.principal and call.principal.verified):
        return verdicts.refused(Reason.PRINCIPAL, bundle.policy.mode)
    if lane.fits is not None:
        try:
            fits = lane.fits(arguments)
        except _UNREADABLE:
            fits = False
        if not fits:
            return verdicts.refused(Reason.ARGUMENTS_SCHEMA, bundle.policy.mode, _explained(lane, arguments))
    if lane.argument_rules:
        for rule in lane.argument_rules:
            if why := rule.refuses(arguments):
                return verdicts.refused(Reason.ARGUMENT_RULE, bundle.policy.mode, why)
    points = 0
    if lane.amounts and lane.amount in arguments:
        points = amount_points(lane.amounts, arguments[lane.amount])
    if lane.unverified and call.principal and not call.principal.verified:
        points |= 1 << _AMOUNT_BITS
    matched = lane.fixed
    if lane.judged:
        facts: Facts = _new(Facts)
        facts.given = (call, lane, now, points)
        facts.arguments = arguments
        facts.intent = call.intent or ""
        for bit, unless, on_error, check in lane.judged:
            if matched & unless:
                continue
            try:
                if check(facts):
                    matched |= bit
            except EvaluationError:
                matched |= on_error
    verdict = lane.verdicts.get(matched << _DYNAMIC_BITS | points)
    if verdict is None:
        verdict = verdicts.decided(bundle.policy, lane, matched, _risk(lane, points))
        lanes.remember(lane, matched << _DYNAMIC_BITS | points, verdict)
    return verdict


def facts_of(bundle: Bundle, call: Call, *, now: datetime) -> "Facts":
    """What conditions see of this call, its risk without what its arguments add: for what is asked beside the rules."""
    key = (call.subject_type, call.subject_id, call.action_name, call.resource_type, call.resource_id, call.intent)
    facts: Facts = _new(Facts)
    facts.given = (call, lane_of(bundle, key), now, 0)
    facts.arguments, facts.intent = call.arguments, call.intent or ""
    return facts


def unanswered(bundle: Bundle, call: Call, *, now: datetime) -> Iterator[tuple[Rule, EvaluationError]]:
    """Rules whose conditions fail for this call, if the registry lets it come so far. For people, not for deciding."""
    facts = facts_of(bundle, call, now=now)
    lane = facts.given[1]
    for judged in lane.judged:
        try:
            judged.check(facts)
        except EvaluationError as error:
            yield lane.rules[judged.bit.bit_length() - 1], error


def _explained(lane: Lane, arguments: Any) -> str:
    try:
        return lane.explain(arguments) if lane.explain else ""
    except _UNREADABLE:
        return "The arguments cannot be checked against the tool's schema."


def _risk(lane: Lane, points: int) -> Risk | None:
    if lane.tool is None:
        return None
    unverified = lane.unverified if points >> _AMOUNT_BITS else 0
    return score(lane.factors, amount=points & (1 << _AMOUNT_BITS) - 1, unverified=unverified)


class Facts(Environment):
    """What conditions see of one call, each part made when a condition first looks at it: most look at one or two."""

    __slots__ = ("given",)

    given: tuple[Call, Lane, datetime, int]

    def __getattr__(self, name: str) -> Any:
        value = _MAKERS[name](*self.given)
        setattr(self, name, value)
        return value


def _principal(call: Call, *_: object) -> dict[str, Any]:
    who = call.principal
    return {"type": who.type, "id": who.id, "verified": who.verified} if who else {}


def _subject(call: Call, lane: Lane, *_: object) -> dict[str, Any]:
    named = {"type": call.subject_type, "id": call.subject_id}
    return {**named, "properties": call.subject_properties, "registered": lane.registered[0]}


def _resource(call: Call, lane: Lane, *_: object) -> dict[str, Any]:
    named = {"type": call.resource_type, "id": call.resource_id}
    return {**named, "properties": call.resource_properties, "registered": lane.registered[1]}


def _action(call: Call, *_: object) -> dict[str, Any]:
    return {"name": call.action_name, "properties": call.action_properties}


def _risk_view(_: Call, lane: Lane, __: datetime, points: int) -> Mapping[str, Any]:
    found = _risk(lane, points)
    return as_cel(found) if found else {}


_MAKERS: Final[Mapping[str, Callable[..., Any]]] = {
    "agent": lambda _, lane, *__: lane.agent_view,
    "tool": lambda _, lane, *__: lane.tool_view,
    "method": lambda call, *_: call.action_name,
    "principal": _principal,
    "session": lambda call, *_: call.session or "",
    "transaction": lambda call, *_: call.transaction or "",
    "risk": _risk_view,
    "now": lambda _, __, now, ___: now,
    "environment": lambda call, *_: call.environment,
    "subject": _subject,
    "action": _action,
    "resource": _resource,
    "context": lambda call, *_: call.context,
}
