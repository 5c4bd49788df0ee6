"""A small message board over real HTTP, which tests break at will, and the Transport that tells requests on it."""

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from connectors.kinds import KINDS
from connectors.models import Access
from connectors.port import Account, Name, Place, Ref, Told, TransportError
from evidence import clock, keys
from registry.models import Channel, Tenant

KIND = "board"
_CLIENT = httpx2.Client(timeout=2)  # one: to make one loads all the world's certificates


@dataclass
class Fault:
    """What goes wrong with one call: it waits, it answers `status`, or it does its work and hangs up."""

    status: int = 0
    seconds: float = 0
    retry_after: str = ""
    hang_up: bool = False


@dataclass
class Board:
    """Messages by id. `faults` are used up one a call; `always` holds while it is set."""

    url: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[float, str, str]] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: Counter[str] = field(default_factory=Counter)

    def about(self, request_id: str) -> list[dict[str, Any]]:
        return [one for one in self.messages.values() if one["request_id"] == request_id]

    def fault(self) -> Fault | None:
        with self.lock:
            return self.faults.popleft() if self.faults else self.always

    def write(self, method: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if method == "POST" and name == "messages":
                name = f"m{len(self.messages) + 1}"
                self.messages[name] = {"id": name, "place": body["place"], "versions": []}
            message = self.messages[name]
            message |= body
            message["versions"].append(body.get("version"))
            return message


@contextmanager
def board() -> Iterator[Board]:
    """A board that answers, until the block ends."""
    here = Board()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"board": here}))
    server.daemon_threads = True
    here.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    KINDS[KIND] = Boards
    try:
        yield here
    finally:
        KINDS.pop(KIND, None)
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    board: Board

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        fault = self.board.fault()
        if fault and fault.status:
            self._answer(fault.status, {})
            return
        place, request_id = self.path.strip("/").split("/")[-2:]
        found = [one["id"] for one in self.board.about(request_id) if one["place"] == place]
        self._answer(200, {"found": found})

    def do_POST(self) -> None:
        self._write("POST")

    def do_PUT(self) -> None:
        self._write("PUT")

    def _write(self, method: str) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.rsplit("/", 1)[-1]
        self.board.calls.append((time.monotonic(), method, body.get("request_id", "")))
        fault = self.board.fault()
        key = f"{body.get('place')}:{body.get('request_id')}"
        self.board.busy[key] += 1
        if self.board.busy[key] > 1:
            self.board.overlaps.append(key)
        try:
            if fault and fault.seconds:
                time.sleep(fault.seconds)
            if fault and fault.status:
                self._answer(fault.status, {}, retry_after=fault.retry_after)
                return
            made = self.board.write(method, name, body)
        finally:
            self.board.busy[key] -= 1
        if fault and fault.hang_up:
            self.close_connection = True
            return
        self._answer(200, {"id": made["id"]})

    def _answer(self, status: int, body: Mapping[str, Any], *, retry_after: str = "") -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(raw)))
        with suppress(OSError):  # who asked may be gone
            self.end_headers()
            self.wfile.write(raw)


class Boards:
    """The Transport. 403 and 404 are for good, 429 says when, all else may pass."""

    def __init__(self, account: Account) -> None:
        self.url = account.settings["url"]

    def post(self, place: Place, told: Told) -> Ref:
        return {"id": self._call("POST", "messages", _body(place, told))["id"]}

    def edit(self, place: Place, ref: Ref, told: Told) -> Ref:
        self._call("PUT", f"messages/{ref['id']}", _body(place, told))
        return ref

    def find(self, place: Place, name: Name) -> Ref | None:
        found = self._call("GET", f"find/{place.key}/{name.id}", None)["found"]
        return {"id": found[0]} if found else None

    def say(self, place: Place, words: str) -> None:
        self._call("POST", "messages", {"place": place.key, "request_id": "", "words": words})

    def check(self) -> str:
        self._call("GET", "find/x/y", None)
        return "The board answers."

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        try:
            answer = _CLIENT.request(method, f"{self.url}/{path}", json=body)
        except httpx2.HTTPError as error:
            raise TransportError(f"The board did not answer ({type(error).__name__}).") from error
        if answer.status_code == 429:
            after = timedelta(seconds=float(answer.headers["Retry-After"]))
            raise TransportError("The board is busy.", retry_after=after)
        if answer.status_code != 200:
            permanent = answer.status_code in {403, 404}
            raise TransportError(f"The board answered {answer.status_code}.", permanent=permanent)
        return dict(answer.json())


def _body(place: Place, told: Told) -> dict[str, Any]:
    return {
        "place": place.key, "request_id": told.request_id, "version": told.version, "status": told.status,
        "outcome": told.outcome, "votes": [one.who for one in told.votes], "at": time.time(),
        "lines": [[one.label, one.value] for one in told.lines], "justification": told.justification,
    }  # fmt: skip


def connect(tenant: Tenant, url: str) -> None:
    """The tenant's access to the board, sealed like any other."""
    box = keys.seal(json.dumps({"url": url}).encode(), bound_to=f"connectors/access/{tenant.slug}/{KIND}")
    Access.objects.update_or_create(tenant=tenant, kind=KIND, defaults={"box": box, "updated_at": clock.now()})


def channel(tenant: Tenant, key: str = "C1", *, teams: list[str] | None = None, **config: Any) -> Channel:
    teams = ["finance"] if teams is None else teams
    return Channel.objects.create(tenant=tenant, kind=KIND, key=key, teams=teams, config={"channel": key, **config})
