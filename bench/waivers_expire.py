"""Ten thousand waivers that end within a minute: how late, seen from outside, and what decisions of their tenant lose.

Rounds in which 167 a second end take turns with rounds in which none does, so that what else the machine does falls on
both alike. One server decides, one pump ends and seals; load generator, server, pump and database share the machine.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bench import load
from bench.stage import LOOKUP, Stage, on_postgres
from tests.servers import free_port

COUNT = int(os.environ.get("COUNTERSIGN_BENCH_WAIVERS", "10000"))
ROUNDS = 10
SECONDS = 6  # of each round: ten of them with ends in them make a minute
GAP = 3  # until the last ones of a round have ended
CONNECTIONS = 64
REFUSED = 0.05  # share of answers that were none which a loaded machine may cause
_AHEAD = 1  # ends begin before the load does, for they take a second to be looked for
_SEEN = """
SELECT id, 1000 * extract(epoch FROM clock_timestamp() - expires_at) FROM approvals_waiver
WHERE state = 'expired' AND ended_at > clock_timestamp() - interval '10 seconds'
"""


def rows() -> Iterator[dict[str, Any]]:
    with on_postgres() as stage:
        if stage is None:
            yield {"name": "waivers.expire", "skipped": "no PostgreSQL"}
            return
        port = free_port()
        pump = stage.start(sys.executable, "manage.py", "pump")
        with stage.serving(*_uvicorn(port), port=port):
            begins = _made(stage)
            url = f"http://127.0.0.1:{port}/access/v1/evaluation"
            load.run(url, key=stage.key, body=LOOKUP, connections=CONNECTIONS, seconds=2)  # all of them are read here
            with _watched(stage) as late:
                idle, busy = _measured(stage, url, begins)
        stage.stop(pump)
    assert len(late) == COUNT, f"{len(late)} of {COUNT} ended"
    took = sorted(late.values())
    p50, p95, p99 = (took[int(len(took) * share)] for share in (0.5, 0.95, 0.99))
    unit = f"ms late, p95, worst {took[-1]:,.0f}, beside {busy:,.0f} decisions/s"
    yield {
        "name": "waivers.expire", "value": p95, "unit": unit, "against": "waivers.expire.none", "ratio": busy / idle,
        "p50_ms": p50, "p99_ms": p99,
    }  # fmt: skip
    yield {
        "name": "waivers.expire.none", "value": idle, "unit": "decisions/s", "against": None, "ratio": None,
        "p50_ms": None, "p99_ms": None,
    }  # fmt: skip


def _measured(stage: Stage, url: str, begins: float) -> tuple[float, float]:
    """Decisions a second in rounds without ends, and in rounds with them."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * ROUNDS):
        time.sleep(max(begins + number * (SECONDS + GAP) - time.time(), 0))
        seen = load.run(url, key=stage.key, body=LOOKUP, connections=CONNECTIONS, seconds=SECONDS)
        assert seen.failed <= seen.answers * REFUSED, seen
        found[number % 2 == 1].append(seen.rate)
    time.sleep(GAP)
    return statistics.median(found[False]), statistics.median(found[True])


@contextmanager
def _watched(stage: Stage) -> Iterator[dict[str, float]]:
    """How many milliseconds after its time each was first seen to be over, by a connection of its own."""
    late: dict[str, float] = {}
    over = threading.Event()

    def watch() -> None:
        with psycopg.connect(stage.url, autocommit=True) as connection:
            while not over.wait(0.2):
                for identifier, milliseconds in connection.execute(_SEEN).fetchall():
                    late.setdefault(identifier, float(milliseconds))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield late
    finally:
        over.set()
        thread.join()


def _uvicorn(port: int) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port),
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
    )  # fmt: skip


# --- the waivers


def _made(stage: Stage) -> float:
    """When the first round begins; by then all are there, in force, in the tenant that decisions are asked of."""
    command = [sys.executable, "-m", "bench.waivers_expire"]
    done = subprocess.run(command, env=stage.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(json.loads(done.stdout.splitlines()[-1]))


def _main() -> None:
    import django  # noqa: PLC0415  only this process has Django's settings

    django.setup()
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415  beside what needs it

    from approvals.models import AccessRequest, Status, Waiver  # noqa: PLC0415  models exist only now
    from registry.models import Tenant  # noqa: PLC0415
    from tests.approvals.waivers.excepting import asked  # noqa: PLC0415
    from tests.worlds import PEOPLE, World  # noqa: PLC0415

    tenant = Tenant.objects.get()
    suffix = tenant.slug.removeprefix("acme-")
    members = {row.user.username: row for row in tenant.memberships.select_related("user__human", "tenant")}
    own = World(tenant, suffix, {name: members[f"{name}-{suffix}"] for name in PEOPLE}, "", "")
    begins = time.time() + 20 + COUNT / 500
    each = COUNT // ROUNDS
    step = SECONDS / each
    ends = [
        begins + (2 * number + 1) * (SECONDS + GAP) - _AHEAD + place * step
        for number in range(ROUNDS)
        for place in range(each)
    ]
    like = asked(own, lasts=timedelta(hours=1))
    request, now = AccessRequest.objects.get(pk=like.request_id), like.asked_at
    request.status, request.closed_at = Status.APPROVED, now
    like.state, like.granted_at = "active", now
    requests = [_copied(request, id=f"arq_bench{n:06}") for n in range(COUNT)]
    waivers = [
        _copied(like, id=f"wvr_bench{n:06}", request_id=f"arq_bench{n:06}", expires_at=datetime.fromtimestamp(at, UTC))
        for n, at in enumerate(ends)
    ]
    AccessRequest.objects.bulk_create(requests, batch_size=500)
    Waiver.objects.bulk_create(waivers, batch_size=500)
    _told(tenant, requests, now)
    sys.stdout.write(json.dumps(begins) + "\n")


def _copied(row: Any, **changes: Any) -> Any:
    fields = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}  # noqa: SLF001
    return type(row)(**(fields | changes))


def _told(tenant: Any, requests: list[Any], now: Any) -> None:
    """Each has a thread that its end continues, and decisions are judged with all of them."""
    from django.db import transaction  # noqa: PLC0415  see above

    from approvals import lifecycle  # noqa: PLC0415
    from countersign.proof.events import Event  # noqa: PLC0415
    from evidence import together  # noqa: PLC0415
    from registry import changes  # noqa: PLC0415

    for request in requests:
        request.tenant = tenant
    with transaction.atomic():
        facts = [lifecycle.fact(Event.WAIVER_GRANTED, one, actor=lifecycle.SYSTEM) for one in requests]
        together.append(facts, now=now)
        changes.bump(tenant, registry=False, waivers=True)


if __name__ == "__main__":
    _main()
