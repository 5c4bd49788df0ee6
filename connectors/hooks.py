"""Other systems' calls in, beside Django's handler: the same views, in a few threads that keep their connections.

Django's own handler starts a thread for each request, and that thread a connection to the database: more than half of
what it costs to answer a click. What its middleware does is for browsers and for people who are signed in; nobody here
is either. Under `runserver`, tests and WSGI the same views are reached through Django.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse

from connectors.jira import views as jira
from connectors.servicenow import views as servicenow
from connectors.slack import views as slack

log = logging.getLogger(__name__)

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
View = Callable[[HttpRequest], HttpResponse]

VIEWS: Mapping[str, View] = {
    "/slack/events": slack.events,
    "/jira/webhook": jira.webhook,
    "/servicenow/webhook": servicenow.webhook,
}
THREADS = 4
WAITING = 256

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hooks")
_room = threading.BoundedSemaphore(THREADS + WAITING)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """One call of a path in `VIEWS`, whose whole body is one message. 503 where too many wait already."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return
    if not _room.acquire(blocking=False):
        await _send(HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "1"}), send)
        return
    future = _threads.submit(_answer, VIEWS[scope["path"]], scope, message.get("body", b""))
    future.add_done_callback(lambda _: _room.release())  # also when the server gives up on us
    await _send(await asyncio.wrap_future(future), send)


def _answer(view: View, scope: Scope, body: bytes) -> HttpResponse:
    try:
        renew()
        return view(ASGIRequest(scope, BytesIO(body)))
    except UnicodeDecodeError:  # of the address
        return HttpResponse(status=HTTPStatus.BAD_REQUEST)
    except Exception:
        log.exception("another system's call failed", extra={"path": scope["path"]})
        return HttpResponse(status=HTTPStatus.INTERNAL_SERVER_ERROR)


def renew() -> None:
    """Let go of a connection that is of no use any more, for a thread no request of Django's ends in."""
    if connection.connection is not None and not connection.is_usable():
        connection.close()


async def _send(response: HttpResponse, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers.append((b"content-length", b"%d" % len(response.content)))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
