"""Decisions a second: in process without a database, and durable over HTTP, beside a no-op Django view and a naive one.

One interleaved run: each round measures every server once, so that what else the machine does falls on all alike. The
sealer runs meanwhile. Load generator, server and database share the machine.
"""

import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench import load, stage
from bench.load import Load
from bench.stage import Stage
from tests.servers import free_port

ROUNDS = int(os.environ.get("COUNTERSIGN_BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("COUNTERSIGN_BENCH_SECONDS", "6"))
BATCH = 64
CONNECTIONS = (1, 16, 64, 128)
CORES = os.cpu_count() or 1
WORKERS = max(1, min(4, CORES))
DECIDING = max(1, WORKERS // 2)  # the rest is for PostgreSQL and the sealer: our best, as all cores are the view's
MEMORY_AFTER = 200_000
REFUSED = 0.001  # share of 503s that a loaded machine may cause; more is a result of its own
FEW = 5  # or so many: a slow view gives few answers in all
Row = dict[str, Any]


def rows() -> Iterator[Row]:
    yield in_process()
    yield from durable()


# --- in process


def in_process() -> Row:
    """JSON bytes in, JSON bytes out: parsed, digested, judged, caps shared out, recorded, receipted; batches of 64."""
    work = _work()
    for _ in range(50):
        work()
    gc.collect()
    gc.freeze()
    took = []
    for _ in range(ROUNDS * 300):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) / BATCH)
    took.sort()
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    return _row("decision.in_process", 1000 / p50, p50_ms=p50, p99_ms=p99)


def _work() -> Callable[[], object]:
    home = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
    os.environ |= Stage(home, f"sqlite:///{home}/bench.sqlite3").environment
    import django  # noqa: PLC0415 - its settings are those of this benchmark's own stage

    django.setup()
    from datetime import UTC, datetime  # noqa: PLC0415 - see above

    from django.core.management import call_command  # noqa: PLC0415 - see above

    from enforcement import batch, budgets, decide, memory  # noqa: PLC0415 - see above
    from enforcement.authn import Caller  # noqa: PLC0415 - see above
    from evidence.keys import Purpose, signer  # noqa: PLC0415 - see above
    from tests.worlds import world  # noqa: PLC0415 - see above

    call_command("setup", stdout=open(os.devnull, "w"))  # noqa: PTH123, SIM115 - ends with the process
    found = memory.learn(world(caps=stage.CAPS).pep_key.split("_")[2])
    assert found
    caller, key = Caller(*found), signer(Purpose.PDP)

    def work() -> object:
        calls = [decide.plain(decide.judge(caller, stage.REFUND)) for _ in range(BATCH)]
        claims = [one.claim for one in calls]
        used = {demand.place: 0 for claim in claims for demand in claim.demands}
        return batch.build(calls, budgets.share_out(claims, used), now=datetime.now(UTC), signer=key)

    return work


# --- durable


class Contender:
    """One server under load, and what each round saw."""

    def __init__(self, name: str, on: Stage, port: int, connections: int, *, body: bytes = stage.LOOKUP) -> None:
        self.name = name
        self.body = body
        self.on = on
        self.url = f"http://127.0.0.1:{port}/access/v1/evaluation"
        self.connections = connections
        self.seen: list[Load] = []

    def measure(self, seconds: float) -> Load:
        return load.run(self.url, key=self.on.key, body=self.body, connections=self.connections, seconds=seconds)

    def row(self, against: "Contender | None" = None) -> Row:
        failed, answers = sum(one.failed for one in self.seen), sum(one.answers for one in self.seen)
        assert failed <= max(FEW, answers * REFUSED), f"{self.name}: {failed} of {answers} answers were none"
        return _row(
            f"{self.name}.{self.connections}",
            statistics.median(one.rate for one in self.seen),
            p50_ms=statistics.median(one.p50_ms for one in self.seen),
            p99_ms=statistics.median(one.p99_ms for one in self.seen),
            against=f"{against.name}.{against.connections}" if against else None,
            other=statistics.median(one.rate for one in against.seen) if against else None,
        )


def durable() -> Iterator[Row]:
    with ExitStack() as stack:
        postgres = stack.enter_context(stage.on_postgres())
        sqlite = stack.enter_context(stage.on_sqlite())
        if postgres is None:
            yield {"name": "decision.durable.64", "skipped": "no PostgreSQL answers and none is installed"}
            return
        postgres.start(sys.executable, "manage.py", "pump")
        ports = {name: free_port() for name in ("ours", "more", "one", "noop", "naive", "sqlite")}
        ours = stack.enter_context(postgres.serving(*_uvicorn(ports["ours"], DECIDING), port=ports["ours"]))
        stack.enter_context(postgres.serving(*_uvicorn(ports["more"], WORKERS), port=ports["more"]))
        stack.enter_context(postgres.serving(*_uvicorn(ports["one"], 1), port=ports["one"]))
        stack.enter_context(postgres.serving(*_granian(ports["noop"], "bench.noop"), port=ports["noop"]))
        stack.enter_context(postgres.serving(*_granian(ports["naive"], "bench.naive"), port=ports["naive"]))
        stack.enter_context(sqlite.serving(*_uvicorn(ports["sqlite"], 1), port=ports["sqlite"]))
        with _connection(postgres) as cursor:
            cursor.execute(_chain())
        decided = [Contender("decision.durable", postgres, ports["ours"], n) for n in CONNECTIONS]
        noops = {n: Contender("decision.noop_view", postgres, ports["noop"], n) for n in (64, 128)}
        naive = Contender("decision.naive", postgres, ports["naive"], 64)
        more = Contender("decision.worker_a_core", postgres, ports["more"], 64)
        one = Contender("decision.one_worker", postgres, ports["one"], 64)
        capped = Contender("decision.capped", postgres, ports["ours"], 64, body=stage.REFUND)
        small = Contender("decision.sqlite", sqlite, ports["sqlite"], 64)
        contenders = [*decided, *noops.values(), capped, naive, more, one, small]
        for contender in contenders:
            contender.measure(2)
        for _ in range(ROUNDS):
            for contender in contenders:
                contender.seen.append(contender.measure(SECONDS))
        at_64 = next(one for one in decided if one.connections == 64)
        yield from (contender.row(noops.get(contender.connections)) for contender in decided)
        yield from (contender.row() for contender in noops.values())
        yield naive.row() | {"against": "decision.durable.64", "ratio": _rate(naive) / _rate(at_64)}
        yield capped.row(at_64)
        yield more.row(at_64)
        yield one.row()
        yield small.row(one)
        yield from _sizes(postgres, at_64, ours)


def _sizes(postgres: Stage, contender: Contender, pid: int) -> Iterator[Row]:
    """What a worker holds after 200,000 decisions, and what a decision takes on disk, indexes and seals included."""
    done = sum(one.answers for one in contender.seen)
    while done < MEMORY_AFTER * DECIDING:
        done += contender.measure(SECONDS).answers
    yield {**_row("decision.rss_per_worker", max(stage.memory_of(pid)) / 1024), "unit": "MB"}
    with _connection(postgres) as cursor:
        deadline = time.monotonic() + 120
        while _unsealed(cursor) and time.monotonic() < deadline:
            time.sleep(1)
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'evidence_%'"
        )
        size = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM evidence_record")
        yield {**_row("decision.bytes_each", float(size / cursor.fetchone()[0])), "unit": "bytes"}
        yield {**_row("decision.unsealed_after", _unsealed(cursor)), "unit": "records"}


def _unsealed(cursor: Any) -> int:
    cursor.execute("SELECT (SELECT count(*) FROM evidence_record) - (SELECT count(*) FROM evidence_sealed)")
    return int(cursor.fetchone()[0])


def _rate(contender: Contender) -> float:
    return statistics.median(one.rate for one in contender.seen)


def _uvicorn(port: int, workers: int) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port),
        "--workers", str(workers), "--loop", "uvloop", "--http", "config.protocol:Protocol",
        "--no-access-log", "--no-server-header", "--no-date-header", "--log-level", "warning",
    )  # fmt: skip


def _granian(port: int, module: str) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", str(WORKERS), "--log-level", "warning", f"{module}:application",
    )  # fmt: skip


def _chain() -> str:
    return "CREATE TABLE IF NOT EXISTS bench_chain (id bigserial PRIMARY KEY, body text NOT NULL, hash text NOT NULL)"


@contextmanager
def _connection(postgres: Stage) -> Iterator[Any]:
    with psycopg.connect(postgres.url, autocommit=True) as connection, connection.cursor() as cursor:
        yield cursor


def _row(
    name: str,
    value: float,
    *,
    p50_ms: float | None = None,
    p99_ms: float | None = None,
    against: str | None = None,
    other: float | None = None,
) -> Row:
    ratio = value / other if other else None
    return {
        "name": name, "value": value, "unit": "decisions/s", "against": against, "ratio": ratio,
        "p50_ms": p50_ms, "p99_ms": p99_ms,
    }  # fmt: skip
