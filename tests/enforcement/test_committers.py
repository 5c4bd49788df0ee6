"""Two committers by turns on one event loop: nobody notices that there are two, or that one of them cannot."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from secrets import token_hex

import pytest
from django.db import connection

from enforcement import api, batch, committer, decide, group, looped, memory
from enforcement.authn import Caller
from enforcement.http import Request
from enforcement.pool import Pool
from enforcement.problems import Problem
from evidence import clock, keys
from evidence.keys import Purpose
from evidence.models import Record
from tests.enforcement.machine import EVALUATION, question
from tests.enforcement.test_server import headers, serving, speak
from tests.worlds import World, world

pytestmark = pytest.mark.postgres

PAIRS, ROUNDS = 4, 100
FEW = 10  # what other sessions of this process may still have to tell; without the guard it is fifty and more
NAMED = "committers"  # what the server's sessions are called in PostgreSQL, so that no other's are ended


@pytest.fixture(autouse=True)
def _on_postgres(database: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("there one thread writes")


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(caps={})


@pytest.fixture(scope="module", params=["1", "2"])
def port(database: None, request: pytest.FixtureRequest) -> Iterator[int]:
    """One process, and two: an attempt may be under way on either."""
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as early:
            early.setenv("PGAPPNAME", NAMED)
            start = serving("config.protocol:Protocol", "--workers", request.param)
            chosen, server = running.enter_context(start)
        yield chosen
        server.terminate()
        assert server.wait(30) in {0, -signal.SIGTERM}


class TestTheSameAttempt:
    def test_asked_again_while_its_answer_is_being_committed_is_answered_alike(self, acme: World, port: int) -> None:
        """By pairs beside each other, the second of each a little later: their groups overlap in every way."""
        with ThreadPoolExecutor(PAIRS) as crowd:
            told = [pair for pairs in crowd.map(lambda _: again_and_again(acme, port), range(PAIRS)) for pair in pairs]
        assert {status for pair in told for status, _ in pair} == {200}
        assert all(first == second for (_, first), (_, second) in told)
        known = [json.loads(body)["context"]["evaluation_id"] for ((_, body), _) in told]
        assert Record.objects.filter(event_id__in=known).count() == len(told)

    @pytest.mark.parametrize("port", ["1"], indirect=True)
    def test_asked_again_costs_its_neighbours_no_second_transaction(self, acme: World, port: int) -> None:
        """In one process, where it is known what is under way."""
        rolled_back()  # so that this session's own of before are told
        before = rolled_back()
        again_and_again(acme, port)
        assert rolled_back() - before < FEW

    def test_is_written_in_the_same_order_by_every_group(self, acme: World) -> None:
        """So that two groups with the same attempts cannot wait for each other in a ring."""
        found = memory.learn(acme.pep_key.split("_")[2])
        assert found
        bodies = [json.dumps(question(attempt=one)).encode() for one in ("b", "c", "a")]
        calls = [decide.plain(decide.judge(Caller(*found), body)) for body in bodies]
        built = batch.build(calls, [None] * 3, now=clock.now(), signer=keys.signer(Purpose.PDP))
        writes = group._writes(calls, built, {}, clock.now())
        assert [attempt for (_, attempt), _ in writes.given] == ["a", "b", "c"]


def rolled_back() -> int:
    """Transactions of this database that were, once the statistics of all sessions that are idle have come in."""
    time.sleep(1.5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def again_and_again(acme: World, port: int) -> list[list[tuple[int, bytes]]]:
    """What two connections are told that ask the same attempt, one after up to six milliseconds of the other."""
    pace = random.Random(7)
    with closing(speak(port)) as early, closing(speak(port)) as late, ThreadPoolExecutor(2) as two:

        def ask(line: HTTPConnection, attempt: str, wait: float) -> tuple[int, bytes]:
            time.sleep(wait)
            line.request("POST", EVALUATION, json.dumps(question(attempt=attempt)), headers(acme))
            reply = line.getresponse()
            return reply.status, reply.read()

        return [
            list(two.map(ask, (early, late), [token_hex(8)] * 2, (0, pace.random() * 0.006))) for _ in range(ROUNDS)
        ]


class TestConnections:
    def test_that_died_while_they_were_idle_cost_nobody_an_answer(self, acme: World, port: int) -> None:
        line = speak(port)
        for _ in range(12):
            self.ask(acme, line)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = %s AND state = 'idle' AND query = 'COMMIT'",
                [NAMED],
            )
            assert cursor.fetchone()[0] >= 2
        told = [self.ask(acme, line) for _ in range(12)]
        line.close()
        assert told == [200] * 12

    @staticmethod
    def ask(acme: World, line: HTTPConnection) -> int:
        line.request("POST", EVALUATION, json.dumps(question()), headers(acme))
        reply = line.getresponse()
        reply.read()
        return reply.status

    def test_that_cannot_be_made_for_a_reason_nobody_foresaw_are_made_when_they_can(
        self, acme: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def none() -> None:
            raise RuntimeError("can't start new thread")

        async def ask() -> int:
            body = json.dumps(question()).encode()
            return (await api.answer(Request("POST", EVALUATION, "", headers(acme), body))).status

        async def told() -> list[int]:
            with monkeypatch.context() as broken:
                broken.setattr(committer, "_connect", none)
                await looped.start()
                statuses = [await ask() for _ in range(4)]
            try:
                return [*statuses, *[await ask() for _ in range(4)]]
            finally:
                await looped.stop()

        assert asyncio.run(told()) == [503] * 4 + [200] * 4

    def test_one_that_cannot_be_made_leaves_the_calls_to_the_other(
        self, acme: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = iter([committer._connect])

        def one() -> object:
            make = next(made, None)
            if make is None:
                raise committer.psycopg.OperationalError("too many clients already")
            return make()

        async def told() -> list[int]:
            monkeypatch.setattr(committer, "_connect", one)
            await looped.start()
            await asyncio.sleep(0.2)  # both have tried
            body = json.dumps(question()).encode()
            try:
                asked = [api.answer(Request("POST", EVALUATION, "", headers(acme), body)) for _ in range(20)]
                return [(await one).status for one in asked]
            finally:
                await looped.stop()

        assert asyncio.run(told()) == [200] * 20


class TestPool:
    def test_gives_a_place_back_that_no_thread_could_be_had_for(self) -> None:
        small = Pool(threads=1, waiting=0)
        small._executor.shutdown()  # from then on it refuses as where the system has no thread left
        for _ in range(3):
            with pytest.raises(Problem, match="short of threads"):
                asyncio.run(small.run(lambda: None))
