"""The commands as a person types them."""

import os
import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from countersign.cli import COMMANDS
from countersign.pep import credentials
from countersign.pep.answer import BadAnswer, Denied, Pending, Refused, Unavailable
from countersign.pep.command import mcp_proxy
from countersign.pep.conversation import Custody, NotClaimed
from countersign.pep.credentials import Access, NotConfigured, environment_without_ours, find
from countersign.pep.question import BadQuestion, origin_of
from tests.countersign.pep.lookalike import KEY

ROOT = Path(__file__).parents[3]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "countersign.cli", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


class TestCountersign:
    def test_refuses_an_unknown_command(self):
        assert run("approve-everything").returncode == 2

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_is_where_it_is_said_to_be(self, name: str):
        module, attribute = COMMANDS[name]
        assert callable(getattr(import_module(module), attribute))

    def test_names_its_commands(self):
        told = run("--help")
        assert told.returncode == 0
        assert all(name in told.stdout for name in COMMANDS)


class TestMcpProxy:
    def test_has_no_option_for_the_key_itself(self):
        """What stands on a command line can be read by every process of the machine."""
        assert run("mcp-proxy", "--key", KEY, "--", "true").returncode == 2

    def test_names_everything_that_is_missing_at_once(self):
        told = run("mcp-proxy", "--", "true")
        assert told.returncode == 2
        assert all(name in told.stderr for name in ("COUNTERSIGN_URL", "COUNTERSIGN_KEY", "COUNTERSIGN_AGENT"))

    @pytest.mark.parametrize(
        "origin", ["OPS-12", "jira:", "slack:C0SUPPORT", "jira:OPS-12/x", "pigeon:loft", "slack:/1"]
    )
    def test_refuses_an_origin_it_cannot_read(self, origin: str):
        with pytest.raises(ValueError, match="is not slack:CHANNEL/THREAD"):
            origin_of(origin)

    def test_refuses_a_mapping_it_cannot_read(self):
        settings = {"COUNTERSIGN_URL": "http://127.0.0.1:1", "COUNTERSIGN_KEY": "k", "COUNTERSIGN_AGENT": "a"}
        told = run("mcp-proxy", "--map", "refund", "--", "true", **settings)
        assert (told.returncode, "--map" in told.stderr) == (2, True)


class TestCredentials:
    def test_a_key_file_that_cannot_be_read_is_not_replaced_by_another_key(self, tmp_path: Path, monkeypatch):
        monkeypatch.setenv("COUNTERSIGN_KEY", "csk_agent_other")
        with pytest.raises(NotConfigured):
            find(url="http://x", agent="a", key_file=tmp_path / "none")

    def test_the_key_is_in_no_text_form(self):
        assert KEY not in repr(Access(url="u", key=KEY, agent="a"))

    def test_options_come_before_the_environment(self, tmp_path: Path, monkeypatch):
        (tmp_path / "key").write_text("from-file\n")
        for name in ("URL", "KEY", "AGENT"):
            monkeypatch.setenv(f"COUNTERSIGN_{name}", "from-environment")
        assert find(url="u", key_file=tmp_path / "key", agent="a") == Access(url="u", key="from-file", agent="a")
        assert find().url == find().agent == find().key == "from-environment"

    def test_a_guarded_program_inherits_nothing_of_ours(self):
        assert environment_without_ours({"COUNTERSIGN_KEY": "x", "countersign_url": "y", "PATH": "z"}) == {"PATH": "z"}


class TestDocs:
    """The page names whatever a reader can set or meet."""

    PAGE = (ROOT / "docs" / "pep.md").read_text()

    @pytest.mark.parametrize(
        "name",
        [
            *(value for name, value in vars(credentials).items() if name.isupper() and name != "OURS"),
            *(
                "--" + name.strip("_").replace("_", "-")
                for name in signature(mcp_proxy).parameters
                if name != "command"
            ),
            *(error.__name__ for error in (Unavailable, Refused, BadAnswer, Denied, Pending, NotClaimed, BadQuestion)),
            *Custody,
        ],
    )
    def test_names(self, name: str):
        assert name in self.PAGE
