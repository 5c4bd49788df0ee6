"""A policy and a registry in, the immutable thing calls are judged with out; either part can be replaced alone."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from countersign.policy import globs, risk
from countersign.policy.compile import Policy
from countersign.policy.faults import InvalidError
from countersign.policy.index import Index
from countersign.policy.lanes import Lanes
from countersign.policy.release import BadReleaseError as BadReleaseError
from countersign.policy.release import Release as Release
from countersign.policy.release import open_release as open_release
from countersign.policy.release import sign as sign
from countersign.policy.rules import Rule
from countersign.policy.shelves import Shelves
from countersign.policy.source import Problem
from countersign.policy.tools import ArgumentRule, check_argument_rules, check_schema
from countersign.policy.values import Agent, Registry, RiskFactor, Tool
from countersign.proof import canonical


@dataclass(frozen=True, slots=True)
class CompiledAgent:
    """An agent with its globs compiled, and as conditions see it."""

    agent: Agent
    groups: globs.Names
    intents: globs.Names
    view: Mapping[str, Any]

    def may_intend(self, intent: str) -> bool:
        """No intent is the empty one: `*` and `**` cover it. An agent that declares none may state none."""
        return bool(self.intents.mask(intent)) if self.agent.intents else intent == ""


@dataclass(frozen=True, slots=True)
class CompiledTool:
    """A tool with its schema, rules and risk compiled, and as conditions see it.

    `broken` says why nothing may be called: what is registered cannot be compiled, so it cannot be checked either.
    """

    tool: Tool
    schema_digest: str | None
    fits: Callable[[Any], bool] | None
    explain: Callable[[Any], str] | None
    argument_rules: tuple[ArgumentRule, ...]
    factors: tuple[RiskFactor, ...]
    amounts: tuple[Decimal, ...]
    view: Mapping[str, Any]
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything one tenant's calls are judged with. `lanes` remembers what was worked out; it holds no state, nor do
    the `shelves` of names that searches look through.
    """

    policy: Policy
    registry: Registry
    agents: Mapping[str, CompiledAgent]
    tools: Mapping[str, CompiledTool]
    index: Index[Rule]
    shelves: Shelves = field(compare=False, repr=False)
    epoch: int = 0
    lanes: Lanes = field(default_factory=Lanes, compare=False, repr=False)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return self.policy.warnings


def build(policy: Policy, registry: Registry, *, epoch: int = 0) -> Bundle:
    """The bundle of a policy and a registry. Never fails: a tool that cannot be compiled is refused call by call."""
    return Bundle(
        policy=policy,
        registry=registry,
        agents=MappingProxyType({name: _compile_agent(agent) for name, agent in registry.agents.items()}),
        tools=MappingProxyType({name: _compile_tool(tool) for name, tool in registry.tools.items()}),
        index=Index(policy.rules),
        shelves=Shelves(registry, policy.rules),
        epoch=epoch,
    )


def with_registry(bundle: Bundle, registry: Registry, *, epoch: int | None = None) -> Bundle:
    """The same policy over another registry; only agents and tools that changed are compiled."""
    agents, tools = dict(bundle.agents), dict(bundle.tools)
    kept_agents = {name for name, agent in registry.agents.items() if name in agents and agents[name].agent == agent}
    kept_tools = {name for name, tool in registry.tools.items() if name in tools and tools[name].tool == tool}
    agents = {n: agents[n] if n in kept_agents else _compile_agent(agent) for n, agent in registry.agents.items()}
    tools = {n: tools[n] if n in kept_tools else _compile_tool(tool) for n, tool in registry.tools.items()}
    return replace(
        bundle,
        registry=registry,
        agents=MappingProxyType(agents),
        tools=MappingProxyType(tools),
        shelves=Shelves(registry, bundle.policy.rules),
        epoch=bundle.epoch if epoch is None else epoch,
        lanes=Lanes(),
    )


def with_policy(bundle: Bundle, policy: Policy, *, epoch: int | None = None) -> Bundle:
    """Another policy over the same registry; nothing registered is compiled again."""
    epoch = bundle.epoch if epoch is None else epoch
    shelves = Shelves(bundle.registry, policy.rules)
    return replace(bundle, policy=policy, index=Index(policy.rules), shelves=shelves, epoch=epoch, lanes=Lanes())


def with_epoch(bundle: Bundle, epoch: int) -> Bundle:
    """The same in every way that matters to a verdict, known to be as new as `epoch`."""
    return replace(bundle, epoch=epoch)


def _compile_agent(agent: Agent) -> CompiledAgent:
    return CompiledAgent(
        agent=agent,
        groups=globs.Names((glob, 1) for glob in agent.tool_groups),
        intents=globs.Names((glob, 1) for glob in agent.intents),
        view={
            "id": agent.id,
            "owner": agent.owner,
            "team": agent.team,
            "intents": list(agent.intents),
            "tool_groups": list(agent.tool_groups),
        },
    )


def _compile_tool(tool: Tool) -> CompiledTool:
    compiled = CompiledTool(
        tool=tool,
        schema_digest=None,
        fits=None,
        explain=None,
        argument_rules=(),
        factors=risk.static_factors(tool),
        amounts=risk.steps(tool.caps.spend),
        view=_view(tool),
    )
    try:
        compiled = replace(compiled, argument_rules=check_argument_rules(tool.argument_rules))
        return compiled if tool.arguments_schema is None else _with_schema(compiled, tool.arguments_schema)
    except InvalidError as error:
        return replace(compiled, broken=f"What is registered for this tool cannot be checked ({error}).")


def _with_schema(compiled: CompiledTool, schema: Mapping[str, Any]) -> CompiledTool:
    validator = check_schema(schema)

    def explain(arguments: Any) -> str:
        """Where in the schema, never what was sent: names and values in arguments are the caller's."""
        error = next(validator.iter_errors(arguments), None)
        place = "/".join(map(str, error.schema_path)) if error else ""
        return f"The arguments do not fit the tool's schema at /{place}."

    digest = "sha256:" + hashlib.sha256(canonical.dumps(schema)).hexdigest()
    return replace(compiled, schema_digest=digest, fits=validator.is_valid, explain=explain)


def _view(tool: Tool) -> Mapping[str, Any]:
    return {
        "id": tool.id,
        "group": tool.group,
        "owner": tool.owner,
        "risk_tier": int(tool.risk_tier),
        "methods": list(tool.methods),
        "data_classes": list(tool.data_classes),
    }
