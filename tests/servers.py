"""The real PostgreSQL and Redis a test run talks to: given, found on loopback, or started from installed binaries."""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import redis

_LOOPBACK_POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
_LOOPBACK_REDIS = "redis://127.0.0.1:6379/0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_url() -> str | None:
    """URL of a PostgreSQL this run may make databases in, or None for SQLite."""
    given = os.environ.get("COUNTERSIGN_TEST_DATABASE_URL", "")
    if given == "sqlite":
        return None
    for url in (given,) if given else (_LOOPBACK_POSTGRES,):
        if _answers(url):
            return url
    if given:
        message = f"COUNTERSIGN_TEST_DATABASE_URL does not answer: {given}"
        raise RuntimeError(message)
    own = Postgres.start() if postgres_binaries() else None
    if own:
        atexit.register(own.stop)
        return own.url
    return None


def redis_url() -> str | None:
    """URL of a Redis this run may use (it flushes only databases of instances it started), or None."""
    given = os.environ.get("COUNTERSIGN_TEST_REDIS_URL", "")
    for url in (given,) if given else (_LOOPBACK_REDIS,):
        if _redis_answers(url):
            return url
    if given:
        message = f"COUNTERSIGN_TEST_REDIS_URL does not answer: {given}"
        raise RuntimeError(message)
    own = Redis.start() if shutil.which("redis-server") else None
    if own:
        atexit.register(own.stop)
        return own.url
    return None


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _redis_answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url, socket_connect_timeout=2).ping())
    except redis.RedisError:
        return False


def postgres_binaries() -> Path | None:
    """Directory of initdb and postgres, newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Postgres:
    """A throw-away PostgreSQL of our own, which may be killed at will. Refuses to run as root, so it drops to `postgres`."""

    def __init__(self, home: Path, port: int, *, data: Path) -> None:
        self.home, self.port, self.data = home, port, data
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls) -> "Postgres":
        home = Path(tempfile.mkdtemp(prefix="countersign-pg-"))
        server = cls(home, free_port(), data=home / "data")
        _own(home)
        binaries = postgres_binaries()
        assert binaries
        subprocess.run(
            [binaries / "initdb", "-D", server.data, "-U", "postgres", "-A", "trust", "--no-sync"],
            check=True, capture_output=True, preexec_fn=_drop_root,
        )  # fmt: skip
        server.launch()
        return server

    def launch(self) -> None:
        binaries = postgres_binaries()
        assert binaries
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [binaries / "postgres", "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", f"unix_socket_directories={self.home}", "-c", "max_connections=60"],
                stdout=log, stderr=log, preexec_fn=_drop_root,  # noqa: PLW1509  it only drops rights before the exec
            )  # fmt: skip
        _until(lambda: _answers(self.url))

    def kill(self) -> None:
        """SIGKILL the postmaster and wait until its children are gone too, as a power cut would look to clients."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        _until(lambda: not _answers(self.url))

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)
        shutil.rmtree(self.home, ignore_errors=True)


class Redis:
    """A throw-away Redis of our own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls) -> "Redis":
        server = cls(free_port())
        server.launch()
        return server

    def launch(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _until(lambda: _redis_answers(self.url))

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)


def _drop_root() -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)


def _until(condition, *, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the server did not come up or go down in time")
        time.sleep(0.05)
