"""A directory and a port in, a running Countersign with the quickstart's world and a chat out; stopped on leaving."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from examples.demo.chat import PATIENCE, Chat, chat
from examples.demo.ground import Ground, ground

ROOT = Path(__file__).resolve().parent.parent.parent
TENANT = "acme"
OURS = "COUNTERSIGN_"
CELERY = (sys.executable, "-m", "celery", "-A", "config")


@dataclass(frozen=True, slots=True)
class Approver:
    """A demo person: where to sign in once, and the secret of their authenticator."""

    username: str
    link: str
    secret: str


@dataclass(frozen=True, slots=True)
class House:
    """The running service. `stands_on` are words for its database, and for Redis if there is one."""

    url: str
    stands_on: str
    var: Path
    environment: dict[str, str]
    chat: Chat

    def manage(self, *arguments: str) -> str:
        """Run one management command; its output. A failing one stops the demo with its own words."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def key(self) -> str:
        """A fresh PEP key for the shop's agent."""
        printed = self.manage("issue_key", "--tenant", TENANT, "--pep", "demo-mcp-proxy", "--agents", "support-*")
        return found(r"csk_pep_\S+", printed)

    def approvers(self, *usernames: str) -> list[Approver]:
        """All at once: most of a command's time is its start."""
        with ThreadPoolExecutor() as at_once:
            return list(at_once.map(self.approver, usernames))

    def approver(self, username: str) -> Approver:
        link = found(r"https?://\S+", self.manage("sign_in_link", username))
        secret = self.manage("enrol_totp", "--tenant", TENANT, username).split()[-1]
        return Approver(username, link, secret)


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if not match:
        raise SystemExit(f"expected {pattern!r} in:\n{text}")
    return match[0]


@contextmanager
def house(host: str, port: int) -> Iterator[House]:
    """Set up, load the quickstart, serve until the block ends, with a chat beside it."""
    var = Path(os.environ.get("COUNTERSIGN_DEMO_DIR") or ROOT / "var" / "demo").resolve()
    _check_free(host, port)
    shutil.rmtree(var, ignore_errors=True)  # each demo is a new world: last time's approvers have their authenticators
    var.mkdir(parents=True)
    url = f"http://{host}:{port}"
    with ExitStack() as stack:
        below = stack.enter_context(ground(var))
        beside = stack.enter_context(
            chat(port=_port_for_chat(port), request_url=f"{url}/slack/events", log=var / "chat.log")
        )
        built = House(url, below.words, var, _environment(var, host, url, beside, below), beside)
        built.manage("setup")
        built.manage("apply", "-f", "examples/quickstart")
        if below.has_redis:  # first: the service is not ready while nobody seals
            stack.enter_context(_working(built))
        stack.enter_context(_serving(built, host, port))
        yield built


def _environment(var: Path, host: str, url: str, beside: Chat, below: Ground) -> dict[str, str]:
    """The demo has keys of its own and speaks to its own chat alone, whatever installation the shell is set up for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {
        **kept,
        **below.settings,
        **beside.settings,
        "COUNTERSIGN_SECRET_KEY": secrets.token_urlsafe(48),
        "COUNTERSIGN_KEYS_DIR": str(var / "keys"),
        "COUNTERSIGN_CHECKPOINTS_DIR": str(var / "checkpoints"),
        "COUNTERSIGN_ENROLMENT_COOLDOWN": "0",
        "COUNTERSIGN_CONNECTOR_COOLDOWN": "0",
        "COUNTERSIGN_CONNECTOR_TENANT": TENANT,
        "COUNTERSIGN_BASE_URL": url,
        "COUNTERSIGN_ALLOWED_HOSTS": f"{host},127.0.0.1,localhost",
    }


def _port_for_chat(port: int) -> int:
    """The next one if it is free, so that it can be guessed; else any."""
    for wanted in (port + 1, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("There is no free port on 127.0.0.1.")


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SystemExit(
                f"{host}:{port} is taken ({error.strerror}). Choose another: make demo PORT=8010"
            ) from None


@contextmanager
def _serving(built: House, host: str, port: int) -> Iterator[None]:
    command = [sys.executable, "manage.py", "up", "--host", host, "--port", str(port)]
    with _running(built, "server", command) as server:
        _await_ready(built, server)
        yield


@contextmanager
def _working(built: House) -> Iterator[None]:
    """The processes that do in production what one process does by itself where there is no Redis."""
    schedule = ["--schedule", str(built.var / "beat"), "--pidfile", ""]
    with (
        _running(built, "worker", [*CELERY, "worker", "--concurrency", "2", "--loglevel", "WARNING"]),
        _running(built, "beat", [*CELERY, "beat", *schedule, "--loglevel", "WARNING"]),
    ):
        yield


@contextmanager
def _running(built: House, name: str, command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process whose words go to `NAME.log`, until the block ends."""
    with (built.var / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=built.environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_ready(built: House, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx2.get(f"{built.url}/readyz", timeout=2).status_code == 200:  # noqa: PLR2004
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    log = (built.var / "server.log").read_text()[-2000:]
    raise SystemExit(f"The service did not get ready on {built.url}. Is the port taken? Its last words:\n{log}")
