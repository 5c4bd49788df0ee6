"""What PEPs of ours declare is what they do: a line that is kept, a notification that a program sent, or no run."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from countersign.pep import obligations
from countersign.pep.answer import Denied
from countersign.pep.client import AsyncPdp, Pdp
from countersign.pep.guard import guard
from countersign.pep.obligations import NotDone, appended_to, on_the_command_line, sent_by
from countersign.pep.shaping import Failed, Withheld
from tests.countersign.pep.lookalike import KEY as FAR_KEY
from tests.countersign.pep.lookalike import FarPdp
from tests.countersign.pep.test_guard import TOOL, Refunds

ROOT = Path(__file__).parents[3]
STEP_UP = {"type": "step-up", "id": "obl-7", "properties": {"acr_value": "urn:acme:loa:3"}}
KEY = "AKIAIOSFODNN7EXAMPLF"
TOLD = {"type": "notification", "properties": {"to": "#finance"}}


def program(path: Path, text: str) -> str:
    path.write_text(text)
    return f"{sys.executable} {path}"


class TestGuard:
    def test_declares_what_it_has_handlers_for_and_no_more(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL] = "allow"
        Refunds(pdp).call("A-1")
        Refunds(pdp, obligations={"step-up": lambda _: None}).call("A-1")
        declared = [one["context"]["supported_obligations"] for one in far.questions()]
        assert declared == [["cap", "log", "redact"], ["cap", "log", "redact", "step-up"]]

    def test_takes_no_line_in_a_log_for_a_notification(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [TOLD]
        refunds = Refunds(pdp)
        with pytest.raises(Denied, match="notification"):
            refunds.call("A-1")
        assert refunds.runs == []

    def test_writes_a_log_that_is_seen_without_any_setting(
        self, far: FarPdp, pdp: Pdp, caplog: pytest.LogCaptureFixture
    ) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "log", "properties": {"text": "a\nb"}}]
        Refunds(pdp).call("A-1")
        (line,) = [one for one in caplog.records if one.name == "countersign.obligations"]
        assert line.levelno >= logging.WARNING
        assert "\n" not in line.getMessage()
        assert json.loads(line.getMessage())["tool"] == TOOL

    def test_tells_a_handler_which_call_it_is_about(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [TOLD]
        told: list[Any] = []
        Refunds(pdp, obligations={"notification": told.append}).call("A-1")
        (evaluation,) = far.executions
        assert told[0] | {"evaluation_id": evaluation, "tool": TOOL, **TOLD} == told[0]

    def test_redacts_the_result_and_reports_the_digest_of_the_whole(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "redact", "properties": {"paths": ["/iban"]}}]
        whole = {"iban": "DE1", "note": KEY}

        @guard(pdp, agent="support-bot", tool=TOOL, method="create")
        def refund() -> dict[str, str]:
            return whole

        assert refund() == {"iban": "[redacted]", "note": "[redacted: aws-access-key]"}
        assert far.custody() == [["reserved", "executing", "committed"]]
        assert whole["iban"] == "DE1"

    async def test_redacts_what_a_coroutine_returns(self, far: FarPdp, apdp: AsyncPdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "redact", "properties": {}}]

        @guard(apdp, agent="support-bot", tool=TOOL, method="create")
        async def refund() -> str:
            return KEY

        assert await refund() == "[redacted: aws-access-key]"

    @pytest.mark.parametrize(
        ("obligation", "left"),
        [
            ({"type": "redact", "properties": {}}, "no [redacted: aws-access-key] of DE1"),
            ({"type": "redact", "properties": {"paths": ["/iban"]}}, "[withheld: text"),
            ({"type": "cap", "properties": {"bytes": 20}}, "[withheld: longer than the 20 bytes allowed]"),
        ],
    )
    async def test_tells_of_an_exception_its_class_and_what_may_be_told_of_its_words(
        self, far: FarPdp, pdp: Pdp, apdp: AsyncPdp, obligation: dict[str, Any], left: str
    ) -> None:
        far.rules[TOOL], far.obligations = "allow", [obligation]
        error = LookupError(f"no {KEY} of DE1")
        error.add_note(KEY)
        refunds = Refunds(pdp, fails=error)

        @guard(apdp, agent="support-bot", tool=TOOL, method="create")
        async def refund() -> None:
            raise error

        failures = []
        with pytest.raises(Failed) as caught:
            refunds.call("A-1")
        failures.append(caught.value)
        with pytest.raises(Failed) as caught:
            await refund()
        failures.append(caught.value)
        for failed in failures:
            assert failed.kind is LookupError
            assert str(failed).startswith(
                "the call has been run and raised LookupError, redacted as the policy obliges: "
            )
            assert left in str(failed)
            assert (failed.__context__, failed.__cause__) == (None, None)
            assert KEY not in "".join(traceback.format_exception(failed))
            assert not {"DE1"} & set(str(failed).split()) or "DE1" in left
        assert far.custody() == [["reserved", "executing", "failed"]] * 2

    @pytest.mark.parametrize(
        "obligations", [[], [{"type": "log"}], [{"type": "cap", "properties": {"argument": "amount", "most": "5"}}]]
    )
    def test_lets_an_exception_pass_where_nothing_is_to_be_made_of_the_result(
        self, far: FarPdp, pdp: Pdp, obligations: list[dict[str, Any]]
    ) -> None:
        far.rules[TOOL], far.obligations = "allow", obligations
        error = LookupError(KEY)
        with pytest.raises(LookupError) as caught:
            Refunds(pdp, fails=error).call("A-1")
        assert caught.value is error

    @pytest.mark.parametrize("words", ["", "\ud800 half", "{}"])
    def test_tells_of_an_exception_whatever_it_says(self, far: FarPdp, pdp: Pdp, words: str) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "cap", "properties": {"bytes": 5}}, {"type": "redact"}]
        with pytest.raises(Failed, match="raised ValueError, redacted"):
            Refunds(pdp, fails=ValueError(words)).call("A-1")

    def test_tells_of_an_exception_that_cannot_say_anything(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "redact"}]

        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError(KEY)

        with pytest.raises(Failed, match="Mute, redacted as the policy obliges: it says nothing"):
            Refunds(pdp, fails=Mute()).call("A-1")

    def test_looks_into_a_text_that_is_json_and_withholds_one_that_is_words(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "redact", "properties": {"paths": ["/iban"]}}]
        told = iter(['{"iban": "DE1", "name": "Ada"}', "Ada has DE1"])

        @guard(pdp, agent="support-bot", tool=TOOL, method="create")
        def refund() -> str:
            return next(told)

        assert json.loads(refund()) == {"iban": "[redacted]", "name": "Ada"}
        with pytest.raises(Withheld, match="plain text"):
            refund()

    def test_withholds_a_result_beyond_its_cap_and_says_that_the_call_ran(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "cap", "properties": {"bytes": 5}}]
        refunds = Refunds(pdp)
        with pytest.raises(Withheld, match="has been run"):
            refunds.call("A-1")
        assert (len(refunds.runs), far.custody()) == (1, [["reserved", "executing", "committed"]])

    def test_does_not_run_beyond_the_cap_of_an_argument(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL] = "allow"
        far.obligations = [{"type": "cap", "properties": {"argument": "amount", "most": "10.00"}}]
        refunds = Refunds(pdp)
        refunds.call("A-1", "10.00")
        with pytest.raises(Denied, match="beyond the cap"):
            refunds.call("A-1", "10.01")
        assert (len(refunds.runs), far.custody()[1]) == (1, ["reserved", "failed"])

    def test_promises_nothing_of_a_result_that_does_not_go_through_its_hands(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL] = "allow"
        with guard(pdp, agent="support-bot", tool=TOOL, method="create").during(order="A-1"):
            pass
        assert far.questions()[0]["context"]["supported_obligations"] == ["log"]
        far.obligations = [{"type": "redact", "properties": {}}]
        with pytest.raises(Denied), guard(pdp, agent="support-bot", tool=TOOL, method="create").during(order="A-1"):
            raise AssertionError("it ran")

    def test_does_what_it_can_even_if_the_call_may_not_run(
        self, far: FarPdp, pdp: Pdp, caplog: pytest.LogCaptureFixture
    ) -> None:
        far.rules[TOOL] = "allow"
        refunds = Refunds(pdp, obligations={"step-up": lambda _: 1 / 0})
        for other, why in (
            ({"type": "cap", "properties": {"bytes": "few"}}, "whole number"),
            ({"type": "step-up"}, "step-up"),
        ):
            far.obligations = [other, {"type": "log", "properties": {}}]
            with pytest.raises(Denied, match=why):
                refunds.call("A-1")
        assert refunds.runs == []
        assert len([one for one in caplog.records if one.name == "countersign.obligations"]) == 2

    @pytest.mark.parametrize("answer", [None, True])
    def test_runs_after_a_handler_that_did_it(self, far: FarPdp, pdp: Pdp, answer: bool | None) -> None:
        far.rules[TOOL], far.obligations = "allow", [STEP_UP]
        refunds = Refunds(pdp, obligations={"step-up": lambda _: answer})
        assert refunds.call("A-1") == "1.00 of A-1"

    @pytest.mark.parametrize("answer", [False, 0, "", "ok", 1, [], NotImplemented])
    def test_does_not_run_after_a_handler_that_does_not_say_so(self, far: FarPdp, pdp: Pdp, answer: Any) -> None:
        far.rules[TOOL], far.obligations = "allow", [STEP_UP]
        refunds = Refunds(pdp, obligations={"step-up": lambda _: answer})
        with pytest.raises(Denied, match=r"an obligation could not be met: step-up \(obl-7\)$"):
            refunds.call("A-1")
        assert (refunds.runs, far.custody()) == ([], [["reserved", "failed"]])

    def test_names_of_two_of_one_type_the_one_that_was_not_met(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL] = "allow"
        far.obligations = [{"type": "custom", "id": f"obl-{n}", "properties": {"n": n}} for n in (1, 2, 3)]
        refunds = Refunds(pdp, obligations={"custom": lambda told: told["properties"]["n"] != 2})
        with pytest.raises(Denied, match=r"met: custom \(obl-2\)$"):
            refunds.call("A-1")
        assert refunds.runs == []

    def test_refuses_a_coroutine_function_for_a_client_that_cannot_wait(self, pdp: Pdp) -> None:
        async def later(_: Any) -> None: ...

        with pytest.raises(TypeError, match="'step-up' is a coroutine function"):
            Refunds(pdp, obligations={"step-up": later})

    def test_takes_a_coroutine_that_nobody_awaited_for_nothing_done(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [STEP_UP]

        async def later() -> None: ...

        refunds = Refunds(pdp, obligations={"step-up": lambda _: later()})
        with pytest.raises(Denied, match="step-up"):
            refunds.call("A-1")
        assert refunds.runs == []

    async def test_awaits_a_handler_before_it_claims(self, far: FarPdp, apdp: AsyncPdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [STEP_UP]
        seen: list[Any] = []

        async def step_up(told: Any) -> bool:
            await asyncio.sleep(0)
            seen.append((told["properties"], [list(states) for states in far.custody()]))
            return True

        @guard(apdp, agent="support-bot", tool=TOOL, method="create", obligations={"step-up": step_up})
        async def refund() -> str:
            return "done"

        assert await refund() == "done"
        assert seen == [(STEP_UP["properties"], [["reserved"]])]
        assert far.questions()[0]["context"]["supported_obligations"] == ["cap", "log", "redact", "step-up"]

    @pytest.mark.parametrize("how", ["raises", "refuses"])
    async def test_does_not_run_after_a_coroutine_that(self, far: FarPdp, apdp: AsyncPdp, how: str) -> None:
        far.rules[TOOL], far.obligations = "allow", [STEP_UP]
        runs = []

        async def step_up(_: Any) -> bool:
            await asyncio.sleep(0)
            if how == "raises":
                raise LookupError
            return False

        async with contextlib.AsyncExitStack() as stack:
            desk = guard(apdp, agent="support-bot", tool=TOOL, method="create", obligations={"step-up": step_up})
            with pytest.raises(Denied, match="step-up"):
                await stack.enter_async_context(desk.aduring(order="A-1"))
                runs.append(1)
        assert (runs, far.custody()) == ([], [["reserved", "failed"]])

    @pytest.mark.parametrize(("typed", "code"), [("correct horse", 0), ("wrong horse", 4)])
    def test_example_asks_at_the_terminal(self, far: FarPdp, typed: str, code: int) -> None:
        far.rules[TOOL] = "allow"
        far.obligations = [
            {"type": "step-up", "id": "obl-1", "properties": {"acr_value": "urn:acme:loa:passphrase"}},
            {"type": "custom", "id": "obl-2", "properties": {"vendor": "acme", "action": "announce"}},
        ]

        def run(words: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
            environment = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "COUNTERSIGN_URL": far.url,
                "COUNTERSIGN_KEY": FAR_KEY,
            }
            return subprocess.run(
                [sys.executable, str(ROOT / "examples" / "step_up.py"), *arguments], input=words + "\n", text=True,
                capture_output=True, env=environment | more, start_new_session=True, check=False,
            )  # fmt: skip

        digest = run("correct horse").stdout.strip()
        done = run(typed, "A-1001", "250.00", PASSPHRASE_DIGEST=digest)
        assert done.returncode == code, done.stderr
        assert ("Refunded 250.00 of order A-1001." in done.stdout) is (code == 0)
        assert ("could not be met: step-up (obl-1)" in done.stdout) is (code == 4)
        assert "Announced: payments.refund by support-bot." in done.stdout

    def test_leaves_the_result_to_a_handler_of_its_own(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL], far.obligations = "allow", [{"type": "cap", "properties": {"bytes": 1}}]
        assert Refunds(pdp, obligations={"cap": lambda _: None}).call("A-1") == "1.00 of A-1"

    def test_names_the_action_that_it_claims_and_for_whom(self, far: FarPdp, pdp: Pdp) -> None:
        far.rules[TOOL] = "allow"
        Refunds(pdp, principal="dana").call("A-1")
        claim, end = far.bodies("/access/v1/outcomes")
        ((_, answer),) = far.attempts.values()
        for name in ("action_digest", "commitment_salt"):
            assert claim[name] == answer["context"][name]
        assert claim["principal"] == {"type": "user", "id": "dana"}
        assert not {"action_digest", "principal"} & end.keys()


class TestCommandLine:
    def test_declares_nothing_without_a_place_or_a_program(self) -> None:
        assert on_the_command_line(notify=None, log=None) == {}
        assert on_the_command_line(notify="true", log=obligations.write_down).keys() == {"log", "notification"}

    def test_refuses_an_empty_command(self) -> None:
        with pytest.raises(ValueError, match="empty"):
            on_the_command_line(notify="  ", log=None)

    def test_gives_the_program_the_obligation_and_not_our_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COUNTERSIGN_KEY", "csk_pep_secret")
        out = tmp_path / "out"
        text = (
            f"import os, sys; open({str(out)!r}, 'w').write(sys.stdin.read() + os.environ.get('COUNTERSIGN_KEY', ''))"
        )
        sent_by(program(tmp_path / "send.py", text))(TOLD)
        assert json.loads(out.read_text()) == TOLD

    @pytest.mark.parametrize("text", ["raise SystemExit(1)", "import time; time.sleep(60)"])
    def test_is_not_done_by_a_program_that_fails_or_hangs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setattr(obligations, "NOTIFY_SECONDS", 0.5)
        with pytest.raises(NotDone):
            sent_by(program(tmp_path / "send.py", text))(TOLD)

    def test_is_not_done_by_a_program_that_is_not_there(self) -> None:
        with pytest.raises(NotDone):
            sent_by("/nowhere/at/all")(TOLD)

    def test_appends_lines_that_only_the_owner_reads(self, tmp_path: Path) -> None:
        path = tmp_path / "state" / "obligations.jsonl"
        for _ in range(2):
            appended_to(path)(TOLD)
        assert [json.loads(line) for line in path.read_text().splitlines()] == [TOLD, TOLD]
        assert path.stat().st_mode & 0o777 == 0o600
