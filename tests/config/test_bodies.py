"""A body without end ends at the door of Django's pages, whoever sends it and whatever it says of itself."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from config import bodies
from config.asgi import application

WEBHOOKS = ["/slack/events", "/jira/webhook", "/servicenow/webhook", "/sign-in/"]
PIECE = b"x" * 262_144
ENDLESS = [*[PIECE] * 64, b""]


class Caller:
    """One POST, told to the application piece by piece; keeps what was taken of it and what was answered."""

    def __init__(self, path: str, pieces: Iterator[bytes], headers: list[tuple[bytes, bytes]]) -> None:
        self.taken = 0
        self.said: list[Any] = []
        self._pieces = pieces
        self._scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(b"host", b"testserver"), *headers], "http_version": "1.1", "scheme": "http",
            "asgi": {"version": "3.0"}, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "root_path": "",
        }  # fmt: skip

    async def _receive(self) -> dict[str, Any]:
        piece = next(self._pieces, None)
        if piece is None:
            await asyncio.sleep(3600)
        self.taken += len(piece or b"")
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    async def _send(self, message: Any) -> None:
        self.said.append(message)

    def status(self) -> int:
        asyncio.run(asyncio.wait_for(application(self._scope, self._receive, self._send), 10))
        return int(self.said[0]["status"])


@pytest.mark.parametrize("path", WEBHOOKS)
class TestWhatIsTooLarge:
    def test_abuse_018_is_refused_unread_where_it_says_so(self, path: str) -> None:
        caller = Caller(path, iter(ENDLESS), [(b"content-length", b"10737418240")])
        assert caller.status() == 413
        assert caller.taken == 0

    def test_abuse_018_is_refused_where_it_says_nothing(self, path: str) -> None:
        caller = Caller(path, iter(ENDLESS), [(b"transfer-encoding", b"chunked")])
        assert caller.status() == 413
        assert caller.taken <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE + len(PIECE)


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.05)
    assert Caller("/slack/events", iter([b"{"]), []).status() == 408


def test_a_small_body_is_read_by_the_page_it_is_for() -> None:
    assert Caller("/slack/events", iter([b"{", b"}", b""]), []).status() == 401
