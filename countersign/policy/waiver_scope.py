"""Terms and a bundle in; what the exception is pinned to and who must grant it, or why it cannot be asked for, out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from countersign.policy import globs, verdicts
from countersign.policy.bundle import Bundle, CompiledTool
from countersign.policy.faults import Form, did_you_mean
from countersign.policy.laying import for_tool, rules_of_tool
from countersign.policy.rules import TOOL_RULE, Rule
from countersign.policy.values import Outcome, Requirement, Tier
from countersign.policy.waiver_terms import Terms
from countersign.policy.waivers import Pin, Waiver

CEILINGS: Final[Mapping[Tier, timedelta]] = MappingProxyType(
    {
        Tier.LOW: timedelta(days=366),
        Tier.MODERATE: timedelta(days=180),
        Tier.HIGH: timedelta(days=90),
        Tier.CRITICAL: timedelta(days=30),
    }
)
"""How long a waiver may hold at most, by the highest risk tier among its tools."""
NO_TOOL: Final = Tier.HIGH
"""The tier that counts for what is no tool."""
PENDING: Final = timedelta(days=7)
"""How long people have to grant one."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an exception is pinned to on the day it is asked for, and who must grant it."""

    rules: Mapping[str, str]
    agents: tuple[str, ...]
    tools: Mapping[str, Pin]
    risk_tier: Tier
    not_before: datetime
    requirements: tuple[Requirement, ...]

    @property
    def written(self) -> dict[str, Any]:
        """As plain JSON: part of what people vote on."""
        return {
            "rules": dict(self.rules),
            "agents": list(self.agents),
            "tools": {
                name: {"schema_digest": pin.schema_digest, "risk_tier": int(pin.risk_tier)}
                for name, pin in self.tools.items()
            },
        }


class Times(NamedTuple):
    """From when on, and until before when."""

    not_before: datetime
    expires_at: datetime


def scope(terms: Terms, bundle: Bundle, *, now: datetime) -> Scope:
    """Raises InvalidError, each fault at its place in the terms."""
    form = Form()
    tools = {name: tool for name, tool in bundle.tools.items() if _names(terms, "tool", name) and tool.tool.active}
    agents = [name for name in sorted(bundle.agents) if _names(terms, "agent", name)]
    if not tools and any(kind == "tool" for kind, _ in terms.match.resources or ()):
        form.refuse(("match", "tools"), "no registered tool is meant by this")
    if not agents and any(kind == "agent" for kind, _ in terms.match.subjects or ()):
        form.refuse(("match", "agents"), "no registered agent is meant by this")
    for name, tool in tools.items():
        if tool.tool.wrapper and terms.condition is None:
            form.refuse(("when",), f"{name} runs whatever it is given: say by a condition which calls are meant")
    rules = _rules(form, terms, bundle, tools)
    tier = max((tool.tool.risk_tier for tool in tools.values()), default=NO_TOOL)
    start = max(now, terms.not_before or now)
    _check_time(form, terms, tier, start=start, now=now)
    form.settle()
    requirements = _requirements(form, rules, tools, until=terms.expires_at, now=now)
    form.settle()
    return Scope(
        rules={rule.id: rule.digest for rule in rules},
        agents=tuple(agents),
        tools={name: _pin(tools[name]) for name in sorted(tools)},
        risk_tier=tier,
        not_before=start,
        requirements=requirements,
    )


def waiver(identifier: str, version: int, terms: Terms, pinned: Mapping[str, Any], *, times: Times) -> Waiver:
    """The waiver that was granted on these terms and this `Scope.written`. Raises KeyError, TypeError or ValueError for
    what is none.
    """
    return Waiver(
        id=identifier,
        version=version,
        category=terms.category,
        rules=pinned["rules"],
        match=terms.match,
        agents=frozenset(pinned["agents"]),
        tools={name: Pin(pin["schema_digest"], Tier(pin["risk_tier"])) for name, pin in pinned["tools"].items()},
        not_before=times.not_before,
        expires_at=times.expires_at,
        principals=terms.principals,
        condition=terms.condition,
        obligations=tuple(
            {name: part for name, part in one.said.items() if name != "kind"}
            for one in terms.controls
            if one.kind == "obligation"
        ),
    )


def _names(terms: Terms, kind: str, name: str) -> bool:
    typed = terms.match.resources if kind == "tool" else terms.match.subjects
    return globs.matches_any((glob for named, glob in typed or () if named == kind), name)


def _pin(tool: CompiledTool) -> Pin:
    return Pin(tool.schema_digest, tool.tool.risk_tier)


def _rules(form: Form, terms: Terms, bundle: Bundle, tools: Mapping[str, CompiledTool]) -> list[Rule]:
    """The rules that are to be lifted, each of which may be and could speak of what is meant."""
    known = {rule.id: rule for rule in bundle.policy.rules}
    own = {rule.id: rule for tool in tools.values() for rule in rules_of_tool(tool.tool)}
    if TOOL_RULE in terms.rules and len(tools) > 1:
        form.refuse(("rules",), f"{TOOL_RULE!r} is another rule for each tool: ask for one tool at a time")
    found = []
    for n, identifier in enumerate(terms.rules):
        rule = known.get(identifier) or own.get(identifier)
        if rule is None:
            form.refuse(("rules", n), f"the policy has no rule {identifier!r}{did_you_mean(identifier, known)}")
        elif rule.effect is Outcome.ALLOW:
            form.refuse(("rules", n), f"{identifier!r} allows: there is nothing to waive")
        elif not rule.waivable:
            form.refuse(("rules", n), f"{identifier!r} does not say `waivable: true`, so nobody can waive it")
        else:
            found.append(rule)
    return found


def _check_time(form: Form, terms: Terms, tier: Tier, *, start: datetime, now: datetime) -> None:
    if terms.expires_at <= start:
        form.refuse(("expires_at",), "must be later than its start and than now")
    elif terms.expires_at - now > CEILINGS[tier]:
        form.refuse(("expires_at",), f"at risk tier {int(tier)} a waiver ends within {CEILINGS[tier].days} days")
    for n, control in enumerate(terms.controls):
        if control.valid_until is not None and control.valid_until <= now:
            form.refuse(("controls", n, "valid_until"), "is over already")


def _requirements(
    form: Form, rules: list[Rule], tools: Mapping[str, CompiledTool], *, until: datetime, now: datetime
) -> tuple[Requirement, ...]:
    """The strictest that any of its rules and tools asks for: once granted, nobody is asked for the single call."""
    wanted = list(_each_requirement(rules, tools))
    if not wanted:
        form.refuse(("rules",), "neither these rules nor the tools name who could approve, so nobody could grant this")
    wait = min(PENDING, until - now)
    return tuple(replace(one, expires_in=wait, approved_for=until - now, uses=1) for one in verdicts.merged(wanted))


def _each_requirement(rules: list[Rule], tools: Mapping[str, CompiledTool]) -> Iterator[Requirement]:
    for rule in rules:
        if rule.requirement is not None and not tools:
            yield rule.requirement
        for tool in tools.values():
            settled = for_tool(rule, tool.tool).requirement
            if settled is not None:
                yield settled
    for tool in tools.values():
        if tool.tool.approval is not None:
            yield tool.tool.approval
