"""The look-alike over HTTP: Slack's Web API, response URLs, Socket Mode, and the page where people click."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from examples.lookalikes.faults import Fault
from examples.lookalikes.slack import methods, page
from examples.lookalikes.slack.responding import respond
from examples.lookalikes.slack.socket import Sockets
from examples.lookalikes.slack.workspace import Refused, Workspace

CUT = "countersign.cut"

__all__ = ["Fault", "Workspace", "app", "serving"]


def app(workspace: Workspace, *, sockets: Sockets | None = None) -> Starlette:
    """The whole look-alike. `sockets` given: the caller may then act as people too."""
    sockets = sockets or Sockets()

    async def call(request: Request) -> Response:
        method = request.path_params["method"]
        return await _with_faults(workspace, method, request, lambda: _called(workspace, method, request))

    async def response_url(request: Request) -> Response:
        return await _with_faults(workspace, "response_url", request, lambda: _responded(workspace, request))

    async def socket(connection: WebSocket) -> None:
        await sockets.serve(workspace, connection)

    return Starlette(
        routes=[
            Route("/api/{method}", call, methods=["GET", "POST"]),
            Route("/actions/{team}/{secret}", response_url, methods=["POST"]),
            WebSocketRoute("/link/", socket),
            Mount("/", routes=page.routes(workspace, sockets)),
        ]
    )


async def _called(workspace: Workspace, method: str, request: Request) -> Response:
    try:
        arguments = await _arguments(request)
    except ValueError:
        return JSONResponse({"ok": False, "error": "invalid_json"})
    scheme, _, header = request.headers.get("authorization", "").partition(" ")
    token = header.strip() if scheme.lower() == "bearer" else str(arguments.get("token") or "")
    arguments.pop("token", None)
    return JSONResponse(methods.answer(workspace, method, token, arguments))


async def _arguments(request: Request) -> dict[str, Any]:
    """Query, form or JSON, as each method of the real one takes them. Raises ValueError."""
    given: dict[str, Any] = dict(request.query_params)
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        parsed = json.loads(body or b"{}")
        if not isinstance(parsed, dict):
            raise ValueError("an object is needed")
        return given | parsed
    if body:
        given |= {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    return given


async def _responded(workspace: Workspace, request: Request) -> Response:
    try:
        respond(workspace, request.path_params["secret"], await request.body())
    except Refused as refused:
        return JSONResponse({"ok": False, "error": refused.error}, status_code=404)
    return PlainTextResponse("ok")


async def _with_faults(
    workspace: Workspace, where: str, request: Request, effect: Callable[[], Awaitable[Response]]
) -> Response:
    """The effect, with what was asked to go wrong."""
    fault = workspace.faults.take(where)
    if fault is None:
        return await effect()
    await asyncio.sleep(fault.delay)
    if fault.drop == "before":
        return _cut(request)
    if fault.status or fault.error or fault.garbage:
        return _faulty(fault)
    answer = await effect()
    return _cut(request) if fault.drop else answer


def _faulty(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.garbage:
        return PlainTextResponse("<html>Bad gateway</html>", status_code=fault.status or 200, headers=headers)
    error = fault.error or ("ratelimited" if fault.status == 429 else "internal_error")  # noqa: PLR2004
    return JSONResponse({"ok": False, "error": error}, status_code=fault.status or 200, headers=headers)


def _cut(request: Request) -> Response:
    """Break the connection under the client's feet; nothing of an answer is sent."""
    request.scope[CUT]()
    return Response()


class Cuttable(HttpToolsProtocol):
    """HTTP whose connection an endpoint can break."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[CUT] = self.transport.abort  # type: ignore[typeddict-unknown-key]


class _Quiet(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(workspace: Workspace, *, port: int = 0, sockets: Sockets | None = None) -> AsyncIterator[str]:
    """Serve on loopback until the block ends; the address."""
    config = uvicorn.Config(
        app(workspace, sockets=sockets), host="127.0.0.1", port=port, log_level="error", http=Cuttable,
        ws="websockets-sansio", lifespan="off", timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Quiet(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                task.result()
                raise OSError(f"the look-alike could not listen on port {port}")
            await asyncio.sleep(0.01)
        workspace.base_url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield workspace.base_url
    finally:
        server.should_exit = True
        await task
