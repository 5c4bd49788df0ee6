"""A server on loopback that keeps connections open, counts them, sets cookies, and says who asked."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Kept:
    """What it saw: ports of the other side, one a connection, and the headers of each call."""

    url: str = ""
    peers: list[int] = field(default_factory=list)
    calls: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def keeping(said: Mapping[str, Any]) -> Iterator[Kept]:
    """Answers every GET with this JSON and a cookie of a session."""
    here = Kept()
    body = json.dumps(said).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            here.peers.append(self.client_address[1])

        def do_GET(self) -> None:
            here.calls.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Set-Cookie", f"session=of-{len(here.calls)}; Path=/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    here.url = f"http://127.0.0.1:{server.server_port}"
    yield here
    server.shutdown()
    server.server_close()
    thread.join()
