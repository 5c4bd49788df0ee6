"""A PEP that speaks to the room without a socket: one event loop in a thread, as a server has it."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from enforcement import api
from enforcement.http import Request

T = TypeVar("T")
EVALUATION = "/access/v1/evaluation"
REQUESTS = "/access/v1/requests"
OUTCOMES = "/access/v1/outcomes"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def context(self) -> Any:
        return self.json["context"]

    @property
    def told(self) -> tuple[bool, str, str]:
        return self.json["decision"], self.context["outcome"], self.context["reason"]


class _Loop:
    """Started with the first call; lives as long as the run, as a server's does."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Awaitable[T], timeout: float = 60) -> T:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True).start()

        async def wrapped() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wrapped(), self._loop).result(timeout)


_loop = _Loop()
run = _loop.run


async def send(
    method: str, path: str, key: str | None, body: Any = None, headers: Mapping[str, str] | None = None
) -> Reply:
    path, _, query = path.partition("?")
    told = {"content-type": "application/json", **(headers or {})}
    if key is not None:
        told["authorization"] = f"Bearer {key}"
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    response = await api.answer(Request(method, path, query, told, raw))
    return Reply(response.status, dict(response.all_headers), response.body)


def post(path: str, key: str | None, body: Any = None, **headers: str) -> Reply:
    return run(send("POST", path, key, body, {name.replace("_", "-"): value for name, value in headers.items()}))


def get(path: str, key: str | None) -> Reply:
    return run(send("GET", path, key))


def together(calls: Iterable[Awaitable[Reply]]) -> list[Reply]:
    """All at once."""

    async def gathered() -> list[Reply]:
        return list(await asyncio.gather(*calls))

    return run(gathered())


def question(**changes: Any) -> dict[str, Any]:
    """A refund of 10 by support-bot: allowed by the quickstart's policy. `context` members by keyword."""
    context = {"arguments": {"order": "A-1", "amount": "10.00"}, "intent": "customer-refund"}
    entities = {
        "subject": {"type": "agent", "id": "support-bot"},
        "action": {"name": "create"},
        "resource": {"type": "tool", "id": "payments.refund"},
    }
    for name, value in changes.items():
        (entities if name in entities else context)[name] = value
    context = {name: value for name, value in context.items() if value is not None}
    return {**entities, "context": context}


def big(amount: str = "250.00", **changes: Any) -> dict[str, Any]:
    """A refund that waits for finance."""
    return question(arguments={"order": "A-1", "amount": amount}, **changes)


def ask(key: str, body: Any = None, **changes: Any) -> Reply:
    return post(EVALUATION, key, body if body is not None else question(**changes))
