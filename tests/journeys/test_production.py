"""As it runs for real: Redis named, a Celery worker and beat as processes of their own; Redis may lose everything."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.journeys.console import ROOT
from tests.journeys.server import Place, Server, until
from tests.journeys.speakers import lookup
from tests.journeys.test_approval import records, verified
from tests.journeys.world import world
from tests.servers import Redis

pytestmark = [pytest.mark.postgres, pytest.mark.redis]


@pytest.fixture(scope="module")
def broker() -> Iterator[Redis]:
    """Our own, so that it may be flushed and killed."""
    started = Redis.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def production(place: Place, broker: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("celery")
    environment = {**place.environment, "COUNTERSIGN_REDIS_URL": broker.url}
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    commands = [
        [*celery, "worker", "--concurrency", "1", "--loglevel", "INFO"],
        [*celery, "beat", "--schedule", str(home / "schedule"), "--pidfile", ""],
    ]
    with (home / "log").open("wb") as log:
        running = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) for command in commands]
        try:
            with Server(place, COUNTERSIGN_REDIS_URL=broker.url) as server:
                yield server
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(timeout=30)


class TestProduction:
    def test_workers_seal_and_expire_and_a_flushed_redis_loses_nothing(
        self, production: Server, broker: Redis, place: Place, out: Path
    ):
        acme = world(place, production.url, approval={"expires_in": "4s"})
        pep, auditor = acme.pep, acme.reader("ada")
        known = redis.Redis.from_url(broker.url)
        asked = []
        for n in range(20):
            asked.append(pep.ask(lookup(transaction="case-1"))["evaluation_id"])
            if n % 5 == 4:
                known.flushall()
        known.close()
        request_id = pep.pending(transaction="case-1")
        broker.stop()  # not even there for a while
        asked.append(pep.ask(lookup(transaction="case-1"))["evaluation_id"])
        broker.launch()
        until(lambda: pep.task(request_id)["task"]["status"] == "expired", seconds=40)
        # The task says so at its very end; the record is the worker's, who finds Redis again first.
        ended = f"/api/v1/records?event=request.expired&request={request_id}"
        until(lambda: auditor.get(ended).json()["records"], seconds=60)
        until(lambda: auditor.get(f"/api/v1/records/{asked[-1]}").json()["seq"] is not None, seconds=60)

        vkey = acme.export(out, "--transaction", "case-1")
        assert verified(out, "--key", vkey).returncode == 0
        packed = records(out)
        assert set(asked) <= {thread for _, thread, _ in packed}
        assert [event for event, _, _ in packed].count("request.expired") == 1
