"""`manage.py doctor` says as much as `setup` does, never a password, and changes nothing."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.core.management import call_command
from django.test import RequestFactory

from config import health
from config.environment import environment as given
from examples.lookalikes.faults import Faults
from examples.lookalikes.servicenow.api import application
from examples.lookalikes.servicenow.instance import Instance
from examples.lookalikes.servicenow.serving import served
from tests import environment
from tests.servers import Redis

ROOT = Path(__file__).parents[2]
WAITS = "No worker pumps or seals until then; nothing is lost."


def manage(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")} | {
        "COUNTERSIGN_SECRET_KEY": "k" * 60,
        "COUNTERSIGN_KEYS_DIR": str(home / "keys"),
        "COUNTERSIGN_CHECKPOINTS_DIR": str(home / "checkpoints"),
        "COUNTERSIGN_DATABASE_URL": f"sqlite:///{home}/c.sqlite3",
        "COUNTERSIGN_BOOTSTRAP_TENANT": "acme",
        "COUNTERSIGN_BOOTSTRAP_ADMIN": "root",
        "COUNTERSIGN_BOOTSTRAP_EMAIL": "root@acme.test",
    }
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=variables | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


class TestDatabase:
    def test_makes_no_empty_one(self, tmp_path: Path):
        done = manage(tmp_path, "doctor")
        assert done.returncode == 1
        assert "BAD   database             There is no database yet. Run manage.py setup.\n" in done.stdout
        assert not list(tmp_path.glob("c.sqlite3*"))

    @pytest.mark.postgres
    def test_tells_what_the_database_said_and_what_to_do_but_no_password(self, tmp_path: Path):
        place = str(environment.DATABASE_URL).rpartition("@")[2]
        role = f"countersign_nobody_{secrets.token_hex(4)}"
        url = f"postgresql://{role}:hidden-word@{place}"
        done = manage(tmp_path, "doctor", COUNTERSIGN_DATABASE_URL=url)
        assert done.returncode == 1
        assert role in done.stdout
        assert "run setup with COUNTERSIGN_MIGRATOR_DATABASE_URL" in done.stdout
        assert "hidden-word" not in done.stdout + done.stderr

    def test_readyz_tells_nobody_which_role_or_host(self, monkeypatch: pytest.MonkeyPatch):
        said = health.Finding("database", ok=False, text="Not let in.", detail='role "secret_role" does not exist')
        monkeypatch.setattr(health, "_database", lambda: said)
        answer = health.readyz(RequestFactory().get("/readyz"))
        assert answer.status_code == 503
        assert b"Not let in." in answer.content
        assert b"secret_role" not in answer.content


class TestRedis:
    @pytest.fixture(autouse=True)
    def _forgets(self) -> Iterator[None]:
        yield
        given.cache_clear()

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("redis://127.0.0.1:1/0", f"127.0.0.1:1 does not answer. {WAITS}"),
            ("redis://somebody:hidden@127.0.0.1:1/0", f"127.0.0.1:1 does not answer. {WAITS}"),
            ("unix:///nowhere/redis.sock", f"/nowhere/redis.sock does not answer. {WAITS}"),
            ("redis://127.0.0.1:port/0", "127.0.0.1:port is no address that Redis takes."),
            ("redis://:hidden/word@127.0.0.1:1/0", "What is before the last @ is no address that Redis takes."),
            ("redis://:of@hidden#word@127.0.0.1:1/0", "What is before the last @ does not answer."),
        ],
    )
    def test_is_minded_where_it_does_not_answer(self, monkeypatch: pytest.MonkeyPatch, url: str, said: str):
        monkeypatch.setenv("COUNTERSIGN_REDIS_URL", url)
        given.cache_clear()
        (found,) = health.doorbell()
        assert (found.name, found.ok, found.fatal) == ("redis", False, False)
        assert found.text.startswith(said)
        assert "hidden" not in found.text

    @pytest.mark.redis
    def test_that_lets_us_in_or_not_is_told_apart(self, monkeypatch: pytest.MonkeyPatch):
        running = Redis.start()
        try:
            monkeypatch.setenv("COUNTERSIGN_REDIS_URL", running.url)
            given.cache_clear()
            (well,) = health.doorbell()
            redis.Redis.from_url(running.url).config_set("requirepass", "another")
            (refused,) = health.doorbell()
        finally:
            running.stop()
        assert well.ok
        assert "refuses our password" in refused.text

    def test_is_no_matter_where_none_is_wanted(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("COUNTERSIGN_REDIS_URL", "")
        given.cache_clear()
        assert list(health.doorbell()) == []

    def test_is_among_what_the_doctor_looks_at(self, monkeypatch: pytest.MonkeyPatch, capsys):
        monkeypatch.setenv("COUNTERSIGN_REDIS_URL", "redis://127.0.0.1:1/0")
        given.cache_clear()
        with contextlib.suppress(SystemExit):  # other tests' records may wait for a sealer
            call_command("doctor")
        assert "mind  redis" in capsys.readouterr().out


class TestOutput:
    def test_holds_no_line_but_the_doctors_own(self, tmp_path: Path):
        manage(tmp_path, "setup")
        instance = Instance()
        service = instance.person("countersign", "itil", "approval_admin", automation=True)
        with served(application(instance, Faults("servicenow", storm=False))) as url:
            done = manage(
                tmp_path, "doctor", COUNTERSIGN_SERVICENOW_URL=url, COUNTERSIGN_SERVICENOW_USER=service.user_name,
                COUNTERSIGN_SERVICENOW_PASSWORD=service.password, COUNTERSIGN_SERVICENOW_WEBHOOK_SECRET="s" * 40,
            )  # fmt: skip
        assert "ok    servicenow acme" in done.stdout, done.stdout
        assert done.stderr == ""
