"""`make demo UNATTENDED=1`: the program that newcomers run first, to its end, one vote on our pages and one from chat."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis

from examples.demo.ground import DATABASE, REDIS, ground
from examples.lookalikes.weather import VARIABLE
from tests import environment
from tests.journeys.console import ROOT
from tests.journeys.server import clean_environment
from tests.servers import Redis, free_port

STORY = (
    "✓ lookup_order", "✗ delete_customer", "✋ refund", "✓ refund", "Each exactly once.", "erin signed in",
    "frank pressed Approve on the card in the look-alike", "the card now tells the outcome",
)  # fmt: skip


def played(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    told = {
        VARIABLE: os.environ.get(VARIABLE, ""), "UNATTENDED": "1", "PORT": str(free_port()),
        "COUNTERSIGN_DEMO_DIR": str(home / "demo"), **settings,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT, env={**clean_environment(), **told}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def answers(port: int | None) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_there(url: str) -> bool:
    """Whether the server has the database."""
    server = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    with psycopg.connect(server) as connection:
        name = urlsplit(url).path.strip("/")
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


@pytest.fixture
def unmade() -> Iterator[str]:
    """A name on the run's own PostgreSQL that no database has, also afterwards."""
    assert environment.DATABASE_URL
    url = urlunsplit(urlsplit(environment.DATABASE_URL)._replace(path=f"/countersign_demo_{secrets.token_hex(6)}"))
    yield url
    with psycopg.connect(environment.DATABASE_URL, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{urlsplit(url).path.strip("/")}" WITH (FORCE)')


@pytest.fixture
def empty(unmade: str) -> str:
    """A database without a table."""
    with psycopg.connect(str(environment.DATABASE_URL), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{urlsplit(unmade).path.strip("/")}"')
    return unmade


@pytest.fixture
def broker() -> Iterator[Redis]:
    started = Redis.start()
    yield started
    started.stop()


class TestDemo:
    def test_it_tells_the_story_and_nothing_of_the_shells_installation_reaches_it(self, tmp_path: Path):
        keys = tmp_path / "keys-of-an-installation"
        done = played(
            tmp_path, COUNTERSIGN_KEYS_DIR=str(keys), COUNTERSIGN_CHECKPOINTS_DIR=str(keys),
            COUNTERSIGN_MIGRATOR_DATABASE_URL="postgresql://owner@127.0.0.1:1/installation",
            COUNTERSIGN_JIRA_URL="https://acme.atlassian.net", COUNTERSIGN_SECRET_KEY_FILE="/nowhere",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert [words for words in (*STORY, "It stands on SQLite.") if words not in done.stdout] == []
        assert (tmp_path / "demo" / "pack" / "checkpoint").exists()
        assert not keys.exists()

    def test_ended_by_a_signal_it_takes_along_what_it_started(self, tmp_path: Path):
        told = {"UNATTENDED": "", "PORT": str(free_port()), "COUNTERSIGN_DEMO_DIR": str(tmp_path / "demo")}
        command = [sys.executable, "-m", "examples.demo"]
        with subprocess.Popen(
            command, cwd=ROOT, env={**clean_environment(), **told}, stdout=subprocess.PIPE, text=True
        ) as demo:  # fmt: skip
            assert demo.stdout
            said = ""
            while "Waiting" not in said:
                line = demo.stdout.readline()
                assert line, said
                said += line
            places = [urlsplit(url) for url in re.findall(r"on (http://\S+?)(?:,|$)", said, re.MULTILINE)[:2]]
            assert [answers(place.port) for place in places] == [True, True]
            demo.terminate()
            assert demo.wait(60) == 128 + signal.SIGTERM
        assert [answers(place.port) for place in places] == [False, False]

    @pytest.mark.postgres
    @pytest.mark.redis
    def test_it_tells_the_same_on_postgresql_and_redis(self, tmp_path: Path, unmade: str, broker: Redis):
        done = played(tmp_path, **{DATABASE: unmade, REDIS: broker.url})
        logs = "".join(file.read_text() for file in (tmp_path / "demo").glob("*.log"))
        assert done.returncode == 0, done.stdout + done.stderr + logs[-4000:]
        assert [words for words in STORY if words not in done.stdout] == []
        assert "which was made for it, with Redis, a Celery worker and beat." in done.stdout
        assert not is_there(unmade)
        with redis.Redis.from_url(broker.url) as known:
            assert known.dbsize() == 0


@pytest.mark.postgres
class TestDatabase:
    def test_refuses_one_that_holds_anything_and_leaves_it_as_it_is(self, tmp_path: Path, empty: str):
        with psycopg.connect(empty, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA books")
            connection.execute("CREATE TABLE books.entries (n integer)")
        done = played(tmp_path, **{DATABASE: empty})
        assert done.returncode == 1
        assert "which holds 1 tables. The demo touches nobody's data" in done.stderr
        with psycopg.connect(empty) as connection:
            made = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert made == (0,)

    def test_makes_one_that_is_not_there_and_removes_it(self, tmp_path: Path, unmade: str, monkeypatch):
        monkeypatch.setenv(DATABASE, unmade)
        with ground(tmp_path) as below:
            assert (below.settings, below.has_redis, is_there(unmade)) == ({DATABASE: unmade}, False, True)
        assert not is_there(unmade)

    def test_takes_an_empty_one_and_leaves_it_there(self, tmp_path: Path, empty: str, monkeypatch):
        monkeypatch.delenv(DATABASE)
        (tmp_path / "url").write_text(f"{empty}\n")
        monkeypatch.setenv(f"{DATABASE}_FILE", str(tmp_path / "url"))
        with ground(tmp_path) as below:
            assert below.settings == {DATABASE: empty}
            assert "which was empty before" in below.words
        assert is_there(empty)

    def test_says_what_is_wrong_with_a_server_that_is_not_there(self, tmp_path: Path, monkeypatch):
        monkeypatch.setenv(DATABASE, "postgresql://owner:hidden@127.0.0.1:1/demo")
        with (
            pytest.raises(SystemExit, match=r"the database demo on 127\.0\.0\.1 cannot be reached") as stopped,
            ground(tmp_path),
        ):
            pass
        assert "hidden" not in str(stopped.value)


class TestOther:
    def test_refuses_a_file_that_holds_something(self, tmp_path: Path, monkeypatch):
        (tmp_path / "books.sqlite3").write_text("kept")
        monkeypatch.setenv(DATABASE, f"sqlite:///{tmp_path}/books.sqlite3")
        with pytest.raises(SystemExit, match="holds something"), ground(tmp_path):
            pass

    @pytest.mark.redis
    def test_refuses_a_redis_that_is_in_use_and_leaves_it_as_it_is(self, tmp_path: Path, broker: Redis, monkeypatch):
        monkeypatch.setenv(DATABASE, "")
        monkeypatch.setenv(REDIS, broker.url)
        with redis.Redis.from_url(broker.url) as known:
            known.set("queue", "of others")
            with pytest.raises(SystemExit, match="is in use"), ground(tmp_path):
                pass
            assert known.dbsize() == 1
