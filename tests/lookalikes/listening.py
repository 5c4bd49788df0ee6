"""An app as Slack sees one: an HTTP server that records what it is told and answers as a test wishes."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Heard:
    body: bytes
    headers: dict[str, str]

    @property
    def payload(self) -> dict[str, Any]:
        if self.headers["content-type"].startswith("application/json"):
            return json.loads(self.body)
        form = {name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}
        return json.loads(form["payload"]) if "payload" in form else form


@dataclass
class App:
    """`answers` are used up one a delivery: a status, a body, or seconds to think first; then 200 with nothing."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answers: list[int | str | dict[str, Any] | float] = field(default_factory=list)


def _handler(app: App) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            app.heard.append(Heard(body, {name.lower(): value for name, value in self.headers.items()}))
            answer = app.answers.pop(0) if app.answers else ""
            if isinstance(answer, float):
                time.sleep(answer)
                answer = ""
            said = (
                json.dumps(answer) if isinstance(answer, dict) else answer if isinstance(answer, str) else ""
            ).encode()
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A Slack that gave up waiting is part of what is tested."""


@contextmanager
def listening() -> Iterator[App]:
    app = App()
    with _Server(("127.0.0.1", 0), _handler(app)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        app.url = f"http://127.0.0.1:{server.server_port}/slack/events"
        yield app
        server.shutdown()
