"""One request with a hundred items beside a hundred requests with one: decisions a second, durable, over HTTP.

First as one caller has it, who asks over one connection and waits for each answer; then as a busy server has it. One
interleaved run: each round measures all of them, and the sealer runs meanwhile.
"""

import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from bench import load, stage
from bench.decision import ROUNDS, SECONDS, Row
from bench.load import Load
from bench.stage import Stage
from tests.servers import free_port

ITEMS = 100
BUSY = 64  # connections that ask for one
BUSY_MANY = 8  # connections that ask for a hundred


def many() -> bytes:
    """A hundred different calls of one agent, in the words one would use: what they share is said once."""
    one = json.loads(stage.LOOKUP)
    context = one.pop("context")
    items = [
        {"context": {**context, "arguments": {**context["arguments"], "customer": f"C-{n}"}}} for n in range(ITEMS)
    ]
    return json.dumps({**one, "evaluations": items}, separators=(",", ":")).encode()


class Contender:
    """One way to ask, and what each round saw; rates in decisions."""

    def __init__(self, name: str, url: str, body: bytes, *, each: int, connections: int) -> None:
        self.name = name
        self.url = url
        self.body = body
        self.each = each
        self.connections = connections
        self.seen: list[Load] = []

    def measure(self, on: Stage, seconds: float) -> Load:
        told = load.run(self.url, key=on.key, body=self.body, connections=self.connections, seconds=seconds)
        assert not told.failed, f"{self.name}: {told.failed} of {told.answers} answers were none"
        return replace(told, rate=told.rate * self.each)

    def row(self, against: "Contender | None" = None) -> Row:
        value = self.median("rate")
        other = against.median("rate") if against else None
        return {
            "name": self.name, "value": value, "unit": "decisions/s", "against": against.name if against else None,
            "ratio": value / other if other else None, "p50_ms": self.median("p50_ms"),
            "p99_ms": self.median("p99_ms"),
        }  # fmt: skip

    def median(self, figure: str) -> float:
        return statistics.median(getattr(one, figure) for one in self.seen)


def rows() -> Iterator[Row]:
    """`evaluations.100` is the one that counts; latencies are of a whole request."""
    with ExitStack() as stack:
        postgres = stack.enter_context(stage.on_postgres())
        if postgres is None:
            yield {"name": f"evaluations.{ITEMS}", "skipped": "no PostgreSQL answers and none is installed"}
            return
        postgres.start(sys.executable, "manage.py", "pump")
        port = free_port()
        stack.enter_context(postgres.serving(*_server(port), port=port))
        contenders = _contenders(f"http://127.0.0.1:{port}/access/v1/")
        for contender in contenders:
            contender.measure(postgres, 2)
        for _ in range(ROUNDS):
            for contender in contenders:
                contender.seen.append(contender.measure(postgres, SECONDS))
        together, apart, together_busy, apart_busy = contenders
        yield together.row(apart)
        yield apart.row()
        yield together_busy.row(apart_busy)
        yield apart_busy.row()


def _contenders(base: str) -> list[Contender]:
    all_at_once: dict[str, Any] = {"url": base + "evaluations", "body": many(), "each": ITEMS}
    one: dict[str, Any] = {"url": base + "evaluation", "body": stage.LOOKUP, "each": 1}
    return [
        Contender(f"evaluations.{ITEMS}", **all_at_once, connections=1),
        Contender("evaluations.one_by_one", **one, connections=1),
        Contender(f"evaluations.{ITEMS}.busy", **all_at_once, connections=BUSY_MANY),
        Contender("evaluations.one_by_one.busy", **one, connections=BUSY),
    ]


def _server(port: int) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port),
        "--loop", "uvloop", "--http", "config.protocol:Protocol", "--no-access-log", "--no-server-header",
        "--no-date-header", "--log-level", "warning",
    )  # fmt: skip
