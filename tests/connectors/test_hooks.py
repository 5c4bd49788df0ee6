"""Other systems' calls past Django's handler: the same views and answers, in threads that keep their connections."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

from config.asgi import application
from connectors import hooks
from tests.connectors.slack.house import connect
from tests.connectors.slack_world import SlackWorld, slack_world
from tests.worlds import world

SLACK = "/slack/events"


@pytest.fixture(scope="module")
def slack(database: None) -> Iterator[SlackWorld]:
    with slack_world() as made:
        connect(world().tenant, made)
        yield made


async def call(
    path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, method: str = "POST", query: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query, "scheme": "http", "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
    }  # fmt: skip
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start, *rest = sent
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], told, b"".join(one["body"] for one in rest)


def helped(slack: SlackWorld) -> tuple[bytes, dict[str, str]]:
    """`/approvals help`, signed; each another signature."""
    payload = slack.command_payload("erin", "/approvals help")
    return slack.signed(payload)


def pids() -> dict[str, int]:
    """The server process behind the connection of each thread that has one."""
    all_there = threading.Barrier(hooks.THREADS)

    def pid() -> tuple[str, int]:
        all_there.wait(30)
        raw = connection.connection
        return threading.current_thread().name, 0 if raw is None or raw.closed else raw.info.backend_pid

    asked = [hooks._threads.submit(pid) for _ in range(hooks.THREADS)]
    return {name: pid for name, pid in (one.result() for one in asked) if pid}


class TestAnswers:
    def test_every_path_leads_to_the_view_that_django_leads_to(self) -> None:
        assert {path: resolve(path).func for path in hooks.VIEWS} == dict(hooks.VIEWS)

    async def test_what_is_signed_is_answered(self, slack: SlackWorld) -> None:
        status, headers, body = await call(SLACK, *helped(slack))
        assert (status, headers["content-length"]) == (200, str(len(body)))
        assert "/approvals link CODE" in json.loads(body)["text"]

    @pytest.mark.parametrize("path", sorted(hooks.VIEWS))
    async def test_abuse_076_what_is_not_signed_is_refused(self, slack: SlackWorld, path: str) -> None:
        assert (await call(path, b"{}"))[0] == 401
        assert (await call(path, method="GET"))[0] == 405
        assert (await call(path, b"{}", query=b"\xff"))[0] == 400

    async def test_abuse_018_a_body_beyond_bounds_is_refused(self) -> None:
        assert (await call(SLACK, b"x" * 3_000_000))[0] == 413

    async def test_whoever_leaves_is_not_answered(self) -> None:
        async def gone() -> Mapping[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            pytest.fail(f"nobody is there: {message}")

        await hooks.application({"type": "http", "path": SLACK}, gone, send)

    async def test_a_fault_of_ours_tells_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(request: HttpRequest) -> HttpResponse:
            raise ValueError(request.body)

        monkeypatch.setitem(hooks.VIEWS, SLACK, broken)
        with caplog.at_level(logging.ERROR):
            assert (await call(SLACK, b"x"))[::2] == (500, b"")
        assert "another system's call failed" in caplog.text

    async def test_who_comes_when_too_many_wait_is_sent_away(self, slack: SlackWorld) -> None:
        body, headers = helped(slack)
        taken = 0
        while hooks._room.acquire(blocking=False):
            taken += 1
        status, told, _ = await call(SLACK, body, headers)
        for _ in range(taken):
            hooks._room.release()
        assert (status, told["retry-after"]) == (503, "1")
        assert (await call(SLACK, body, headers))[0] == 200, "it was not looked at the first time"


@pytest.mark.postgres
class TestConnections:
    def test_are_kept(self, slack: SlackWorld) -> None:
        asyncio.run(call(SLACK, *helped(slack)))
        first = pids()
        assert first
        for _ in range(2 * hooks.THREADS):
            asyncio.run(call(SLACK, *helped(slack)))
        assert pids().items() >= first.items()

    def test_that_died_are_replaced_before_they_are_asked(self, slack: SlackWorld) -> None:
        asyncio.run(call(SLACK, *helped(slack)))
        before = pids()
        assert before
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [[*before.values()]])
        for _ in range(100 * hooks.THREADS):  # whose turn it is nobody says, and one that had none keeps its dead one
            assert asyncio.run(call(SLACK, *helped(slack)))[0] == 200
            if not before.items() & pids().items():
                return
        pytest.fail("some were not replaced")
