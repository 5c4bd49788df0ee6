"""A bundle and the names of a call in, its lane out: the registry's word, and the rules that can speak of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from countersign.policy import verdicts
from countersign.policy.bundle import Bundle, CompiledAgent, CompiledTool
from countersign.policy.lanes import Judged, Key, Lane
from countersign.policy.risk import unverified_points
from countersign.policy.rules import TOOL_RULE, Match, Rule, digest_of
from countersign.policy.values import EMPTY, Outcome, Reason, Tool, tier_step_up

_IN_THEIR_PLACE = Rule(id="", effect=Outcome.ALLOW, match=Match(), message="A waiver stands in the place of its rules.")
_EFFECTS = (Outcome.DENY, Outcome.ESCALATE, Outcome.ALLOW)


def lane_of(bundle: Bundle, key: Key) -> Lane:
    """The lane of these names, as it is remembered or new."""
    return bundle.lanes.recent.get(key) or bundle.lanes.promoted(key) or lay(bundle, key)


def lay(bundle: Bundle, key: Key, *, lifted: frozenset[str] = frozenset()) -> Lane:
    """The lane of these names. One that unknown names lead to is not kept: there is no end to them.

    With rules `lifted`, the lane in which an allow stands in their place; it is the caller's to keep.
    """
    subject_type, subject_id, action, resource_type, resource_id, intent = key
    agent = bundle.agents.get(subject_id) if subject_type == "agent" else None
    tool = bundle.tools.get(resource_id) if resource_type == "tool" else None
    reason = _refusal(key, agent, tool)
    if reason is not None:
        return Lane(verdicts.refused(reason, bundle.policy.mode))
    if tool is not None and tool.broken:
        return Lane(verdicts.refused(Reason.ARGUMENTS_SCHEMA, bundle.policy.mode, tool.broken))
    candidates = bundle.index.candidates((subject_type, subject_id), action, (resource_type, resource_id), intent or "")
    lane = Lane()
    _say_who(lane, bundle, key, agent)
    if tool is not None:
        _say_what(lane, tool)
    rules = [for_tool(rule, lane.tool) for rule in candidates] + rules_of_tool(lane.tool)
    if lifted:
        _set_rules(lane, [*(rule for rule in rules if rule.id not in lifted), _IN_THEIR_PLACE])
        return lane
    _set_rules(lane, rules)
    bundle.lanes.keep(key, lane)
    return lane


def _refusal(key: Key, agent: CompiledAgent | None, tool: CompiledTool | None) -> Reason | None:
    """The first thing the registry has against these names, in the order the documentation promises."""
    subject_type, _, action, resource_type, _, intent = key
    checks = (
        (subject_type == "agent" and agent is None, Reason.UNKNOWN_AGENT),
        (agent is not None and not agent.agent.active, Reason.AGENT_INACTIVE),
        (resource_type == "tool" and tool is None, Reason.UNKNOWN_TOOL),
        (tool is not None and not tool.tool.active, Reason.TOOL_INACTIVE),
        (agent and tool and not agent.groups.mask(tool.tool.group), Reason.TOOL_GROUP),
        (tool is not None and action not in tool.tool.methods, Reason.METHOD),
        (agent is not None and not agent.may_intend(intent or ""), Reason.INTENT),
    )
    return next((reason for holds, reason in checks if holds), None)


def _say_who(lane: Lane, bundle: Bundle, key: Key, agent: CompiledAgent | None) -> None:
    subject_type, subject_id, _, resource_type, resource_id, _ = key
    entities = bundle.registry.entities
    subject, resource = entities.get((subject_type, subject_id)), entities.get((resource_type, resource_id))
    lane.agent_view = agent.view if agent else EMPTY
    lane.registered = (
        agent.view if agent else (subject.properties if subject else EMPTY),
        resource.properties if resource else EMPTY,
    )


def _say_what(lane: Lane, compiled: CompiledTool) -> None:
    tool = compiled.tool
    lane.tool = tool
    lane.tool_view = compiled.view
    lane.registered = (lane.registered[0], compiled.view)
    lane.needs_proof = tool.requires_verified_principal
    lane.fits, lane.explain = compiled.fits, compiled.explain
    lane.argument_rules = compiled.argument_rules
    lane.factors = compiled.factors
    lane.amounts = compiled.amounts
    lane.amount = tool.caps.spend.argument if tool.caps.spend else ""
    lane.unverified = unverified_points(tool)


def _set_rules(lane: Lane, rules: Sequence[Rule]) -> None:
    """Give each rule a bit; sort out what must be asked of a call, what holds anyway and what cannot matter."""
    lane.rules = tuple(rules)
    lane.fixed = _bits(rules, lambda rule: rule.condition is None)
    lane.effects = {effect: _bits(rules, partial(_binds, effect)) for effect in _EFFECTS}
    asked = [_judged(lane, rule, 1 << n) for n, rule in enumerate(rules) if rule.condition]
    order = {bit: n for n, bit in enumerate(_in_order(rules))}
    lane.judged = tuple(sorted((one for one in asked if not one.unless & lane.fixed), key=lambda one: order[one.bit]))


def _binds(effect: Outcome, rule: Rule) -> bool:
    return rule.binds and rule.effect is effect


def _bits(rules: Sequence[Rule], holds: Callable[[Rule], bool]) -> int:
    return sum(1 << n for n, rule in enumerate(rules) if holds(rule))


def _in_order(rules: Sequence[Rule]) -> list[int]:
    """Bits as they are asked: what only notes, then deny, escalate, allow; those that carry obligations first."""
    rank = {effect: n for n, effect in enumerate(_EFFECTS)}
    numbered = sorted(enumerate(rules), key=lambda one: (one[1].binds, rank[one[1].effect], not one[1].obligations))
    return [1 << n for n, _ in numbered]


def _judged(lane: Lane, rule: Rule, bit: int) -> Judged:
    deny, escalate, allow = (lane.effects[effect] for effect in _EFFECTS)
    unless = 0
    if rule.binds and rule.effect is Outcome.ESCALATE:
        unless = deny
    elif rule.binds and rule.effect is Outcome.ALLOW:
        # An allow beside another adds nothing but its obligations.
        unless = deny if rule.obligations else deny | escalate | allow
    assert rule.condition is not None
    fails_closed = 0 if rule.effect is Outcome.ALLOW else bit
    return Judged(bit, unless, fails_closed, rule.condition.check)


def for_tool(rule: Rule, tool: Tool | None) -> Rule:
    """The rule with its step-up settled: a block that names none takes the default of the tool's tier."""
    if rule.requirement is None or not rule.default_step_up or tool is None:
        return rule
    return replace(rule, requirement=replace(rule.requirement, step_up=tier_step_up(tool.risk_tier)))


def rules_of_tool(tool: Tool | None) -> list[Rule]:
    """The rule that a tool's `always: true` makes, if it says so."""
    if tool is None or not tool.always_escalates:
        return []
    asks = repr((tool.approval, tool.always_escalates))
    return [
        Rule(
            id=TOOL_RULE, effect=Outcome.ESCALATE, match=Match(), message="This tool always asks for approval.",
            waivable=True, digest=digest_of({"tool": tool.id, "approval": asks}),
        )
    ]  # fmt: skip
