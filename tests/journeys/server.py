"""A place (database, keys, checkpoints) in, `manage.py up` as a process on it out: what a story speaks to."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psycopg
from psycopg import sql

from tests.journeys.console import ROOT, Console
from tests.servers import free_port

PATIENCE = 180.0  # seconds; in bad weather a system rests for up to half a minute at a time
NOBODY = "redis://127.0.0.1:1/0"
"""With a Redis named, `up` leaves pumping and sealing to workers; where none run, nobody does either."""


def clean_environment() -> dict[str, str]:
    """This process's, without the settings that the rooms' tests run under."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


def until(condition: Callable[[], object], *, seconds: float = PATIENCE, every: float = 0.05) -> None:
    """Return once `condition` holds. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        time.sleep(every)


class Place:
    """Where an installation lives. `setup` is run once; servers and commands share it."""

    def __init__(self, home: Path, settings: Mapping[str, str], *, owner_url: str | None = None) -> None:
        self.home, self.owner_url = home, owner_url
        self.environment = {
            **clean_environment(),
            "COUNTERSIGN_KEYS_DIR": str(home / "keys"),
            "COUNTERSIGN_CHECKPOINTS_DIR": str(home / "checkpoints"),
            "COUNTERSIGN_SECRET_KEY": "journeys-only-" + secrets.token_hex(32),
            "COUNTERSIGN_ENROLMENT_COOLDOWN": "0",
            "COUNTERSIGN_CONNECTOR_COOLDOWN": "0",
            "COUNTERSIGN_PROBE_PRIVATE": "true",  # what checks look at is on loopback
            **settings,
        }
        self.manage = Console(self.environment)
        self.manage("setup")

    @classmethod
    def sqlite(cls, home: Path) -> Self:
        return cls(home, {"COUNTERSIGN_DATABASE_URL": f"sqlite:///{home / 'countersign.sqlite3'}"})

    @classmethod
    def postgres(cls, home: Path, server_url: str) -> Self:
        """A database of its own on that server, owned by its superuser; the service's role may only add evidence."""
        name = f"countersign_journeys_{os.getpid()}_{secrets.token_hex(3)}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        parts = urlsplit(server_url)
        owner = urlunsplit(parts._replace(path=f"/{name}"))
        address = f"{name}:{secrets.token_hex(8)}@{parts.hostname}:{parts.port or 5432}"
        runtime = urlunsplit(parts._replace(path=f"/{name}", netloc=address))
        settings = {"COUNTERSIGN_DATABASE_URL": runtime, "COUNTERSIGN_MIGRATOR_DATABASE_URL": owner}
        return cls(home, settings, owner_url=owner)

    @property
    def on_postgres(self) -> bool:
        return self.owner_url is not None

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """What the owner of the tables sees (PostgreSQL only)."""
        assert self.owner_url
        with psycopg.connect(self.owner_url) as connection:
            return connection.execute(query, parameters).fetchall()

    def dispose(self) -> None:
        """Close the console and drop what `postgres` made."""
        self.manage.close()
        if self.owner_url is None:
            return
        name = urlsplit(self.owner_url).path.strip("/")
        server = urlunsplit(urlsplit(self.owner_url)._replace(path="/postgres"))
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


class Server:
    """`manage.py up` on a free port. A context manager; may be killed and started again on the same port."""

    def __init__(self, place: Place, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**place.environment, "COUNTERSIGN_BASE_URL": self.url, **settings}
        self._log = place.home / f"server-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        command = [sys.executable, "manage.py", "up", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        until(self._answers)
        return self

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log[-3000:]
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Killed, as everything here is safe against that, and because it is faster."""
        if self.process and self.process.poll() is None:
            self.kill()
