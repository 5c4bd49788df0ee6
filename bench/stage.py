"""A database, a tenant and servers for one benchmark: all of it our own, all of it gone afterwards."""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests import servers

ROOT = Path(__file__).parent.parent
LOOKUP = (
    b'{"subject":{"type":"agent","id":"support-bot"},"action":{"name":"get"},'
    b'"resource":{"type":"tool","id":"crm.lookup"},"context":{"arguments":{"customer":"C-1001","fields":"all"},'
    b'"intent":"lookup","session":"s-81","transaction":"case-4711"}}'
)
"""A call of a tool without caps, which is what most calls are."""

REFUND = (
    b'{"subject":{"type":"agent","id":"support-bot"},"action":{"name":"create"},'
    b'"resource":{"type":"tool","id":"payments.refund"},"context":{"arguments":{"order":"A-1001","amount":"25.00"},'
    b'"intent":"customer-refund","session":"s-81","transaction":"case-4711"}}'
)
"""A call of a tool with two rates and a spend cap: all of them change the same three rows."""

CAPS = {
    "rate": ["900000000/minute", "900000000/day"],
    "spend": {"argument": "amount", "per_call": "1000.00", "per_day": "900000000000.00", "currency": "EUR"},
}
"""The quickstart's caps, too wide to be used up: they are counted, and nothing is refused."""


@dataclass
class Stage:
    """One database with one tenant, its keys in a directory, and the environment every process of it gets."""

    home: Path
    url: str
    key: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")},
            "COUNTERSIGN_DATABASE_URL": self.url,
            "COUNTERSIGN_KEYS_DIR": str(self.home / "keys"),
            "COUNTERSIGN_CHECKPOINTS_DIR": str(self.home / "checkpoints"),
            "COUNTERSIGN_SECRET_KEY": "bench-" + "k" * 50,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *command: str) -> str:
        """One command to its end."""
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr[-2000:]}")
        return done.stdout

    def start(self, *command: str, extra: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """One process that goes on until the stage is cleared."""
        log = (self.home / "log").open("ab")
        process = subprocess.Popen(
            command, cwd=ROOT, env={**self.environment, **(extra or {})}, stdout=log, stderr=log, start_new_session=True
        )
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def serving(self, *command: str, port: int, extra: Mapping[str, str] | None = None) -> Iterator[int]:
        """A server, ready; its process id."""
        process = self.start(*command, extra=extra)
        try:
            _until_answers(f"http://127.0.0.1:{port}/access/v1/evaluation", process)
            yield process.pid
        finally:
            self.stop(process)


@contextlib.contextmanager
def on_postgres() -> Iterator[Stage | None]:
    """A stage on PostgreSQL, or None where there is none."""
    server = servers.postgres_url()
    if server is None:
        yield None
        return
    name = f"countersign_bench_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        with _prepared(f"{server.rsplit('/', 1)[0]}/{name}") as stage:
            yield stage
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextlib.contextmanager
def on_sqlite() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as home, _prepared(f"sqlite:///{home}/bench.sqlite3") as stage:
        yield stage


@contextlib.contextmanager
def _prepared(url: str) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as home:
        stage = Stage(Path(home), url)
        stage.run(sys.executable, "manage.py", "setup")
        stage.key = stage.run(sys.executable, "-m", "bench.seed").split()[-1]
        try:
            yield stage
        finally:
            for process in stage.processes:
                if process.poll() is None:
                    stage.stop(process)


def _until_answers(url: str, process: subprocess.Popen[bytes], *, seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


def memory_of(pid: int) -> list[int]:
    """Resident kilobytes of a process and of its children."""
    found = [pid, *_children(pid)]
    return [_resident(one) for one in found]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()
        ]
    return []


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0
