"""The calls of `evaluate.ours` judged with ten thousand waivers in force and with none, in interleaved rounds."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from bench.evaluate import NOW, as_call, ours
from bench.rules import AGENTS, TOOLS, asks, specs
from countersign.policy.bundle import Bundle
from countersign.policy.evaluate import evaluate
from countersign.policy.rules import Match
from countersign.policy.values import Call
from countersign.policy.waivers import Category, Pin, Waiver, Waivers, lift

COUNT = 10_000
ROUNDS = 9


def waivers(bundle: Bundle, *, seed: int = 17) -> Waivers:
    """One for each pair of an agent and a tool, of a rule that may be waived, with a condition or not."""
    chance = random.Random(seed)
    rules = [rule for rule in bundle.policy.rules if rule.waivable]
    pairs = [(agent, tool) for agent in AGENTS for tool in TOOLS]
    return Waivers([_waiver(n, chance, bundle, pair, rules) for n, pair in enumerate(pairs[:COUNT])])


def _waiver(n: int, chance: random.Random, bundle: Bundle, pair: tuple[str, str], rules: Sequence[Any]) -> Waiver:
    agent, tool = pair
    named = [rule for rule in rules if ("agent", agent) in (rule.match.subjects or ())] or rules
    rule, compiled = chance.choice(named), bundle.tools[tool]
    return Waiver(
        id=f"wvr_{n:05}",
        version=1,
        category=Category.WAIVER,
        rules={rule.id: rule.digest},
        match=Match(subjects=(("agent", agent),), resources=(("tool", tool),)),
        agents=frozenset({agent}),
        tools={tool: Pin(compiled.schema_digest, compiled.tool.risk_tier)},
        not_before=NOW - timedelta(days=1),
        expires_at=NOW + timedelta(days=1 + n % 30),
    )


def judged(bundle: Bundle, held: Waivers, calls: Sequence[Call]) -> int:
    """As `enforcement.decide` judges; how many were let through by a waiver."""
    lifted = 0
    for call in calls:
        verdict = evaluate(bundle, call, now=NOW)
        if verdict.held_up and held.all:
            lifted += lift(held, bundle, call, verdict, now=NOW) is not None
    return lifted


def rows() -> list[dict[str, Any]]:
    """`evaluate.waivers_10k` against the same without any."""
    rules = specs(1000)
    bundle, calls = ours(rules), [as_call(ask) for ask in asks(rules, 20_000)]
    none, many = Waivers(), waivers(bundle)
    lifted = judged(bundle, many, calls)
    rates = _interleaved({"none": lambda: judged(bundle, none, calls), "many": lambda: judged(bundle, many, calls)})
    rate, without = len(calls) / rates["many"], len(calls) / rates["none"]
    return [
        {
            "name": "evaluate.waivers_10k",
            "value": round(rate),
            "unit": "decisions/s",
            "against": "no waivers",
            "ratio": round(rate / without, 4),
            "p50_ms": None,
            "p99_ms": None,
            "lifted_share": round(lifted / len(calls), 4),
        }
    ]


def _interleaved(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The median seconds of each."""
    for run in runs.values():
        run()
    gc.collect()
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            found[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in found.items()}


if __name__ == "__main__":
    for row in rows():
        print(row)
