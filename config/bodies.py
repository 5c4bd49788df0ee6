"""A page's request in; 413 out where its body is larger than any form or webhook of ours, before it fills a disk.

Django writes a body of any size into a temporary file before it asks anybody who is calling.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SECONDS = 30.0  # whoever sends a byte a minute holds a connection for nothing


async def bounded(pages: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Have it answered with its whole body, if that is within the bounds."""
    try:
        async with asyncio.timeout(SECONDS):
            body = await _body(scope, receive, limit=int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
    except TimeoutError:
        await _refuse(send, HTTPStatus.REQUEST_TIMEOUT)
    except OverflowError:
        await _refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except ConnectionError:
        return  # nobody is left to answer
    else:
        await pages(scope, _replaying(body, receive), send)


async def _body(scope: Scope, receive: Receive, *, limit: int) -> bytes:
    """Raises OverflowError, be it for what the request says of itself; ConnectionError where the client left."""
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if told.isdigit() and int(told) > limit:
        raise OverflowError
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > limit:
            raise OverflowError
    return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """What was read, in one piece; after it whatever the connection says."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


async def _refuse(send: Send, status: HTTPStatus) -> None:
    """The rest is not read, so nothing can follow on this connection."""
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
