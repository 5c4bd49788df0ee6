"""Connections that never say all are not kept."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from config.asgi import application
from enforcement import asgi


def test_abuse_136_a_body_that_never_ends_is_answered_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)
    assert _spoken({"type": "http", "method": "POST", "path": "/access/v1/evaluation"})[0]["status"] == 408


def test_a_websocket_is_closed() -> None:
    assert _spoken({"type": "websocket", "path": "/access/v1/evaluation"}, {"type": "websocket.connect"}) == [
        {"type": "websocket.close", "code": 1000}
    ]


def _spoken(scope: Mapping[str, Any], *messages: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    waiting, said = list(messages), []

    async def receive() -> Mapping[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        said.append(message)

    asyncio.run(application({"query_string": b"", "headers": [], **scope}, receive, send))
    return said
