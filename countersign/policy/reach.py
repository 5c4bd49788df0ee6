"""A rule or a tool and the registry in; what it speaks of, and for whose calls too few could answer, in words, out."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from countersign.policy import globs
from countersign.policy.rules import Rule
from countersign.policy.tools import People, everybody
from countersign.policy.values import Agent, Registry, Requirement, Tool

_NAMED = 3  # of the agents that a warning is about; the rest is told as a number


def tools_of(rule: Rule, registry: Registry) -> Iterator[Tool]:
    """The tools that the rule speaks of."""
    wanted = [glob for kind, glob in rule.match.resources or (("tool", "**"),) if kind == "tool"]
    names = globs.Names((glob, 1) for glob in wanted)
    return (tool for tool in registry.tools.values() if names.mask(tool.id))


def agents_of(rule: Rule, registry: Registry) -> Iterator[Agent]:
    """The active agents that the rule speaks of and that may call something it speaks of."""
    wanted = [glob for kind, glob in rule.match.subjects or (("agent", "**"),) if kind == "agent"]
    names = globs.Names((glob, 1) for glob in wanted)
    fitting = (agent for agent in registry.agents.values() if agent.active and names.mask(agent.id))
    if rule.match.resources is None or any(kind != "tool" for kind, _ in rule.match.resources):
        return fitting  # what is no tool is in no group
    return _may_call(fitting, {tool.group for tool in tools_of(rule, registry) if tool.active})


def _may_call(agents: Iterable[Agent], groups: Iterable[str]) -> Iterator[Agent]:
    return (agent for agent in agents if any(globs.matches_any(agent.tool_groups, group) for group in groups))


def missed(
    requirement: Requirement, agents: Iterable[Agent], people: People, humans: Mapping[str, Hashable]
) -> str | None:
    """In words, those of the agents whose owner is missed: who cannot answer for their own, and without whom the
    quorum is out of reach. None if there are none.

    `humans` says as whom `people` know an owner, where not by the username. A warning and no error: the same rule
    may serve other agents, and an agent may change hands.
    """
    eligible = everybody(requirement, people)
    could = len(eligible) - 1
    if could >= requirement.quorum:  # the usual case; nobody looks at the agents then
        return None
    found = [agent for agent in agents if humans.get(agent.owner, agent.owner) in eligible]
    if not found:
        return None
    return _words(requirement, sorted(found, key=lambda agent: agent.id), could)


def missed_by_tool(tool: Tool, registry: Registry, people: People, humans: Mapping[str, Hashable]) -> str | None:
    """The same of a tool's own approval block and the agents that may call it."""
    if tool.approval is None or not tool.active:
        return None
    active = (agent for agent in registry.agents.values() if agent.active)
    return missed(tool.approval, _may_call(active, {tool.group}), people, humans)


def _words(requirement: Requirement, agents: Sequence[Agent], could: int) -> str:
    first, *others = agents
    told = [f"{agent.id} of {agent.owner}" for agent in others[: _NAMED - 1]]
    if more := len(others) - len(told):
        told.append(f"{more} more")
    so_too = f" (the same goes for {', '.join(told)})" if told else ""
    numbers = f"{could or 'none'} of {', '.join(requirement.teams)} could, {requirement.quorum} must"
    return f"{first.id} is {first.owner}'s, who cannot answer for it: {numbers}{so_too}"
