"""Which rules matched and how risky the call is in, the verdict that says so out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from countersign.policy.compile import Policy
from countersign.policy.lanes import Lane
from countersign.policy.rules import Rule
from countersign.policy.values import Because, Mode, Outcome, Reason, Requirement, Risk, StepUp, Verdict

_REFUSALS = {
    Reason.UNKNOWN_AGENT: "This agent is not registered.",
    Reason.AGENT_INACTIVE: "This agent has been deactivated.",
    Reason.UNKNOWN_TOOL: "This tool is not registered.",
    Reason.TOOL_INACTIVE: "This tool has been deactivated.",
    Reason.TOOL_GROUP: "This agent may not use tools of this group.",
    Reason.METHOD: "This method is not registered for the tool.",
    Reason.INTENT: "This agent may not act with this intent, or did not state one.",
    Reason.PRINCIPAL: "This tool needs a principal proven by a token.",
    Reason.ARGUMENTS_SCHEMA: "The arguments do not fit the tool's schema.",
    Reason.ARGUMENT_RULE: "An argument is not of the style the tool allows.",
}
_STRENGTH = {step_up: n for n, step_up in enumerate(StepUp)}


def _refusal(reason: Reason, mode: Mode, message: str) -> Verdict:
    because = (Because(reason, message),)
    return Verdict(Outcome.DENY, reason, because, mode=mode, registry_denied=True)


_CONSTANT = {(reason, mode): _refusal(reason, mode, words) for reason, words in _REFUSALS.items() for mode in Mode}


def refused(reason: Reason, mode: Mode, message: str = "") -> Verdict:
    """A denial by the registry, which `observe` does not relax."""
    return _refusal(reason, mode, message) if message else _CONSTANT[reason, mode]


def decided(policy: Policy, lane: Lane, matched: int, risk: Risk | None) -> Verdict:
    """The verdict of the rules in `matched` (bits of the lane), after risk had its say."""
    verdict = _by_rules(lane, matched)
    if risk is not None:
        verdict = _by_risk(policy, lane, replace(verdict, risk=risk), risk)
    noted = tuple(_observed(rule) for rule in _matching(lane, matched) if not rule.binds)
    return replace(verdict, mode=policy.mode, reasons=verdict.reasons + noted)


def _matching(lane: Lane, mask: int) -> list[Rule]:
    return [rule for n, rule in enumerate(lane.rules) if mask >> n & 1]


def _by_rules(lane: Lane, matched: int) -> Verdict:
    """Deny over escalate over allow; nothing is deny."""
    denies, escalates, allows = (
        _matching(lane, matched & lane.effects[effect]) for effect in (Outcome.DENY, Outcome.ESCALATE, Outcome.ALLOW)
    )
    if denies:
        return _told(Outcome.DENY, Reason.RULE, denies, obliging=denies)
    if escalates:
        return _escalation(lane, escalates, allows)
    if allows:
        return _told(Outcome.ALLOW, Reason.RULE, allows, obliging=allows)
    return Verdict(Outcome.DENY, Reason.NO_RULE, (Because(Reason.NO_RULE, "No rule allows this call."),))


def _told(outcome: Outcome, reason: Reason, rules: Sequence[Rule], *, obliging: Sequence[Rule]) -> Verdict:
    return Verdict(
        outcome,
        reason,
        tuple(Because(Reason.RULE, rule.message, rule.id) for rule in rules),
        rule=rules[0].id,
        obligations=_obligations(obliging),
    )


def _escalation(lane: Lane, escalates: Sequence[Rule], allows: Sequence[Rule]) -> Verdict:
    """Whom to ask; a denial if there is nobody, for such a request could only ever expire."""
    wanted = [lane.tool.approval] if lane.tool and lane.tool.approval else []
    requirements = merged([*wanted, *(rule.requirement for rule in escalates if rule.requirement)])
    if not requirements:
        denied = _told(Outcome.DENY, Reason.RULE, escalates, obliging=())
        nobody = Because(Reason.RULE, "Approval is needed, but nobody is named who could give it.", escalates[0].id)
        return replace(denied, reasons=(*denied.reasons, nobody))
    asked = _told(Outcome.ESCALATE, Reason.APPROVAL_REQUIRED, escalates, obliging=[*escalates, *allows])
    return replace(asked, requirements=requirements)


def _by_risk(policy: Policy, lane: Lane, verdict: Verdict, risk: Risk) -> Verdict:
    limits = policy.risk
    if limits is None or verdict.outcome is Outcome.DENY:
        return verdict
    if risk.score >= limits.auto_block_from:
        because = Because(Reason.RISK_BLOCK, "The risk of this call is too high for anyone to approve.")
        return Verdict(Outcome.DENY, Reason.RISK_BLOCK, (because, *verdict.reasons), risk=risk)
    if verdict.outcome is Outcome.ALLOW and risk.score >= limits.auto_allow_below:
        return _reviewed(lane, verdict)
    return verdict


def _reviewed(lane: Lane, verdict: Verdict) -> Verdict:
    """An allow that a person must look at first, or a denial where the tool names nobody."""
    if lane.tool is None or lane.tool.approval is None:
        because = Because(Reason.RISK_REVIEW, "The risk of this call needs a review, but the tool names no approvers.")
        return Verdict(Outcome.DENY, Reason.RISK_REVIEW, (because, *verdict.reasons), risk=verdict.risk)
    return replace(
        verdict,
        outcome=Outcome.ESCALATE,
        reason=Reason.RISK_REVIEW,
        rule=None,
        reasons=(Because(Reason.RISK_REVIEW, "The risk of this call needs a review."), *verdict.reasons),
        requirements=(lane.tool.approval,),
    )


def merged(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """One requirement a set of teams, the stricter of each part winning; sorted, so that order cannot matter."""
    by_teams: dict[frozenset[str], Requirement] = {}
    for one in requirements:
        teams = frozenset(one.teams)
        other = by_teams.get(teams)
        by_teams[teams] = _stricter(other, one) if other else one
    return tuple(sorted(by_teams.values(), key=lambda one: one.source))


def _stricter(one: Requirement, other: Requirement) -> Requirement:
    return Requirement(
        source=",".join(sorted({*one.source.split(","), *other.source.split(",")})),
        teams=tuple(sorted(one.teams)),
        quorum=max(one.quorum, other.quorum),
        step_up=max(one.step_up, other.step_up, key=_STRENGTH.__getitem__),
        expires_in=min(one.expires_in, other.expires_in),
        approved_for=min(one.approved_for, other.approved_for),
        uses=min(one.uses, other.uses),
    )


def _obligations(rules: Sequence[Rule]) -> tuple[Mapping[str, Any], ...]:
    """What all these rules oblige to, each thing once."""
    return each_once(one for rule in rules for one in rule.obligations)


def each_once(obligations: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple({json.dumps(one, sort_keys=True, default=str): one for one in obligations}.values())


_WOULD = {Outcome.ALLOW: "allow", Outcome.DENY: "deny", Outcome.ESCALATE: "ask for approval of"}


def _observed(rule: Rule) -> Because:
    return Because(Reason.RULE, f"Only observed: this rule would {_WOULD[rule.effect]} the call.", rule.id)
