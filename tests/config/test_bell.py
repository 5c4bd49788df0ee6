"""A commit wakes workers of other processes through Redis, and never waits for it."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from django.db import transaction

from config import tasks
from config.bell import Bell
from config.celery import PUMP
from outbox import doorbell, pump, queue
from tests.servers import Redis


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    started = Redis.start()
    yield started
    started.stop()


def bell_at(url: str) -> Bell:
    return Bell(Celery("tests", broker=url))


def until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestBell:
    def test_returns_at_once_where_redis_is_away(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the line, and never says a word
            bell = bell_at(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
            rung = threading.Thread(target=lambda: [bell.ring() for _ in range(100)], daemon=True)
            rung.start()
            rung.join(20)
            assert not rung.is_alive()

    @pytest.mark.redis
    def test_wakes_workers_with_one_message_for_a_crowd(self, own_redis):
        bell = bell_at(own_redis.url)
        for _ in range(1000):
            bell.ring()
        server = redis.Redis.from_url(own_redis.url)
        until(lambda: server.llen("celery"))
        time.sleep(0.2)
        assert 1 <= server.llen("celery") <= 10
        assert PUMP.encode() in server.lindex("celery", 0)

    @pytest.mark.redis
    def test_is_heard_again_after_redis_was_away(self, own_redis, caplog):
        bell = bell_at(own_redis.url)
        bell.ring()
        server = redis.Redis.from_url(own_redis.url)
        until(lambda: server.llen("celery"))
        own_redis.stop()
        for _ in range(3):
            bell.ring()
            time.sleep(0.1)
        own_redis.launch()
        until(lambda: bell.ring() or server.llen("celery"))
        assert len([one for one in caplog.records if "doorbell" in one.message]) == 1


class TestWorker:
    def test_rings_again_where_more_may_be_due_than_one_turn_does(self, monkeypatch):
        rung: list[int] = []
        monkeypatch.setattr(doorbell, "_bells", [lambda: rung.append(1)])
        for done, rings in ((pump.AT_ONCE - 1, 0), (pump.AT_ONCE, 1)):
            monkeypatch.setattr(pump, "run_due", lambda done=done: done)
            tasks.pump_outbox()
            assert len(rung) == rings


class TestDoorbell:
    def test_rings_every_bell_after_the_commit_alone(self, monkeypatch):
        rung: list[int] = []
        monkeypatch.setattr(doorbell, "_bells", [])
        doorbell.also(lambda: rung.append(1))
        with transaction.atomic():
            queue.enqueue("test.bell", {}, dedupe="test.bell.once")
            assert not rung
        assert rung == [1]
        queue.Job.objects.filter(kind="test.bell").delete()

    def test_is_heard_by_a_pump_that_sleeps_in_another_thread(self):
        doorbell.wait(0)
        heard: list[float] = []
        sleeper = threading.Thread(target=lambda: (doorbell.wait(5), heard.append(time.monotonic())))
        sleeper.start()
        time.sleep(0.05)
        began = time.monotonic()
        doorbell.ring()
        sleeper.join()
        assert heard[0] - began < 0.1
