"""`manage.py up` finds out before it says where it is; and no header replaces an address that is believed."""

import os
import socket
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config import health
from config.environment import environment
from config.management.commands import up
from tests.servers import free_port

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("trusted", "believed"), [("", True), ("10.0.3.7", False)])
def test_believes_forwarded_addresses_only_where_none_is_trusted(
    monkeypatch: pytest.MonkeyPatch, trusted: str, believed: bool
) -> None:
    monkeypatch.setenv("COUNTERSIGN_TRUSTED_PROXIES", trusted)
    environment.cache_clear()
    asked: dict[str, Any] = {}
    monkeypatch.setattr(up.uvicorn, "run", lambda _application, **given: asked.update(given))
    up.serve(host="127.0.0.1", port=1, workers=1)
    environment.cache_clear()
    assert asked["proxy_headers"] is believed


class TestPort:
    @pytest.fixture(autouse=True)
    def _serves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(up.uvicorn, "run", lambda *_: None)

    def test_refuses_one_that_is_taken_before_it_says_where_it_is(self):
        said = StringIO()
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(CommandError, match=rf"127\.0\.0\.1:{port} is taken\. Choose another: .* PORT=8010"):
                call_command("up", port=port, stdout=said, stderr=said)
        assert said.getvalue() == ""

    @pytest.mark.parametrize("given", [{"port": 99_999}, {"host": "no-such-host.invalid"}, {"host": "192.0.2.1"}])
    def test_refuses_one_that_cannot_be(self, given: dict[str, Any]):
        with pytest.raises(CommandError, match=r"cannot be served on \(.+\)\. Choose another"):
            call_command("up", **given)


class TestNotReady:
    def test_it_is_said_in_the_words_of_readyz(self, tmp_path: Path):
        variables = os.environ | {
            "COUNTERSIGN_DATABASE_URL": f"sqlite:///{tmp_path}/c.sqlite3",
            "COUNTERSIGN_KEYS_DIR": str(tmp_path / "keys"),
        }
        command = [sys.executable, "manage.py", "up", "--port", str(free_port())]
        with subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr
                assert server.stderr.readline() == "Not ready: There is no database yet. Run manage.py setup.\n"
            finally:
                server.kill()

    @pytest.mark.parametrize(("seals", "is_said"), [(True, False), (False, True)])
    def test_records_that_wait_are_no_fault_where_the_sealer_is_about_to_start(
        self, monkeypatch: pytest.MonkeyPatch, seals: bool, is_said: bool
    ):
        monkeypatch.setattr(health, "SEALING_LAG", timedelta(-1))  # nothing is sealed in time
        said = StringIO()
        up.Command(stderr=said).say_what_is_missing(seals=seals)
        assert ("Not ready: Records wait" in said.getvalue()) is is_said
