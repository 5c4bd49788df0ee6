"""The hot path's way in: a raw ASGI callable. A body over the limit is answered at once, then drained within bounds."""

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, lru_cache
from typing import Any, cast

from django.conf import settings

from enforcement import api, commit, looped, problems, proxies
from enforcement.http import Headers, Request, Response
from enforcement.problems import Kind, Problem

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

DRAIN_BYTES = 32 * 1024 * 1024
DRAIN_SECONDS = 5.0
BODY_SECONDS = 10.0
SWITCH_SECONDS = 0.0005
GARBAGE_AFTER = 20_000


class _TooLarge(Exception):
    """The body is, or says it is, beyond the limit."""


class _Gone(Exception):
    """The client left before it had said all."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """One HTTP request, or the lifespan of the server."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    headers = {str(name, "latin-1"): str(value, "latin-1") for name, value in scope["headers"]}
    try:
        body = await _in_time(headers, receive)
    except TimeoutError:  # whoever sends a byte a minute holds a connection for nothing
        slow = problems.response(Problem(Kind.TIMEOUT, f"Send the body within {BODY_SECONDS:.0f} seconds."))
        await _send(slow._replace(headers=(*slow.headers, ("connection", "close"))), send)
    except _TooLarge:
        await _refuse(_request(scope, headers, b""), receive, send)
    except _Gone:
        return
    else:
        await _send(await api.answer(_request(scope, headers, body)), send)


def _request(scope: Scope, headers: Mapping[str, str], body: bytes) -> Request:
    peer = scope["client"][0] if scope.get("client") else ""
    headers = proxies.told_once(headers, scope["headers"])
    return Request(scope["method"], scope["path"], str(scope["query_string"], "latin-1"), headers, body, peer)


# --- the body


class _Patience:
    """Bodies still awaited, and until when. One timer for all: one for each costs more than judging the call."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._watched_by: asyncio.AbstractEventLoop | None = None

    def begin(self, task: "asyncio.Task[Any]") -> None:
        self._until[task] = time.monotonic() + BODY_SECONDS
        if self._watched_by is None or self._watched_by.is_closed():
            self._watched_by = asyncio.get_running_loop()
            self._look_later(self._watched_by)

    def lost(self, task: "asyncio.Task[Any]") -> bool:
        """Whether it is this watch that cancelled the task, which then is not cancelled any more."""
        return task in self._late and task.uncancel() == 0

    def end(self, task: "asyncio.Task[Any]") -> None:
        del self._until[task]
        self._late.discard(task)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(BODY_SECONDS / 8, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for task in [task for task, until in self._until.items() if until <= now and task not in self._late]:
            self._late.add(task)
            task.cancel()
        if self._until:
            self._look_later(loop)
        else:
            self._watched_by = None


_patience = _Patience()


async def _in_time(headers: Mapping[str, str], receive: Receive) -> bytes:
    """The body. Raises TimeoutError a little after BODY_SECONDS."""
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    _patience.begin(task)
    try:
        return await _body(headers, receive)
    except asyncio.CancelledError:
        if _patience.lost(task):
            raise TimeoutError from None
        raise
    finally:
        _patience.end(task)


@cache
def _limit() -> int:
    """Read once: settings that are looked up lazily cost more than all else here."""
    return int(settings.COUNTERSIGN.body_limit)


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes:
    limit = _limit()
    if int(headers.get("content-length") or 0) > limit:
        raise _TooLarge
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise _Gone
    if not message.get("more_body") and len(body) <= limit:
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        size += len(message.get("body", b""))
        if size > limit:
            raise _TooLarge
        parts.append(message.get("body", b""))
    if size > limit:
        raise _TooLarge
    return b"".join(parts)


async def _refuse(request: Request, receive: Receive, send: Send) -> None:
    """Tell the whole answer first, then read on for a while: a client that is still sending would else see a reset
    connection instead of the 413. The answer ends only after that, or the server would stop reading for us.
    """
    response = problems.response(api.too_large(_limit()))
    headers = (*response.headers, ("connection", "close"))
    await _send(response._replace(headers=headers, request_id=api.request_id(request)), send, more=True)
    if "expect" not in request.headers:  # such a client waits to be told before it sends anything
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_drain(receive), DRAIN_SECONDS)
    await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    left = DRAIN_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return
        left -= len(message.get("body", b""))


async def _send(response: Response, send: Send, *, more: bool = False) -> None:
    headers = [*_encoded(response.headers), (b"content-length", b"%d" % len(response.body))]
    if response.request_id:
        headers.append((b"x-request-id", response.request_id.encode("latin-1")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": more})


@lru_cache(maxsize=64)  # most are constants of ours
def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def _lifespan(receive: Receive, send: Send) -> None:
    """The writer starts with the first call; at the end, what waits is committed."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _tune()
            await looped.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            await looped.stop()
            await asyncio.to_thread(commit.stop)
            await send({"type": "lifespan.shutdown.complete"})
            return


def _tune() -> None:
    """For a process that serves and does nothing else.

    The writer waits for the database several times a group, and for the interpreter after each: with Python's own
    interval it waits longest for the latter. What a call makes dies by its reference count; looking for cycles after
    every 700 objects finds none and costs an eighth of the whole.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER, 20, 50)
