"""Over a real socket: uvicorn, the building's ASGI application, and what only a server can get wrong."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from evidence import clock
from registry import credentials
from tests.enforcement import vouching
from tests.enforcement.machine import EVALUATION, question
from tests.servers import free_port
from tests.worlds import SETUP, World, world

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(caps={})


@pytest.fixture(scope="module", params=["auto", "config.protocol:Protocol"])
def port(database: None, request: pytest.FixtureRequest) -> Iterator[int]:
    """A server that speaks uvicorn's own HTTP, and one with our short cut: nobody can tell one from the other."""
    with serving(request.param, "--no-proxy-headers") as (chosen, server):
        yield chosen
        server.terminate()
        assert server.wait(30) in {0, -signal.SIGTERM}, "it ends by itself, with its last commit made"


@contextmanager
def serving(protocol: str, *more: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    settings = connection.settings_dict
    url = f"sqlite:///{settings['NAME']}"
    if connection.vendor == "postgresql":
        password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
        url = f"postgresql://{settings['USER']}{password}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    chosen = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(chosen)),
            *("--http", protocol, "--no-access-log", "--log-level", "warning", *more),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "COUNTERSIGN_DATABASE_URL": url,
            "COUNTERSIGN_TRUSTED_PROXIES": "127.0.0.1",
            "COUNTERSIGN_BASE_URL": f"http://127.0.0.1:{chosen}",
        },
    )
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", chosen), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    try:
        yield chosen, server
    finally:
        server.terminate()
        server.wait(30)


def speak(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def headers(own: World, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {own.pep_key}", "content-type": "application/json", **more}


class TestServer:
    def test_decides_over_one_connection_again_and_again(self, acme, port):
        line = speak(port)
        for _ in range(5):
            line.request("POST", EVALUATION, json.dumps(question()), headers(acme))
            reply = line.getresponse()
            assert (reply.status, json.loads(reply.read())["decision"]) == (200, True)
        line.close()

    def test_believes_a_proxy_by_its_connection(self, acme, port):
        identity = f"spiffe://{acme.slug}.test/server"
        acme.apply(issuers=[{"id": "cert", "certificate": identity, "agent": "support-bot"}])
        told = f"x-forwarded-client-cert: URI={identity}"
        kept = b"\r\n".join(line for line in asking(acme).split(b"\r\n") if not line.startswith(b"authorization"))
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        for more, status in (
            ([told, "x-forwarded-for: 203.0.113.9"], 200),
            ([told, told], 401),
            ([], 401),
            ([told], 200),
        ):
            line.sendall(kept.replace(b"host: x", "\r\n".join(["host: x", *more]).encode()))
            assert answers(line, 1)[0][0] == status
        line.close()

    def test_proves_whom_a_call_is_for_and_forgets_the_token(self, acme, port):
        acme.apply(issuers=[vouching.people(acme)])
        named = {"type": "user", "id": acme.username("dana")}
        line = speak(port)
        for token, status in ((vouching.persons(acme), 200), (vouching.persons(acme, "frank"), 403)):
            told = json.dumps(question(principal=named, principal_token=token))
            for _ in range(2):
                line.request("POST", EVALUATION, told, headers(acme))
                reply = line.getresponse()
                assert (reply.status, token.split(".")[1] in reply.read().decode()) == (status, False)
        line.close()

    def test_takes_a_token_for_a_key(self, acme, port):
        acme.apply(issuers=[vouching.agents(acme)])
        line = speak(port)
        for bearer, status in ((vouching.token(acme), 200), (vouching.token(acme, exp=1), 401)):
            for _ in range(2):
                line.request(
                    "POST", EVALUATION, json.dumps(question()), headers(acme, authorization=f"Bearer {bearer}")
                )
                reply = line.getresponse()
                reply.read()
                assert reply.status == status
        line.close()

    def test_sends_pages_to_django(self, port):
        line = speak(port)
        line.request("GET", "/healthz")
        assert line.getresponse().status == 200
        line.close()

    def test_abuse_018_answers_ten_megabytes_before_they_are_sent(self, acme, port):
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        size = 10_000_000
        head = (
            f"POST {EVALUATION} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
        )
        line.sendall(head.encode() + b"{")
        began = time.monotonic()
        assert line.recv(4096).startswith(b"HTTP/1.1 413")
        assert time.monotonic() - began < 5, "told at once, not after a timeout of ours"
        for _ in range(99):
            line.sendall(b" " * 100_000)
        line.close()

    def test_abuse_018_refuses_a_chunked_body_that_does_not_end(self, acme, port):
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = f"POST {EVALUATION} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        line.sendall(head.encode())
        for _ in range(12):
            line.sendall(b"19000\r\n" + b" " * 0x19000 + b"\r\n")
        assert line.recv(4096).startswith(b"HTTP/1.1 413")
        line.close()

    def test_closes_the_connection_it_could_not_read_to_the_end(self, acme, port):
        line = speak(port)
        line.request("POST", EVALUATION, b"x" * 2_000_000, headers(acme))
        reply = line.getresponse()
        assert (reply.status, reply.getheader("connection")) == (413, "close")
        line.close()


def asking(own: World, body: bytes | None = None, *more: str) -> bytes:
    """One evaluation request, as it goes over the wire."""
    told = json.dumps(question()).encode() if body is None else body
    lines = [f"POST {EVALUATION} HTTP/1.1", "host: x", f"authorization: Bearer {own.pep_key}"]
    lines += ["content-type: application/json", f"content-length: {len(told)}", *more, "", ""]
    return "\r\n".join(lines).encode() + told


def answers(line: socket.socket, count: int) -> list[tuple[int, dict[str, str], Any]]:
    """What comes back, in order: status, headers, JSON."""
    file, found = line.makefile("rb"), []
    for _ in range(count):
        status = int(file.readline().split()[1])
        told = dict(field.decode().rstrip().split(": ", 1) for field in iter(file.readline, b"\r\n"))
        found.append((status, told, json.loads(file.read(int(told["content-length"])))))
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)


def is_waited_for(cursor: CursorWrapper) -> bool:
    """Whether somebody waits for the tenants' table."""
    cursor.execute("SELECT count(*) FROM pg_locks WHERE relation = 'registry_tenant'::regclass AND NOT granted")
    return cursor.fetchone()[0] > 0


def refuses(port: int) -> bool:
    """Whether new connections are taken no more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


class TestShortCut:
    """What the evaluation's own way through the server must not do otherwise than the general one."""

    def test_answers_requests_that_came_together_in_their_order(self, acme, port):
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        names = [f"x-request-id: number-{at}" for at in range(4)]
        line.sendall(b"".join(asking(acme, None, name) for name in names))
        got = answers(line, 4)
        assert [(status, told["x-request-id"], body["decision"]) for status, told, body in got] == [
            (200, f"number-{at}", True) for at in range(4)
        ]
        line.close()

    @pytest.mark.parametrize("cut", [20, -30], ids=["in the head", "in the body"])
    def test_waits_for_the_rest_of_a_request(self, acme, port, cut):
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        whole = asking(acme)
        line.sendall(whole[:cut])
        time.sleep(0.2)
        line.sendall(whole[cut:] + whole)
        assert [status for status, *_ in answers(line, 2)] == [200, 200]
        line.close()

    def test_tells_each_mistake_as_everywhere(self, acme, port):
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        good = asking(acme)
        mistakes = [
            (good.replace(b"csk_", b"csq_"), 401),
            (good.replace(b"POST", b"PUT"), 405),
            (good.replace(b"application/json", b"text/plain"), 400),
            (asking(acme, b"{"), 400),
            (asking(acme, b'{"subject":{"type":"agent","id":"x","properties":{"n":1e400}}}'), 422),
            (asking(acme, b"[" + b" " * 5000 + b"]"), 422),
        ]
        for sent, status in mistakes:
            line.sendall(sent)
            assert [(told, "x-request-id" in named) for told, named, _ in answers(line, 1)] == [(status, True)]
        line.sendall(good)
        assert [status for status, *_ in answers(line, 1)] == [200]
        line.close()

    def test_closes_when_the_caller_wishes_it(self, acme, port):
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        line.sendall(asking(acme, None, "connection: close"))
        ((status, told, _),) = answers(line, 1)
        assert (status, told["connection"]) == (200, "close")
        assert line.recv(1) == b""
        line.close()

    def test_forgets_a_key_with_the_next_question(self, port):
        own = world(caps={})
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        line.sendall(asking(own))
        before = answers(line, 1)[0][0]
        credentials.revoke(own.credential(own.pep_key), actor=SETUP, now=clock.now())
        line.sendall(asking(own))
        assert (before, answers(line, 1)[0][0]) == (200, 401)
        line.close()

    def test_closes_a_connection_that_is_silent_for_too_long_and_no_other(self, acme):
        with serving("config.protocol:Protocol", "--timeout-keep-alive", "2") as (port, _):
            line = socket.create_connection(("127.0.0.1", port), timeout=30)
            for _ in range(4):
                line.sendall(asking(acme))
                assert answers(line, 1)[0][0] == 200
                time.sleep(0.8)
            began = time.monotonic()
            assert line.recv(1) == b""
            assert time.monotonic() - began < 10
            line.close()

    @pytest.mark.postgres
    @pytest.mark.parametrize("protocol", ["auto", "config.protocol:Protocol"])
    def test_answers_what_it_has_taken_in_before_it_ends(self, acme, protocol):
        with serving(protocol) as (port, server):
            line = socket.create_connection(("127.0.0.1", port), timeout=30)
            line.sendall(asking(acme))
            answers(line, 1)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE registry_tenant IN ACCESS EXCLUSIVE MODE")
                line.sendall(asking(acme))
                wait_for(lambda: is_waited_for(cursor))
                server.terminate()
                wait_for(lambda: refuses(port))
            ((status, told, _),) = answers(line, 1)
            assert status in {200, 503}, "503 where all this took longer than a call may"
            assert told["connection"] == "close"
            assert server.wait(30) in {0, -signal.SIGTERM}
            line.close()
