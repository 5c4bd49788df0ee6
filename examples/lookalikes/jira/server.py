"""A site on a free port of the loopback interface: a context manager for tests and demos."""

import socket
import threading
import time
from types import TracebackType
from typing import Self

import uvicorn

from examples.lookalikes.jira.hooks import Hooks
from examples.lookalikes.jira.rest import application
from examples.lookalikes.jira.site import Site


class Jira:
    """A running look-alike. `close` and `open` make an outage of it: the port stays, nobody answers."""

    def __init__(self, site: Site | None = None) -> None:
        self.site = site or Site()
        self.hooks = Hooks(self.site)
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def scoped_url(self) -> str:
        """Where scoped tokens go."""
        return f"{self.url}/ex/jira/{self.site.cloud_id}"

    def settings(self, *, webhook_secret: str = "") -> dict[str, str]:
        """What a connector needs to know to get in."""
        site = self.site
        return {"url": self.url, "email": site.email, "token": site.token, "webhook_secret": webhook_secret}

    def open(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self.site.base_url = self.url
        config = uvicorn.Config(
            application(self.site), log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def close(self) -> None:
        assert self._server
        assert self._thread
        self._server.should_exit = True
        self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        self.open()
        self.hooks.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hooks.stop()
        self.close()
