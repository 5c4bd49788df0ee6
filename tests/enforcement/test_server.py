"""Over a real socket: uvicorn, the building's ASGI application, and what only a server can get wrong."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.enforcement.machine import EVALUATION, question
from tests.servers import free_port
from tests.worlds import World, world

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(caps={})


@pytest.fixture(scope="module")
def port(database: None) -> Iterator[int]:
    settings = connection.settings_dict
    url = f"sqlite:///{settings['NAME']}"
    if connection.vendor == "postgresql":
        password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
        url = f"postgresql://{settings['USER']}{password}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    chosen = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(chosen), "--log-level", "warning"],
        cwd=ROOT,
        env={**os.environ, "COUNTERSIGN_DATABASE_URL": url},
    )
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", chosen), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield chosen
    server.terminate()
    assert server.wait(30) in {0, -signal.SIGTERM}, "it ends by itself, with its last commit made"


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
