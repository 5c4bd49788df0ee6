"""First pages of searches over growing registries and growing pages, with nothing remembered: milliseconds each.

N agents in teams of ten, N tools in services of ten, N rules: half of them allow one agent one tool, a quarter a team's
glob one tool, an eighth one agent a service's glob, the others deny or escalate; every second has a condition. Beside
them `lookups` lets everybody use one service and `admin` one agent everything, so that their searches fill a page.
Judging is measured in this process's own time. What a page adds in the server (parsing, sealing, the transaction of its
record) `search.whole` has, by the clock on the wall and over HTTP, on the same thousand of each.
"""

import json
import random
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import yaml

from bench import stage
from bench.evaluate import NOW
from countersign.policy import bundle, search
from countersign.policy.bundle import Bundle
from countersign.policy.compile import compile_policy
from countersign.policy.evaluate import evaluate
from countersign.policy.index import Part
from countersign.policy.lanes import Lanes
from countersign.policy.values import Agent, Call, Outcome, Registry, Tier, Tool
from countersign.policy.waivers import Waivers

SIZES = (10, 100, 1000)
PAGES = (10, 100, 1000)
PAGE = 100
TIMES = 7
PORT = 8973
METHODS = ("get", "create")


def agents(size: int) -> list[str]:
    return [f"team-{n // 10:03}.bot-{n % 10}" for n in range(size)]


def tools(size: int) -> list[str]:
    return [f"svc-{n // 10:03}.tool-{n % 10}" for n in range(size)]


def policy(size: int, seed: int = 3) -> str:
    chance = random.Random(seed)
    rules: list[dict[str, Any]] = [
        {"id": "lookups", "effect": "allow", "match": {"tools": ["svc-000.*"], "methods": ["get"]}},
        {"id": "admin", "effect": "allow", "match": {"agents": ["team-000.bot-0"]}},
    ]
    for n in range(size - len(rules)):
        kind = chance.choices(["one", "team", "service", "deny", "escalate"], [8, 4, 2, 1, 1])[0]
        agent, tool = chance.choice(agents(size)), chance.choice(tools(size))
        agent = agent.split(".")[0] + ".*" if kind == "team" else agent
        tool = tool.split(".")[0] + ".*" if kind == "service" else tool
        effect = {"deny": "deny", "escalate": "escalate"}.get(kind, "allow")
        rule: dict[str, Any] = {"id": f"r{n:04}", "effect": effect, "match": {"agents": [agent], "tools": [tool]}}
        if effect == "escalate":
            rule["approval"] = {"teams": ["finance"]}
        if n % 2:
            rule["when"] = "!has(arguments.amount) || double(arguments.amount) < 100.0"
        rules.append(rule)
    return yaml.dump({"version": 1, "name": "bench", "rules": rules}, Dumper=yaml.CSafeDumper)


def built(size: int) -> Bundle:
    registry = Registry(
        tenant="bench",
        revision=1,
        agents={name: Agent(name, "dana", "ops", intents=("**",), tool_groups=("**",)) for name in agents(size)},
        tools={name: Tool(name, name.split(".")[0], "dana", Tier.LOW, methods=METHODS) for name in tools(size)},
    )
    return bundle.build(compile_policy(policy(size), registry=registry), registry)


def asked(agent: str, tool: str, method: str = "get") -> Call:
    return Call("agent", agent, method, "tool", tool, {"amount": "25.00"}, "", {}, "")


def page(judged: Bundle, part: Part, call: Call, limit: int) -> list[str]:
    """The first page and the one name beyond it that an endpoint looks for."""
    found = (
        name
        for name, likely in search.names(judged, Waivers(), part, call)
        if likely and evaluate(judged, search.filled(call, part, name), now=NOW).outcome is Outcome.ALLOW
    )
    return list(islice(found, limit + 1))[:limit]


def every_one(judged: Bundle, call: Call) -> list[str]:
    """The same by judging all agents there are."""
    return [
        name
        for name in judged.registry.agents
        if evaluate(judged, replace(call, subject_id=name), now=NOW).outcome is Outcome.ALLOW
    ]


def rows() -> list[dict[str, Any]]:
    bundles = {size: built(size) for size in SIZES}
    wide, narrow = asked("team-000.bot-0", "svc-000.tool-0"), asked("team-000.bot-1", "svc-000.tool-1", "create")
    made: list[dict[str, Any]] = []
    largest = bundles[SIZES[-1]]
    everyone = _timed(largest, lambda judged: every_one(judged, narrow))
    made.append(_row("search.every_one_1000", everyone, found=len(every_one(largest, narrow))))
    for what, part, call in (
        ("subject", Part.SUBJECT, wide), ("resource", Part.RESOURCE, wide), ("action", Part.ACTION, wide),
        ("subject_few", Part.SUBJECT, narrow),
    ):  # fmt: skip
        for size, judged in bundles.items():
            times = _timed(judged, lambda held, part=part, call=call: page(held, part, call, PAGE))
            row = _row(f"search.{what}_{size}", times, found=len(page(judged, part, call, PAGE)))
            made.append(row | (_against(times, everyone) if (what, size) == ("subject_few", 1000) else {}))
    for limit in PAGES:
        times = _timed(largest, lambda judged, limit=limit: page(judged, Part.SUBJECT, wide, limit))
        made.append(_row(f"search.page_of_{limit}", times, found=len(page(largest, Part.SUBJECT, wide, limit))))
    return [*made, *_whole()]


def _against(times: list[float], others: list[float]) -> dict[str, Any]:
    ratio = statistics.median(others) / statistics.median(times)
    return {"against": "search.every_one_1000", "ratio": round(ratio, 2)}


def _timed(judged: Bundle, run: Callable[[Bundle], Any]) -> list[float]:
    """Milliseconds of this process, each time with nothing judged before."""
    found = []
    for _ in range(TIMES):
        fresh = replace(bundle.with_policy(judged, judged.policy), lanes=Lanes())
        start = time.process_time()
        run(fresh)
        found.append((time.process_time() - start) * 1000)
    return found


def _row(name: str, times: list[float], **more: Any) -> dict[str, Any]:
    ordered = sorted(times)
    return {
        "name": name,
        "value": round(statistics.median(ordered), 3),
        "unit": "ms",
        "against": None,
        "ratio": None,
        "p50_ms": round(statistics.median(ordered), 3),
        "p99_ms": round(ordered[-1], 3),
        **more,
    }


# --- over HTTP


def _whole() -> list[dict[str, Any]]:
    """`search.whole` and its first, each search with its durable record."""
    with stage.on_postgres() as held:
        if held is None:
            return [{"name": "search.whole", "unit": "ms", "skipped": "no PostgreSQL answers"}]
        key = held.run(sys.executable, "-m", "bench.search_seed").split()[-1]
        serve = [sys.executable, "manage.py", "up", "--port", str(PORT), "--workers", "1"]
        with held.serving(*serve, port=PORT):
            first = [_sought(key, "subject")]
            times = [_sought(key, part) for _ in range(TIMES) for part in ("subject", "resource")]
    return [_row("search.whole_first", first), _row("search.whole", times)]


def _sought(key: str, part: str) -> float:
    call: dict[str, Any] = {
        "subject": {"type": "agent", "id": "team-000.bot-0"},
        "action": {"name": "get"},
        "resource": {"type": "tool", "id": "svc-000.tool-0"},
        "page": {"limit": PAGE},
    }
    del call[part]["id"]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{PORT}/access/v1/search/{part}"
    request = urllib.request.Request(url, json.dumps(call).encode(), headers)
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=30) as response:
        told = json.loads(response.read())
    spent = (time.perf_counter() - start) * 1000
    if told["page"]["count"] != PAGE:
        raise RuntimeError(f"a page of {PAGE} was to be full: {told['page']}")
    return spent


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row))
