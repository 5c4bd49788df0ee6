"""What the page asks and does: one person's screen as JSON, and their acts; also the knobs for faults.

Only pages of this very server may ask: a foreign Host (rebinding) or Origin (another site) is turned away.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from examples.lookalikes.faults import Fault
from examples.lookalikes.slack import acting, filling, screen
from examples.lookalikes.slack.socket import Sockets
from examples.lookalikes.slack.workspace import Delivered, Workspace

STATIC = Path(__file__).parent / "static"
FILES = {"": "index.html"} | {
    path.name: path.name for path in STATIC.iterdir() if path.suffix in {".js", ".css", ".svg"}
}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}  # fmt: skip
Act = Callable[[dict[str, Any]], Awaitable[object]]


def routes(workspace: Workspace, sockets: Sockets) -> list[BaseRoute]:
    return [
        Route("/_/screen", _guarded(_screen(workspace)), methods=["GET"]),
        Route("/_/log", _guarded(_log(workspace)), methods=["GET"]),
        *(Route(f"/_/{name}", _guarded(_acted(act)), methods=["POST"]) for name, act in _acts(workspace, sockets)),
        Route("/{name:path}", _guarded(_file), methods=["GET"]),
    ]


def _acts(workspace: Workspace, sockets: Sockets) -> list[tuple[str, Act]]:
    """Every act by name. What comes in are keyword arguments of the function of that name in `acting`."""

    async def say(asked: dict[str, Any]) -> object:
        return acting.say(workspace, **asked).ts

    async def faults(asked: dict[str, Any]) -> object:
        if asked.pop("clear", False):
            workspace.faults.clear()
        if asked:
            workspace.faults.add(Fault(**asked))
        return workspace.faults.waiting()

    async def configure(asked: dict[str, Any]) -> object:
        workspace.request_url = str(asked["request_url"])
        return workspace.request_url

    def of(function: Callable[..., Awaitable[object]]) -> Act:
        return lambda asked: function(workspace, sockets, **asked)

    named = (acting.press, acting.press_in_view, acting.submit, acting.close, acting.command, acting.open_home)
    return [*((one.__name__, of(one)) for one in named), ("say", say), ("faults", faults), ("configure", configure)]


def _acted(act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse({"error": "application/json is needed"}, status_code=415)
        try:
            done = await act(await request.json())
        except filling.Unfilled:
            return JSONResponse({"unfilled": True})
        except (filling.Impossible, TypeError, ValueError, KeyError) as error:
            return JSONResponse({"error": str(error)}, status_code=409)
        return JSONResponse(_told(done) if isinstance(done, Delivered) else {"done": done})

    return endpoint


def _told(delivered: Delivered) -> dict[str, Any]:
    return {
        "kind": delivered.kind, "status": delivered.status, "body": delivered.body, "attempts": delivered.attempts,
        "seconds": round(delivered.seconds, 4), "taken": delivered.is_taken,
    }  # fmt: skip


def _screen(workspace: Workspace) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        known = request.query_params.get("revision")
        if known == str(workspace.revision):
            return JSONResponse({"revision": workspace.revision})
        user = request.query_params.get("user", "")
        with workspace.lock:
            return JSONResponse(screen.of(workspace, user))

    return endpoint


def _log(workspace: Workspace) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:  # noqa: ARG001  one shape for all endpoints
        calls = [{"method": one.method, "arguments": one.arguments, "answer": one.answer} for one in workspace.calls]
        return JSONResponse({"calls": calls, "delivered": [_told(one) for one in workspace.delivered]})

    return endpoint


async def _file(request: Request) -> Response:
    name = FILES.get(request.path_params["name"])
    if name is None and request.path_params["name"].startswith("archives/"):
        name = "index.html"  # a permalink opens the page, which finds the message by its address
    return FileResponse(STATIC / name) if name else Response(status_code=404)


def _guarded(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        host = urlsplit(f"//{request.headers.get('host', '')}")
        origin = request.headers.get("origin")
        if host.hostname not in LOOPBACK or (origin and urlsplit(origin).netloc != host.netloc):
            return JSONResponse({"error": "only this server's own page may ask"}, status_code=403)
        answer = await endpoint(request)
        answer.headers.update(HEADERS)
        return answer

    return guarded
