"""Workers are killed, Redis dies, the other system fails for long: every request is told once, and rightly."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery import Celery
from django.db import connection

from approvals.models import AccessRequest
from config.bell import Bell
from config.celery import SECONDS_BETWEEN_PUMPS
from connectors.models import Delivery, State
from outbox import doorbell
from outbox.models import Job
from outbox.models import State as JobState
from tests import environment
from tests.approvals import asking
from tests.connectors.board import Board, Fault, board, channel, connect
from tests.connectors.test_deliver import pumped, soon
from tests.races.crowd import rounds
from tests.servers import Redis
from tests.worlds import World, world

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _only_mine() -> None:
    Job.objects.filter(state=JobState.READY).update(state=JobState.DONE, dedupe=None)


@pytest.fixture
def here() -> Iterator[Board]:
    with board() as made:
        yield made


@pytest.fixture
def ours(here: Board) -> World:
    made = world(quorum=2, step_up="none", change={"channels": []})
    connect(made.tenant, here.url)
    channel(made.tenant)
    return made


def opened(ours: World) -> AccessRequest:
    return asking.opened(ours, requirements=[asking.requirement(quorum=1, step_up=asking.NONE)])


def elsewhere(**more: str) -> dict[str, str]:
    """The environment of another process on this run's own database; places hear of as much as there is."""
    url = os.environ["COUNTERSIGN_DATABASE_URL"]
    name = connection.settings_dict["NAME"]
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}")) if environment.DATABASE_URL else f"sqlite:///{name}"
    return {
        **os.environ, "COUNTERSIGN_DATABASE_URL": own, "COUNTERSIGN_ATTENTION_LIMIT": "100000",
        "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT), **more,
    }  # fmt: skip


def until(condition, *, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.05)


class Workers:
    """Children that pump, each until it is killed."""

    def __init__(self) -> None:
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "tests.connectors.worker"], cwd=ROOT, env=elsewhere(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.children: list[int] = []
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.parent.stdout
        return self.parent.stdout.readline().strip()

    def start(self) -> int:
        assert self.parent.stdin
        self.parent.stdin.write("go\n")
        self.parent.stdin.flush()
        child = int(self._line())
        self.children.append(child)
        return child

    def kill(self, child: int) -> None:
        os.kill(child, signal.SIGKILL)
        self.children.remove(child)

    def stop(self) -> None:
        for child in list(self.children):
            self.kill(child)
        self.parent.kill()
        self.parent.wait()
        for pipe in (self.parent.stdin, self.parent.stdout):
            pipe.close()


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.stop()


class TestKilledWorkers:
    def test_abuse_130_leave_nothing_untold_and_nothing_told_twice(self, ours, here, workers):
        kills, asked = rounds(full=200, reduced=12), rounds(full=500, reduced=24)
        chance = random.Random(130)
        requests = []
        for n in range(kills):
            child = workers.start()
            while len(requests) < asked * (n + 1) // kills:
                requests.append(opened(ours))
                if chance.random() < 0.5:
                    asking.vote(requests[-1], ours.erin)
                if chance.random() < 0.1:
                    here.faults.append(Fault(hang_up=True))
            time.sleep(chance.uniform(0, 0.3))
            workers.kill(child)
        here.faults.clear()
        for _ in range(2):
            workers.start()
        mine = Delivery.objects.filter(tenant=ours.tenant)
        until(lambda: not mine.exclude(state=State.DONE).exists(), seconds=120)
        assert len(requests) == asked
        told = {one.pk: [message["status"] for message in here.about(one.pk)] for one in requests}
        states = dict(AccessRequest.objects.filter(tenant=ours.tenant).values_list("pk", "status"))
        assert told == {pk: [status] for pk, status in states.items()}


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    started = Redis.start()
    yield started
    started.stop()


@pytest.fixture
def beat(own_redis: Redis, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker and, in a process of its own, the beat that comes round; on a Redis that will die."""
    schedule = ("--schedule", str(tmp_path / "schedule"), "--pidfile", "")
    with (tmp_path / "log").open("wb") as log:
        worker = _celery(own_redis, log, "worker", "--concurrency", "1")
        made = _celery(own_redis, log, "beat", *schedule)
    yield made
    for process in (made, worker):
        _ended(process)


def _celery(redis: Redis, log: IO[bytes], *command: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "celery", "-A", "tests.connectors.celery_worker", *command, "--loglevel", "WARNING"]
    return subprocess.Popen(words, cwd=ROOT, env=elsewhere(COUNTERSIGN_REDIS_URL=redis.url), stdout=log, stderr=log)


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def bell(own_redis: Redis, monkeypatch) -> None:
    monkeypatch.setattr(doorbell, "_bells", [Bell(Celery("tests", broker=own_redis.url)).ring])


@pytest.mark.redis
@pytest.mark.postgres
@pytest.mark.faults
class TestKilledRedis:
    def test_abuse_131_loses_nothing_and_rings_are_heard_again(self, ours, here, own_redis, beat, bell):
        first = opened(ours)
        until(lambda: here.about(first.pk))
        own_redis.stop()
        while_away = [opened(ours) for _ in range(5)]
        asking.vote(first, ours.erin)
        own_redis.launch()  # it kept nothing
        until(lambda: all(len(here.about(one.pk)) == 1 for one in while_away))
        until(lambda: here.about(first.pk)[0]["status"] == "approved")
        _ended(beat)
        time.sleep(SECONDS_BETWEEN_PUMPS)  # its last word is good for no longer: from now on only a ring wakes anybody
        last = opened(ours)
        until(lambda: doorbell.ring() or here.about(last.pk))
        assert len(here.messages) == 7


class TestBrokenSystem:
    @pytest.mark.parametrize(
        "fault", [Fault(status=429, retry_after="600"), Fault(status=500), Fault(status=503), Fault(seconds=2.5)]
    )
    def test_abuse_134_leaves_all_decidable_and_tells_the_end_afterwards(self, ours, here, fault):
        here.always = fault
        waiting = [opened(ours) for _ in range(3)]
        pumped()
        assert len(here.calls) == 1, "one is tried, not each"
        for request in waiting:
            assert asking.vote(request, ours.erin).status == "approved"
        assert not Delivery.objects.filter(tenant=ours.tenant, state=State.DEAD).exists()
        here.always = None
        time.sleep(fault.seconds / 4)  # what was under way arrives; sooner, nobody could have found it
        for _ in range(3):
            soon()
        assert [[one["status"] for one in here.about(request.pk)] for request in waiting] == [["approved"]] * 3
