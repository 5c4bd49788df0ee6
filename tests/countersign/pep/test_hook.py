"""The hook as Claude Code runs it: a process, an event on its standard input, its exit code and its output."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from countersign.pep.question import fingerprint
from tests.countersign.pep.lookalike import KEY, FarPdp, Fault
from tests.countersign.pep.test_client import free_port

ROOT = Path(__file__).parents[3]
EVENT = {
    "session_id": "s-1",
    "transcript_path": "/t.jsonl",
    "cwd": "/srv",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls"},
    "tool_use_id": "toolu_1",
}
AFTER = EVENT | {"hook_event_name": "PostToolUse", "tool_response": {"stdout": "x"}}


class Hook:
    def __init__(self, far: FarPdp) -> None:
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "COUNTERSIGN_URL": far.url,
            "COUNTERSIGN_KEY": KEY,
            "COUNTERSIGN_AGENT": "claude",
        }

    def __call__(self, event: Any = EVENT, **environment: str | None) -> subprocess.CompletedProcess[bytes]:
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        wanted = {name: value for name, value in (self.environment | environment).items() if value is not None}
        command = [sys.executable, "-m", "countersign.cli", "hook", "claude-code"]
        return subprocess.run(command, input=data, env=wanted, capture_output=True, timeout=20, check=False)


@pytest.fixture
def hook(far: FarPdp) -> Hook:
    return Hook(far)


def said(done: subprocess.CompletedProcess[bytes]) -> tuple[str, str]:
    output = json.loads(done.stdout)["hookSpecificOutput"]
    assert output["hookEventName"] == "PreToolUse"
    return output["permissionDecision"], output["permissionDecisionReason"]


class TestBlocks:
    @pytest.mark.parametrize(
        "event",
        [
            b"",
            b"{",
            b"[]",
            EVENT | {"hook_event_name": "Stop"},
            EVENT | {"tool_name": ""},
            EVENT | {"tool_name": 7},
            EVENT | {"tool_input": None},
            EVENT | {"tool_input": {"n": 2**53}},
            b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls","command":"rm"}}',
        ],
        ids=["empty", "cut", "list", "other", "nameless", "number", "inputless", "abuse_003", "abuse_001"],
    )
    def test_on_an_event_it_cannot_judge(self, far: FarPdp, hook: Hook, event):
        far.rules["claude-code.bash"] = "allow"
        done = hook(event)
        assert (done.returncode, said(done)[0], far.questions()) == (2, "deny", [])
        assert done.stderr

    @pytest.mark.parametrize("missing", ["COUNTERSIGN_URL", "COUNTERSIGN_KEY", "COUNTERSIGN_AGENT"])
    def test_without_its_settings_and_names_them(self, hook: Hook, missing: str):
        done = hook(**{missing: None})
        assert (done.returncode, said(done)[0]) == (2, "deny")
        assert missing in done.stderr.decode()

    def test_when_the_pdp_is_away(self, hook: Hook):
        done = hook(COUNTERSIGN_URL=f"http://127.0.0.1:{free_port()}")
        assert (done.returncode, said(done)[0]) == (2, "deny")

    @pytest.mark.parametrize(
        "fault",
        [{"status": 500}, {"body": b"{"}, {"change": lambda a: a | {"decision": "true"}}],
        ids=["500", "malformed", "string"],
    )
    def test_on_an_answer_that_is_no_decision(self, far: FarPdp, hook: Hook, fault):
        far.rules["claude-code.bash"] = "allow"
        far.faults.append(Fault("/access/v1/evaluation", **fault))
        done = hook()
        assert (done.returncode, said(done)[0]) == (2, "deny")

    @pytest.mark.parametrize(
        "setting",
        [
            {"COUNTERSIGN_KEY_FILE": "/no/such/file"},
            {"COUNTERSIGN_WAIT": "soon"},
            {"COUNTERSIGN_URL": "nonsense"},
            {"COUNTERSIGN_RECEIPTS": "/proc/none"},
            {"COUNTERSIGN_STATE_DIR": "/proc/none"},
        ],
    )
    def test_on_settings_that_cannot_work(self, far: FarPdp, hook: Hook, setting):
        far.rules["claude-code.bash"] = "allow"
        done = hook(**setting)
        assert (done.returncode, said(done)[0]) == (2, "deny")
        assert b"Traceback" not in done.stderr

    def test_abuse_103_never_shows_the_key(self, hook: Hook):
        for done in (hook(b"{"), hook(COUNTERSIGN_URL="nonsense"), hook()):
            assert KEY.encode() not in done.stdout + done.stderr


class TestAnswers:
    def test_deny_with_the_reason(self, hook: Hook):
        done = hook()
        assert done.returncode == 0
        assert said(done)[0] == "deny"
        assert "no_rule" in said(done)[1]

    def test_allow(self, far: FarPdp, hook: Hook):
        far.rules["claude-code.bash"] = "allow"
        done = hook()
        assert (done.returncode, said(done)[0]) == (0, "allow")
        (body,) = far.questions()
        assert body["subject"] == {"type": "agent", "id": "claude"}
        assert body["action"] == {"name": "call"}
        assert body["context"]["arguments"] == {"command": "ls"}
        assert body["context"]["session"] == "s-1"
        assert body["context"]["environment"] == {"cwd": "/srv"}

    def test_abuse_143_an_escalation_is_never_put_to_the_person_at_the_terminal(self, far: FarPdp, hook: Hook):
        far.rules["claude-code.bash"] = "escalate"
        decision, reason = said(hook())
        assert decision == "deny"
        assert f"pending {next(iter(far.requests))}" in reason

    def test_the_same_call_after_approval_and_once_only(self, far: FarPdp, hook: Hook):
        far.rules["claude-code.bash"] = "escalate"
        hook()
        far.decide("approved")
        assert [said(hook())[0] for _ in range(2)] == ["allow", "deny"]

    def test_waits_if_told_to(self, far: FarPdp, hook: Hook):
        far.rules["claude-code.bash"] = "escalate"
        far.decide_soon("approved", 0.1)
        assert said(hook(COUNTERSIGN_WAIT="10"))[0] == "allow"

    def test_reads_its_key_from_a_file(self, far: FarPdp, hook: Hook, tmp_path: Path):
        far.rules["claude-code.bash"] = "allow"
        (tmp_path / "key").write_text(KEY + "\n")
        assert said(hook(COUNTERSIGN_KEY=None, COUNTERSIGN_KEY_FILE=str(tmp_path / "key")))[0] == "allow"


class TestCustody:
    def test_reports_nothing_unless_it_can_report_the_end(self, far: FarPdp, hook: Hook):
        far.rules["claude-code.bash"] = "allow"
        assert (hook().returncode, hook(AFTER).returncode) == (0, 0)
        assert far.custody() == [["reserved"]]

    def test_a_claim_that_is_lost_blocks(self, far: FarPdp, hook: Hook, tmp_path: Path):
        far.rules["claude-code.bash"] = "allow"
        far.faults.append(Fault("/access/v1/outcomes", status=409))
        done = hook(COUNTERSIGN_STATE_DIR=str(tmp_path))
        assert (done.returncode, said(done)[0]) == (2, "deny")

    @pytest.mark.parametrize(("name", "end"), [("PostToolUse", "committed"), ("PostToolUseFailure", "failed")])
    def test_claims_before_and_reports_after(self, far: FarPdp, hook: Hook, tmp_path: Path, name: str, end: str):
        far.rules["claude-code.bash"] = "allow"
        state = {"COUNTERSIGN_STATE_DIR": str(tmp_path / "state")}
        assert said(hook(**state))[0] == "allow"
        after = hook(AFTER | {"hook_event_name": name}, **state)
        assert (after.returncode, after.stdout) == (0, b"")
        assert hook(AFTER, **state).returncode == 0
        assert far.custody() == [["reserved", "executing", end]]
        assert far.reports[-1].get("result_digest") == (fingerprint({"stdout": "x"}) if end == "committed" else None)
        assert list((tmp_path / "state").iterdir()) == []

    def test_an_end_that_cannot_be_told_blocks_nothing(self, far: FarPdp, hook: Hook, tmp_path: Path):
        far.rules["claude-code.bash"] = "allow"
        hook(COUNTERSIGN_STATE_DIR=str(tmp_path))
        far.faults.append(Fault("/access/v1/outcomes", status=500, times=100))
        done = hook(AFTER, COUNTERSIGN_STATE_DIR=str(tmp_path))
        assert done.returncode == 1
        assert b"could not be reported" in done.stderr


class TestStart:
    def test_loads_none_of_the_heavy_libraries(self):
        """A change detector for the hook's time to start; the figures stand in the documentation."""
        heavy = {
            "mcp",
            "pydantic",
            "celpy",
            "cel",
            "sqlglot",
            "jsonschema_rs",
            "cryptography",
            "django",
            "rich",
            "yaml",
        }
        code = (
            "import sys, io; sys.argv = ['countersign', 'hook', 'claude-code'];"
            "from countersign.cli import app\n"
            "try: app()\n"
            "except SystemExit: pass\n"
            "print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=b"{}",
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=20,
            check=True,
        )
        assert heavy & set(done.stderr.decode().split()) == set()


class TestObligations:
    def test_are_declared_only_where_they_are_done(self, far: FarPdp, hook: Hook, tmp_path: Path):
        far.rules["claude-code.bash"] = "allow"
        hook()
        hook(COUNTERSIGN_STATE_DIR=str(tmp_path), COUNTERSIGN_NOTIFY="/bin/true")
        declared = [one["context"]["supported_obligations"] for one in far.questions()]
        assert declared == [[], ["log", "notification"]]

    def test_are_kept_in_the_state_directory(self, far: FarPdp, hook: Hook, tmp_path: Path):
        far.rules["claude-code.bash"], far.obligations = "allow", [{"type": "log", "properties": {}}]
        assert said(hook(COUNTERSIGN_STATE_DIR=str(tmp_path)))[0] == "allow"
        (line,) = (tmp_path / "obligations.jsonl").read_text().splitlines()
        assert json.loads(line)["tool"] == "claude-code.bash"

    def test_that_fail_block_the_call_and_are_reported(self, far: FarPdp, hook: Hook, tmp_path: Path):
        far.rules["claude-code.bash"], far.obligations = "allow", [{"type": "notification", "properties": {}}]
        verdict, reason = said(hook(COUNTERSIGN_STATE_DIR=str(tmp_path), COUNTERSIGN_NOTIFY="/bin/false"))
        assert (verdict, far.custody()) == ("deny", [["reserved", "failed"]])
        assert "notification" in reason
