"""The same rules and calls through our evaluator and its peers, in interleaved rounds: decisions a second, a thread."""

import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import yaml

from bench import peers
from bench.rules import AGENTS, CONDITIONS, METHODS, SCHEMA, TOOLS, Ask, Spec, asks, specs
from countersign.policy import bundle
from countersign.policy.bundle import Bundle
from countersign.policy.compile import compile_policy
from countersign.policy.evaluate import evaluate
from countersign.policy.values import Agent, Call, Caps, Registry, Requirement, SpendCap, Tier, Tool

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ROUNDS = 5


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
    for name, peer, count in (("cedarpy", peers.cedar, 200), ("agt", peers.agt, 400), ("opa", peers.opa, 0)):
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
    others = {peer: rate for peer, rate in rates.items() if not peer.startswith("evaluate.ours")}
    against = "evaluate.ours"
    if name == against:
        against = max(others, key=others.__getitem__, default="")
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
