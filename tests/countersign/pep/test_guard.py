"""The guard against everything that may go wrong around one call: it runs once or not at all, and its end is told."""

import asyncio
import threading
import time
from decimal import Decimal

import anyio
import pytest

from countersign.pep.answer import Away, BadAnswer, Denied, Pending, PepError, Refused, Unavailable
from countersign.pep.client import AsyncPdp, Pdp
from countersign.pep.conversation import Custody, NotClaimed
from countersign.pep.guard import guard
from countersign.pep.question import BadQuestion, fingerprint
from tests.countersign.pep.lookalike import FarPdp, Fault

EVALUATION = "/access/v1/evaluation"
OUTCOMES = "/access/v1/outcomes"
TOOL = "payments.refund"


class Refunds:
    """A guarded function that counts its runs."""

    def __init__(self, pdp: Pdp, *, fails: BaseException | None = None, **options) -> None:
        self.runs: list[tuple[str, str]] = []

        @guard(pdp, tool=TOOL, method="create", agent="support-bot", **options)
        def refund(order: str, amount: str = "1.00") -> str:
            self.runs.append((order, amount))
            if fails is not None:
                raise fails
            return f"{amount} of {order}"

        self.call = refund


class TestNotRun:
    """Whatever happens before the claim is won, the function is not entered."""

    def test_denied(self, far: FarPdp, pdp: Pdp):
        refunds = Refunds(pdp)
        with pytest.raises(Denied, match="no_rule"):
            refunds.call("A-1")
        assert (refunds.runs, far.custody()) == ([], [])

    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 500},
            {"body": b'{"decision": tr'},
            {"body": b"<html>"},
            {"change": lambda a: a | {"decision": "true"}},
            {"change": lambda a: {"decision": True}},
            {"change": lambda a: {"decision": True, "context": {"evaluation_id": "eva_x"}}},
            {"change": lambda a: {"decision": True, "context": a["context"] | {"outcome": "deny"}}},
            {"change": lambda a: {"decision": True, "context": a["context"] | {"arguments_digest": "sha256:00"}}},
            {"delay": 3.0},
            {"before": True, "times": 1000},
            {"after": True, "times": 1000},
        ],
        ids=[
            "500", "cut", "html", "string", "no-context", "no-outcome", "contradiction", "digest", "slow", "reset", "lost",
        ],
    )  # fmt: skip
    def test_no_usable_answer(self, far: FarPdp, pdp: Pdp, fault):
        far.rules[TOOL] = "allow"
        far.faults.append(Fault(EVALUATION, **fault))
        refunds = Refunds(pdp)
        with pytest.raises((Unavailable, BadAnswer, Denied)):
            refunds.call("A-1")
        assert (refunds.runs, far.reports) == ([], [])

    def test_abuse_148_a_claim_that_somebody_else_won(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        far.faults.append(Fault(OUTCOMES, status=409))
        refunds = Refunds(pdp)
        with pytest.raises(NotClaimed):
            refunds.call("A-1")
        assert refunds.runs == []

    def test_a_claim_that_could_not_be_delivered(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        far.faults.append(Fault(OUTCOMES, before=True, times=1000))
        refunds = Refunds(pdp)
        with pytest.raises(Unavailable):
            refunds.call("A-1")
        assert (refunds.runs, far.custody()) == ([], [["reserved"]])

    def test_an_obligation_nobody_here_can_meet(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        far.obligations = [{"type": "step-up", "properties": {}}]
        refunds = Refunds(pdp)
        with pytest.raises(Denied, match="step-up"):
            refunds.call("A-1")
        assert (refunds.runs, far.custody()) == ([], [["reserved", "failed"]])

    def test_an_obligation_whose_handler_fails(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        far.obligations = [{"type": "redact", "properties": {}}]
        refunds = Refunds(pdp, obligations={"redact": lambda obligation: 1 / 0})
        with pytest.raises(Denied):
            refunds.call("A-1")
        assert (refunds.runs, far.custody()) == ([], [["reserved", "failed"]])

    @pytest.mark.parametrize("value", [Decimal("1.00"), (1, 2), {1: 2}, {"x": {3}}, b"x", [object()]])
    def test_abuse_023_a_value_that_no_approval_could_name(self, far: FarPdp, pdp: Pdp, value):
        refunds = Refunds(pdp)
        with pytest.raises(BadQuestion, match="parameter amount"):
            refunds.call("A-1", value)
        assert far.seen == []

    def test_wrong_arguments_are_the_callers_error_and_no_question(self, far: FarPdp, pdp: Pdp):
        with pytest.raises(TypeError):
            Refunds(pdp).call()
        assert far.seen == []

    def test_pending_when_nobody_has_answered(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"
        refunds = Refunds(pdp)
        with pytest.raises(Pending) as caught:
            refunds.call("A-1")
        assert list(far.requests) == [caught.value.task.id]
        assert (refunds.runs, far.bodies(f"/access/v1/requests/{caught.value.task.id}")) == ([], [])

    @pytest.mark.parametrize("status", ["denied", "expired", "cancelled", "failed", "granted"])
    def test_any_other_end_of_a_request(self, far: FarPdp, pdp: Pdp, status):
        far.rules[TOOL] = "escalate"
        far.decide_soon(status, 0.05)
        refunds = Refunds(pdp, wait=10)
        with pytest.raises(Denied):
            refunds.call("A-1")
        assert refunds.runs == []

    def test_abuse_030_an_approval_that_no_longer_serves(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"
        refunds = Refunds(pdp, wait=10)

        def approve_and_change_policy() -> None:
            while not far.requests:
                time.sleep(0.01)
            far.rules[TOOL] = "deny"
            far.decide("approved")

        threading.Thread(target=approve_and_change_policy, daemon=True).start()
        with pytest.raises(Denied):
            refunds.call("A-1")
        assert refunds.runs == []

    def test_while_the_pdp_stays_away_ends_with_the_wait_and_names_the_request(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"
        far.faults = [Fault("/access/v1/requests", times=1000, status=503)]
        refunds = Refunds(pdp, wait=2.5)
        with pytest.raises(Away, match=r"^arq_\w+ was waiting for approval when last seen; the PDP answered 503$"):
            refunds.call("A-1")
        assert refunds.runs == []
        assert 4 < len(far.bodies(f"/access/v1/requests/{next(iter(far.requests))}")) < 20

    @pytest.mark.parametrize("status", [401, 404, 500])
    def test_an_error_that_no_waiting_mends_ends_it_at_once(self, far: FarPdp, pdp: Pdp, status: int):
        far.rules[TOOL] = "escalate"
        far.faults = [Fault("/access/v1/requests", times=1000, status=status)]
        with pytest.raises(Refused):
            Refunds(pdp, wait=20).call("A-1")
        assert len(far.bodies(f"/access/v1/requests/{next(iter(far.requests))}")) == 1

    def test_a_pdp_that_does_not_hold_its_polls_is_not_hammered(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"
        far.holds_polls = False
        with pytest.raises(Pending):
            Refunds(pdp, wait=1.5).call("A-1")
        assert len([1 for method, *_ in far.seen if method == "GET"]) <= 3


class TestRunOnce:
    def test_in_custody_from_claim_to_end(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        refunds = Refunds(pdp)
        assert refunds.call("A-1", amount="2.00") == "2.00 of A-1"
        executing, committed = far.reports
        assert executing["started_at"] == committed["started_at"] <= committed["finished_at"]
        assert committed["result_digest"] == fingerprint("2.00 of A-1")
        assert (refunds.runs, far.custody()) == ([("A-1", "2.00")], [["reserved", "executing", "committed"]])

    def test_asks_about_the_arguments_as_bound(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        Refunds(
            pdp,
            intent="customer-refund",
            transaction=lambda arguments: f"case-{arguments['order']}",
            justification=lambda arguments: f"because of {arguments['amount']}",
            origin=lambda arguments: {"kind": "jira", "issue": f"OPS-{len(arguments)}"},
        ).call(order="A-1")
        context = far.questions()[0]["context"]
        assert context["arguments"] == {"order": "A-1", "amount": "1.00"}
        assert (context["transaction"], context["justification"]) == ("case-A-1", "because of 1.00")
        assert context["origin"] == {"kind": "jira", "issue": "OPS-2"}
        assert context["open_request"] is True

    def test_abuse_027_after_approval_exactly_once(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"
        far.decide_soon("approved", 0.1)
        refunds = Refunds(pdp, wait=10)
        assert refunds.call("A-1") == "1.00 of A-1"
        first, second = (body["context"] for body in far.questions())
        assert second["approval"] == far.told(next(iter(far.requests.values())))["result"]["approval"]
        assert first["attempt"] != second["attempt"]
        assert "open_request" not in second
        with pytest.raises(Pending):
            Refunds(pdp).call("A-1")
        assert refunds.runs == [("A-1", "1.00")]

    def test_after_approval_during_a_restart_of_the_pdp_longer_than_one_exchange_is_patient(
        self, far: FarPdp, pdp: Pdp
    ):
        far.rules[TOOL] = "escalate"
        far.faults = [Fault("/access/v1/requests", times=7, before=True)]
        far.decide_soon("approved", 0.1)
        assert Refunds(pdp, wait=20).call("A-1") == "1.00 of A-1"

    def test_abuse_027_after_approval_whose_use_was_answered_into_a_restart(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"
        refunds = Refunds(pdp, wait=20)

        def approve_and_restart() -> None:
            while not far.requests:
                time.sleep(0.01)
            far.faults = [Fault("/access/v1/evaluation", times=7, after=True)]
            far.decide("approved")

        threading.Thread(target=approve_and_restart, daemon=True).start()
        assert refunds.call("A-1") == "1.00 of A-1"
        assert len({question["context"]["attempt"] for question in far.questions()}) == 2
        assert refunds.runs == [("A-1", "1.00")]

    def test_leaves_out_what_is_empty(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        Refunds(pdp, intent="", session=lambda _: "", transaction="").call("A-1")
        assert not {"intent", "session", "transaction"} & far.questions()[0]["context"].keys()

    def test_an_approval_given_meanwhile_is_used_on_the_next_call(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"
        refunds = Refunds(pdp)
        with pytest.raises(Pending):
            refunds.call("A-1")
        far.decide("approved")
        assert refunds.call("A-1") == "1.00 of A-1"
        assert len(far.requests) == 1

    def test_opens_the_request_itself_where_the_answer_did_not(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "escalate"

        def without_task(answer):
            answer["context"]["access_request"].pop("task")
            return answer

        far.faults.append(Fault(EVALUATION, change=without_task))
        with pytest.raises(Pending):
            Refunds(pdp).call("A-1")
        assert len(far.bodies("/access/v1/requests")) == 1

    def test_in_observe_mode_whatever_the_outcome(self, far: FarPdp, pdp: Pdp):
        far.mode = "observe"
        assert Refunds(pdp).call("A-1") == "1.00 of A-1"
        assert far.custody() == [["reserved", "executing", "committed"]]

    def test_reports_a_failure_without_its_text(self, far: FarPdp, pdp: Pdp):
        """Also abuse 108: an exception's text may carry a secret."""
        far.rules[TOOL] = "allow"
        with pytest.raises(ValueError, match="s3cret"):
            Refunds(pdp, fails=ValueError("s3cret")).call("A-1")
        assert far.custody() == [["reserved", "executing", "failed"]]
        assert "s3cret" not in str(far.seen[-1][2])
        assert "result_digest" not in far.reports[-1]

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
    def test_reports_being_torn_out_as_indeterminate(self, far: FarPdp, pdp: Pdp, error):
        far.rules[TOOL] = "allow"
        with pytest.raises(type(error)):
            Refunds(pdp, fails=error).call("A-1")
        assert far.custody() == [["reserved", "executing", "indeterminate"]]

    def test_a_result_that_is_no_json_has_no_digest(self, far: FarPdp, pdp: Pdp):
        far.rules["t"] = "allow"

        @guard(pdp, tool="t", agent="a")
        def make() -> object:
            return object()

        make()
        assert "result_digest" not in far.reports[-1]

    def test_meets_obligations_it_knows_before_it_runs(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        far.obligations = [{"type": "log", "properties": {"to": "#x"}}, {"type": "redact"}]
        met = []
        refunds = Refunds(pdp, obligations={"redact": lambda obligation: met.append(len(refunds.runs))})
        refunds.call("A-1")
        assert met == [0]

    def test_a_lost_report_is_followed_by_indeterminate(self, far: FarPdp, pdp: Pdp, caplog):
        far.rules[TOOL] = "allow"
        refunds = Refunds(pdp)
        original = far.outcome

        def refuse_committed(body, headers):
            return (500, {}) if body["status"] == "committed" else original(body, headers)

        far.outcome = refuse_committed
        assert refunds.call("A-1") == "1.00 of A-1"
        assert far.custody() == [["reserved", "executing", "indeterminate"]]
        assert "could not be reported" in caplog.text

    def test_returns_the_result_even_when_the_pdp_is_gone_by_then(self, far: FarPdp, pdp: Pdp, caplog):
        """An error here would invite the caller to run it a second time."""
        far.rules[TOOL] = "allow"

        @guard(pdp, tool=TOOL, agent="a")
        def last() -> str:
            far.faults.append(Fault(OUTCOMES, before=True, times=1000))
            return "done"

        assert last() == "done"
        assert "could not be reported" in caplog.text

    def test_abuse_024_what_was_approved_cannot_be_changed_while_waiting(self, far: FarPdp, pdp: Pdp):
        far.rules["t"] = "escalate"
        paid = []

        @guard(pdp, tool="t", agent="a", wait=10)
        def pay(to: dict[str, str]) -> None:
            paid.append(to["iban"])

        payee = {"iban": "GOOD"}

        def swap() -> None:
            while not far.requests:
                time.sleep(0.01)
            payee["iban"] = "EVIL"
            far.decide("approved")

        threading.Thread(target=swap, daemon=True).start()
        pay(payee)
        assert paid == ["GOOD"]

    def test_abuse_024_nor_behind_a_mapping_of_ones_own(self, far: FarPdp, pdp: Pdp):
        far.rules["t"] = "allow"
        paid = []

        class Payee:
            iban = "GOOD"

        payee = Payee()

        def chosen(bound):
            told = {"iban": bound["payee"].iban, "amount": str(bound["amount"])}
            payee.iban = "EVIL"
            return told

        @guard(pdp, tool="t", agent="a", arguments=chosen)
        def pay(payee: Payee, amount: Decimal) -> None:
            paid.append(payee.iban)

        with pytest.raises(BadQuestion):
            pay(payee, Decimal("1.50"))
        assert (paid, far.custody()) == ([], [["reserved", "executing", "failed"]])

    def test_all_kinds_of_parameters_and_ignored_ones(self, far: FarPdp, pdp: Pdp):
        far.rules["t"] = "allow"

        class Desk:
            @guard(pdp, tool="t", agent="a", ignore=("self",))
            def take(self, first, /, *rest, key, **more):
                return [first, list(rest), key, more]

        assert Desk().take(1, 2, 3, key="k", extra=None) == [1, [2, 3], "k", {"extra": None}]
        assert far.questions()[0]["context"]["arguments"] == {
            "first": 1,
            "rest": [2, 3],
            "key": "k",
            "more": {"extra": None},
        }

    def test_as_a_context_manager(self, far: FarPdp, pdp: Pdp):
        far.rules[TOOL] = "allow"
        desk = guard(pdp, tool=TOOL, agent="support-bot")
        with desk.during(order="A-1") as execution:
            execution.result = {"ok": True}
        with pytest.raises(ZeroDivisionError), desk.during(order="A-2"):
            1 / 0  # noqa: B018
        assert far.custody() == [["reserved", "executing", "committed"], ["reserved", "executing", "failed"]]
        far.rules[TOOL] = "deny"
        entered = []
        with pytest.raises(Denied), desk.during(order="A-3"):
            entered.append(1)
        assert entered == []


class TestDecoration:
    def test_refuses_what_calling_does_not_run(self, pdp: Pdp):
        with pytest.raises(TypeError, match="generator"):

            @guard(pdp, tool="t", agent="a")
            def items():
                yield 1

    def test_refuses_the_other_kind_of_client(self, pdp: Pdp):
        async def later() -> None: ...

        def now() -> None: ...

        with pytest.raises(TypeError, match="AsyncPdp"):
            guard(pdp, tool="t", agent="a")(later)
        with pytest.raises(TypeError, match="Pdp"):
            guard(AsyncPdp("http://127.0.0.1:1", "k"), tool="t", agent="a")(now)
        with pytest.raises(TypeError, match="aduring"):
            guard(AsyncPdp("http://127.0.0.1:1", "k"), tool="t", agent="a").during()
        with pytest.raises(TypeError, match="during"):
            guard(pdp, tool="t", agent="a").aduring()

    def test_does_not_commit_what_has_not_run_yet(self, far: FarPdp, pdp: Pdp):
        far.rules["t"] = "allow"

        async def later() -> None: ...

        @guard(pdp, tool="t", agent="a")
        def disguised():
            return later()

        with pytest.raises(TypeError, match="awaitable"):
            disguised()
        assert far.custody() == [["reserved", "executing", "failed"]]

    def test_keeps_name_and_signature(self, pdp: Pdp):
        def refund(order: str) -> str:
            """Doc."""
            return order

        assert guard(pdp, tool="t", agent="a")(refund).__doc__ == "Doc."


class TestAsync:
    async def test_denied_is_not_run(self, far: FarPdp, apdp: AsyncPdp):
        runs = []

        @guard(apdp, tool="t", agent="a")
        async def act() -> None:
            runs.append(1)

        with pytest.raises(Denied):
            await act()
        assert runs == []

    async def test_after_approval_exactly_once(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["t"] = "escalate"
        far.decide_soon("approved", 0.1)
        runs = []

        @guard(apdp, tool="t", agent="a", wait=10)
        async def act(x: int) -> int:
            runs.append(x)
            return x + 1

        assert await act(1) == 2
        assert (runs, far.custody()) == ([1], [["reserved", "executing", "committed"]])

    async def test_an_exception_is_a_failure(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["t"] = "allow"

        @guard(apdp, tool="t", agent="a")
        async def act() -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await act()
        assert far.custody() == [["reserved", "executing", "failed"]]

    async def test_a_task_cancelled_midway_is_indeterminate(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["t"] = "allow"
        inside = asyncio.Event()

        @guard(apdp, tool="t", agent="a")
        async def act() -> None:
            inside.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(act())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert far.custody() == [["reserved", "executing", "indeterminate"]]

    async def test_a_scope_cancelled_midway_is_indeterminate(self, far: FarPdp, apdp: AsyncPdp):
        """Inside a cancelled scope every await is cancelled again, the report's too unless it is shielded."""
        far.rules["t"] = "allow"

        @guard(apdp, tool="t", agent="a")
        async def act() -> None:
            await anyio.sleep(60)

        with anyio.move_on_after(0.3):
            await act()
        assert far.custody() == [["reserved", "executing", "indeterminate"]]

    async def test_cancelled_while_waiting_for_people_is_not_run(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["t"] = "escalate"
        runs = []

        @guard(apdp, tool="t", agent="a", wait=60)
        async def act() -> None:
            runs.append(1)

        with anyio.move_on_after(0.3):
            await act()
        far.decide("approved")
        assert (runs, far.custody()) == ([], [])

    async def test_sixteen_at_once_are_sixteen_calls(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["t"] = "allow"
        runs = []

        @guard(apdp, tool="t", agent="a")
        async def act(n: int) -> None:
            runs.append(n)

        async with anyio.create_task_group() as group:
            for n in range(16):
                group.start_soon(act, n)
        assert sorted(runs) == list(range(16))
        assert far.custody() == [["reserved", "executing", "committed"]] * 16

    async def test_as_a_context_manager(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["t"] = "allow"
        async with guard(apdp, tool="t", agent="a").aduring(order="A-1") as execution:
            execution.status = Custody.FAILED
        assert far.custody() == [["reserved", "executing", "failed"]]

    async def test_abuse_027_sixteen_at_once_on_one_approval_run_once(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["t"] = "escalate"
        runs = []

        @guard(apdp, tool="t", agent="a")
        async def act() -> None:
            runs.append(1)

        with pytest.raises(Pending):
            await act()
        far.decide("approved")
        ends: list[BaseException | None] = await asyncio.gather(*(act() for _ in range(16)), return_exceptions=True)
        assert (runs, sum(end is None for end in ends)) == ([1], 1)
        assert all(isinstance(end, PepError) for end in ends if end is not None)
