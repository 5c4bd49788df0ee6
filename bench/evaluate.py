"""The same rules and calls through our evaluator and its peers, in interleaved rounds: decisions a second, one thread.

50 agents in 10 teams, 200 tools in 20 services, 1,000 rules: three quarters name one agent, the others a team's glob;
four fifths name one tool, the others a service's glob; four fifths have a condition. 10,000 rules are those and 9,000
more that name one agent and one tool each, which is how large rule sets grow. Every call fits at least one rule. Every
second tool has an argument schema, every fifth a spend cap whose amount goes into the risk score; the peers are spared
both.

What the peers cannot say is translated in their favour: a glob becomes a group membership that is part of the request
(AGT) or of the entities (Cedar), AGT's policies are filed by agent, and an escalation is a plain `forbid` for Cedar.
"""

import gc
import importlib
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import yaml

from countersign.policy import bundle
from countersign.policy.bundle import Bundle
from countersign.policy.compile import compile_policy
from countersign.policy.evaluate import evaluate
from countersign.policy.values import Agent, Call, Caps, Registry, Requirement, SpendCap, Tier, Tool

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ROUNDS = 5
AGENTS = [f"team-{team}.bot-{n}" for team in range(10) for n in range(5)]
TOOLS = [f"svc-{service}.tool-{n}" for service in range(20) for n in range(10)]
METHODS = ["get", "create"]
INTENTS = ["lookup", "refund", "report"]
REGIONS = ["eu", "us", "cn"]
SCHEMA = {
    "type": "object",
    "required": ["amount", "region"],
    "properties": {
        "amount": {"type": "string", "pattern": r"^\d+\.\d\d$"},
        "region": {"type": "string", "maxLength": 10},
        "count": {"type": "integer"},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Spec:
    """One rule, before anybody's syntax."""

    id: str
    agents: str
    tools: str
    methods: tuple[str, ...]
    effect: str
    condition: tuple[str, Any] | None


@dataclass(frozen=True)
class Ask:
    agent: str
    tool: str
    method: str
    intent: str
    amount: str
    region: str
    count: int


CONDITIONS: dict[str, tuple[Callable[[Any], str], Callable[[Any], str], Callable[[Any], str]]] = {
    # Each kind in CEL, for AGT and in Cedar.
    "amount": (
        lambda x: f"double(arguments.amount) < {x}.0",
        lambda x: f"amount < {x}",
        lambda x: f"context.cents < {x * 100}",
    ),
    "region": (
        lambda x: f"arguments.region in {x}",
        lambda x: f"region in {x}",
        lambda x: f"{json.dumps(x)}.contains(context.region)",
    ),
    "intent": (lambda x: f"intent == '{x}'", lambda x: f"intent == '{x}'", lambda x: f'context.intent == "{x}"'),
    "count": (
        lambda x: f"arguments.count <= {x} && arguments.region != 'cn'",
        lambda x: f"count <= {x} and region != 'cn'",
        lambda x: f'context.count <= {x} && context.region != "cn"',
    ),
}


def specs(count: int, seed: int = 7) -> list[Spec]:
    chance = random.Random(seed)
    made = []
    for n in range(count):
        agent, tool = chance.choice(AGENTS), chance.choice(TOOLS)
        wide = n < 1000
        if wide and chance.random() < 0.25:
            agent = agent.split(".")[0] + ".*"
        if wide and chance.random() < 0.2:
            tool = tool.split(".")[0] + ".*"
        values = {
            "amount": chance.choice([10, 100, 250, 1000]),
            "region": chance.sample(REGIONS, 2),
            "intent": chance.choice(INTENTS),
            "count": chance.randint(1, 20),
        }
        kind = chance.choice(list(values))
        condition = (kind, values[kind]) if chance.random() < 0.8 else None
        methods = tuple(METHODS if chance.random() < 0.5 else [chance.choice(METHODS)])
        effect = chance.choices(["allow", "escalate", "deny"], [7, 2, 1])[0]
        made.append(Spec(f"r{n:05}", agent, tool, methods, effect, condition))
    return made


def asks(rules: Sequence[Spec], count: int, seed: int = 11) -> list[Ask]:
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        rule = chance.choice(rules)
        agent = chance.choice([a for a in AGENTS if a.startswith(rule.agents.rstrip("*"))])
        tool = chance.choice([t for t in TOOLS if t.startswith(rule.tools.rstrip("*"))])
        amount = f"{chance.randint(0, 1500)}.{chance.randint(0, 99):02}"
        made.append(
            Ask(
                agent=agent,
                tool=tool,
                method=chance.choice(rule.methods),
                intent=chance.choice(INTENTS),
                amount=amount,
                region=chance.choice(REGIONS),
                count=chance.randint(1, 25),
            )
        )
    return made


def ours(rules: Sequence[Spec]) -> Bundle:
    approval = Requirement(source="tool", teams=("ops",))
    spend = Caps(spend=SpendCap("amount", Decimal(1000), None, "EUR"))
    registry = Registry(
        tenant="bench",
        revision=1,
        agents={a: Agent(a, "dana", "ops", intents=("**",), tool_groups=("**",)) for a in AGENTS},
        tools={
            t: Tool(
                id=t,
                group=t.split(".")[0],
                owner="carol",
                risk_tier=Tier(1 + n % 4),
                methods=tuple(METHODS),
                approval=approval,
                arguments_schema=SCHEMA if n % 2 else None,
                caps=spend if n % 5 == 0 else Caps(),
            )
            for n, t in enumerate(TOOLS)
        },
    )
    return bundle.build(compile_policy(as_policy(rules), registry=registry), registry)


def as_policy(rules: Sequence[Spec]) -> str:
    written = []
    for rule in rules:
        one: dict[str, Any] = {
            "id": rule.id,
            "match": {"agents": [rule.agents], "tools": [rule.tools], "methods": list(rule.methods)},
            "effect": rule.effect,
        }
        if rule.condition:
            one["when"] = CONDITIONS[rule.condition[0]][0](rule.condition[1])
        written.append(one)
    return yaml.dump({"version": 1, "name": "bench", "rules": written}, Dumper=yaml.CSafeDumper)


def as_call(ask: Ask) -> Call:
    # As bytes off the wire would make them: no string shares its identity with the registry's.
    fresh = json.loads(json.dumps([ask.agent, ask.tool, ask.method, ask.intent, ask.amount, ask.region]))
    agent, tool, method, intent, amount, region = fresh
    return Call(
        subject_type="agent",
        subject_id=agent,
        action_name=method,
        resource_type="tool",
        resource_id=tool,
        arguments={"amount": amount, "region": region, "count": ask.count},
        arguments_digest="",
        action={},
        action_digest="",
        intent=intent,
    )


def run_ours(judged: Bundle, calls: Sequence[Call]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for call in calls[:count]:
            evaluate(judged, call, now=NOW)

    return run


def run_cedar(rules: Sequence[Spec], made: Sequence[Ask]) -> Callable[[int], Any]:
    cedarpy = importlib.import_module("cedarpy")
    policies = cedarpy.PolicySet.from_str("\n".join(map(_cedar, rules)))
    members = [("Agent", a, "Team", a.split(".")[0]) for a in AGENTS]
    members += [("Tool", t, "Service", t.split(".")[0]) for t in TOOLS]
    entities = cedarpy.Entities.from_json_str(
        json.dumps(
            [
                {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": [{"type": group, "id": parent}]}
                for kind, name, group, parent in members
            ]
        )
    )
    requests = [
        {
            "principal": {"type": "Agent", "id": ask.agent},
            "action": {"type": "Action", "id": ask.method},
            "resource": {"type": "Tool", "id": ask.tool},
            "context": {
                "cents": int(Decimal(ask.amount) * 100),
                "region": ask.region,
                "intent": ask.intent,
                "count": ask.count,
            },
        }
        for ask in made
    ]
    return lambda count: cedarpy.is_authorized_batch(requests[:count], policies, entities)


def _cedar(rule: Spec) -> str:
    who = f'in Team::"{rule.agents[:-2]}"' if rule.agents.endswith("*") else f'== Agent::"{rule.agents}"'
    what = f'in Service::"{rule.tools[:-2]}"' if rule.tools.endswith("*") else f'== Tool::"{rule.tools}"'
    actions = ", ".join(f'Action::"{method}"' for method in rule.methods)
    when = f" when {{ {CONDITIONS[rule.condition[0]][2](rule.condition[1])} }}" if rule.condition else ""
    kind = "permit" if rule.effect == "allow" else "forbid"
    return f"{kind} (principal {who}, action in [{actions}], resource {what}){when};"


def run_agt(rules: Sequence[Spec], made: Sequence[Ask]) -> Callable[[int], None]:
    governance = importlib.import_module("agentmesh.governance.policy")
    engine = governance.PolicyEngine(conflict_strategy="deny_overrides")
    filed: dict[str, list[Any]] = {}
    action = {"allow": "allow", "deny": "deny", "escalate": "require_approval"}
    for rule in rules:
        one = governance.PolicyRule(name=rule.id, condition=_agt(rule), action=action[rule.effect])
        filed.setdefault(rule.agents, []).append(one)
    for agents, held in filed.items():
        names = [a for a in AGENTS if a.startswith(agents.rstrip("*"))]
        engine.load_policy(governance.Policy(name=agents, agents=names, rules=held, default_action="deny"))
    contexts = [
        {
            "tool": ask.tool,
            "service": ask.tool.split(".")[0],
            "method": ask.method,
            "intent": ask.intent,
            "amount": ask.amount,
            "region": ask.region,
            "count": ask.count,
        }
        for ask in made
    ]

    def run(count: int) -> None:
        for ask, context in zip(made[:count], contexts, strict=False):
            engine.evaluate(ask.agent, dict(context))

    return run


def _agt(rule: Spec) -> str:
    what = f"service == '{rule.tools[:-2]}'" if rule.tools.endswith("*") else f"tool == '{rule.tools}'"
    parts = [what, f"method in {list(rule.methods)}"]
    if rule.condition:
        parts.append(CONDITIONS[rule.condition[0]][1](rule.condition[1]))
    return " and ".join(parts)


def run_opa(_rules: Sequence[Spec], _made: Sequence[Ask]) -> Callable[[int], None]:
    raise RuntimeError("opa-golib offers no wheel for this platform and Python, so OPA cannot run in process")


def timed(run: Callable[[int], Any], count: int) -> float:
    start = time.perf_counter()
    run(count)
    return count / (time.perf_counter() - start)


def percentiles(judged: Bundle, calls: Sequence[Call]) -> tuple[float, float]:
    """p50 and p99 of single calls in milliseconds, the clock's own cost included."""
    spent = []
    clock = time.perf_counter_ns
    for call in calls:
        start = clock()
        evaluate(judged, call, now=NOW)
        spent.append(clock() - start)
    cuts = statistics.quantiles(spent, n=100)
    return cuts[49] / 1e6, cuts[98] / 1e6


def rows() -> list[dict[str, Any]]:
    """The rows of `make bench`; a peer that cannot run is a row that says why."""
    rules, many = specs(1000), specs(10_000)
    made = asks(rules, 20_000)
    calls = [as_call(ask) for ask in made]
    small, large = ours(rules), ours(many)
    runs: dict[str, tuple[Callable[[int], Any], int]] = {
        "evaluate.ours": (run_ours(small, calls), len(calls)),
        "evaluate.ours_10k_rules": (run_ours(large, calls), len(calls)),
    }
    skipped: dict[str, str] = {}
    for name, peer, count in (("cedarpy", run_cedar, 200), ("agt", run_agt, 400), ("opa", run_opa, 0)):
        try:
            runs[f"evaluate.{name}"] = (peer(rules, made), count)
        except (ImportError, RuntimeError) as error:
            skipped[f"evaluate.{name}"] = str(error)
    rates = _measure(runs)
    latencies = {"evaluate.ours": percentiles(small, calls), "evaluate.ours_10k_rules": percentiles(large, calls)}
    return [_row(name, rates, latencies) for name in runs] + [
        _empty(name) | {"skipped": why} for name, why in skipped.items()
    ]


def _measure(runs: dict[str, tuple[Callable[[int], Any], int]]) -> dict[str, float]:
    for run, count in runs.values():
        run(count)
    gc.collect()
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (run, count) in runs.items():
            found[name].append(timed(run, count))
    return {name: statistics.median(each) for name, each in found.items()}


def _row(name: str, rates: dict[str, float], latencies: dict[str, tuple[float, float]]) -> dict[str, Any]:
    peers = {peer: rate for peer, rate in rates.items() if not peer.startswith("evaluate.ours")}
    against = "evaluate.ours"
    if name == against:
        against = max(peers, key=peers.__getitem__, default="")
    p50, p99 = latencies.get(name, (None, None))
    return {
        "name": name,
        "value": round(rates[name]),
        "unit": "decisions/s",
        "against": against or None,
        "ratio": round(rates[name] / rates[against], 5) if against else None,
        "p50_ms": p50,
        "p99_ms": p99,
    }


def _empty(name: str) -> dict[str, Any]:
    return {"name": name, "unit": "decisions/s"} | dict.fromkeys(("value", "against", "ratio", "p50_ms", "p99_ms"))


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row))
