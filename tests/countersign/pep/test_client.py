"""The client against a far side that misbehaves: never an allow it was not given, never the same call twice."""

import json
import socket
import stat

import pytest

from countersign.pep.answer import BadAnswer, Denied, Refused, Status, Unavailable, parse_answer, parse_task
from countersign.pep.client import AsyncPdp, Pdp
from countersign.pep.conversation import Custody
from countersign.pep.question import BadQuestion, Question
from countersign.policy.values import Mode, Outcome
from tests.countersign.pep.lookalike import KEY, FarPdp, Fault, digest_of

EVALUATION = "/access/v1/evaluation"
OUTCOMES = "/access/v1/outcomes"


def question(**changes) -> Question:
    values = {"agent": "support-bot", "tool": "payments.refund", "method": "create", "arguments": {"order": "A-1"}}
    return Question(**(values | changes))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answer_bytes(decision=True, **context) -> bytes:
    full = {"evaluation_id": "eva_1", "outcome": "allow", "mode": "enforce"} | context
    return json.dumps({"decision": decision, "context": {k: v for k, v in full.items() if v is not ...}}).encode()


class TestParseAnswer:
    @pytest.mark.parametrize("decision", ["true", 1, None, [True], {"x": True}])
    def test_refuses_a_decision_that_is_no_boolean(self, decision):
        with pytest.raises(BadAnswer):
            parse_answer(answer_bytes(decision))

    @pytest.mark.parametrize("outcome", [..., None, "", "ALLOW", "allowed", True])
    def test_refuses_a_missing_or_unknown_outcome(self, outcome):
        with pytest.raises(BadAnswer):
            parse_answer(answer_bytes(outcome=outcome))

    @pytest.mark.parametrize("mode", [None, "audit", 1])
    def test_refuses_an_unknown_mode(self, mode):
        with pytest.raises(BadAnswer):
            parse_answer(answer_bytes(mode=mode))

    def test_takes_a_missing_mode_as_enforce(self):
        assert parse_answer(answer_bytes(mode=...)).mode is Mode.ENFORCE

    @pytest.mark.parametrize("outcome", ["deny", "escalate"])
    def test_does_not_allow_when_decision_and_outcome_disagree(self, outcome):
        assert parse_answer(answer_bytes(outcome=outcome)).allowed is False

    def test_does_not_allow_on_the_outcome_alone(self):
        assert parse_answer(answer_bytes(decision=False)).allowed is False

    def test_allows_in_observe_mode_whatever_would_have_happened(self):
        assert parse_answer(answer_bytes(mode="observe", outcome="deny")).allowed is True

    def test_refuses_an_allow_that_nothing_can_be_reported_for(self):
        with pytest.raises(BadAnswer):
            parse_answer(answer_bytes(evaluation_id=...))

    @pytest.mark.parametrize("obligations", [None, {}, ["notification"], [{}], [{"type": 1}]])
    def test_refuses_obligations_it_cannot_read(self, obligations):
        with pytest.raises(BadAnswer):
            parse_answer(answer_bytes(obligations=obligations))

    @pytest.mark.parametrize(
        "body",
        [b"", b"nonsense", b"[]", b"null", b'{"decision":true}', b'{"decision":true,"context":[]}', b"\xff\xfe"],
    )
    def test_refuses_what_is_no_answer(self, body):
        with pytest.raises(BadAnswer):
            parse_answer(body)

    def test_abuse_001_refuses_a_decision_given_twice(self):
        with pytest.raises(BadAnswer):
            parse_answer(b'{"decision":false,"decision":true,"context":{"evaluation_id":"e","outcome":"allow"}}')


class TestParseTask:
    @pytest.mark.parametrize("status", ["APPROVED", "granted", None, 1])
    def test_takes_an_unknown_status_as_not_approved(self, status):
        body = json.dumps({"task": {"id": "arq_1", "status": status}, "result": RESULT}).encode()
        assert (parse_task(body).status, parse_task(body).approval) == (Status.UNKNOWN, None)

    @pytest.mark.parametrize("status", ["pending", "denied", "expired", "cancelled", "failed", "partial"])
    def test_uses_no_result_of_a_task_that_is_not_approved(self, status):
        assert (
            parse_task(json.dumps({"task": {"id": "a", "status": status}, "result": RESULT}).encode()).approval is None
        )

    @pytest.mark.parametrize(
        "result", [None, {}, {"mode": "token", "approval": {"id": "x"}}, {"mode": "reevaluate", "approval": {}}]
    )
    def test_uses_no_result_of_a_mode_it_does_not_know(self, result):
        body = json.dumps({"task": {"id": "a", "status": "approved"}, "result": result}).encode()
        assert parse_task(body).approval is None


RESULT = {"mode": "reevaluate", "approval": {"id": "apr_1", "approved_until": "2027-01-01T00:00:00Z"}}


class TestEvaluate:
    def test_refuses_a_decision_about_other_arguments(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"

        def swap(answer):
            answer["context"]["arguments_digest"] = digest_of({"order": "B-2"})
            return answer

        far.faults.append(Fault(EVALUATION, change=swap))
        with pytest.raises(BadAnswer):
            pdp.evaluate(question())

    def test_refuses_an_allow_that_names_no_arguments(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"

        def drop(answer):
            del answer["context"]["arguments_digest"]
            return answer

        far.faults.append(Fault(EVALUATION, change=drop))
        with pytest.raises(BadAnswer):
            pdp.evaluate(question())

    def test_is_unavailable_when_nobody_listens(self):
        with Pdp(f"http://127.0.0.1:{free_port()}", KEY, patience=0.3) as pdp, pytest.raises(Unavailable):
            pdp.evaluate(question())

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 201, 204, 301])
    def test_takes_no_other_status_for_a_decision_and_does_not_repeat(self, far: FarPdp, pdp: Pdp, status):
        far.rules["payments.refund"] = "allow"
        far.faults.append(Fault(EVALUATION, status=status, done=True, headers={"location": far.url + EVALUATION}))
        with pytest.raises(Refused) as caught:
            pdp.evaluate(question())
        assert (caught.value.status, len(far.questions())) == (status, 1)

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_repeats_what_is_only_not_now(self, far: FarPdp, pdp: Pdp, status):
        far.rules["payments.refund"] = "allow"
        far.faults.append(Fault(EVALUATION, times=2, status=status))
        assert pdp.evaluate(question()).allowed
        assert len(far.questions()) == 3

    def test_gives_up_on_a_pdp_that_stays_busy(self, far: FarPdp, pdp: Pdp):
        far.faults.append(Fault(EVALUATION, times=1000, status=503))
        with pytest.raises(Unavailable):
            pdp.evaluate(question())

    def test_waits_no_longer_than_its_patience_for_retry_after(self, far: FarPdp, pdp: Pdp):
        far.faults.append(Fault(EVALUATION, times=1000, status=429, headers={"retry-after": "60"}))
        with pytest.raises(Unavailable):
            pdp.evaluate(question())
        assert len(far.questions()) == 1

    def test_abuse_148_repeats_a_lost_answer_with_the_same_attempt(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"
        far.faults.append(Fault(EVALUATION, after=True))
        answer = pdp.evaluate(question())
        first, second = far.questions()
        assert first == second
        assert list(far.executions) == [answer.evaluation_id]

    def test_two_calls_are_two_attempts(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"
        assert pdp.evaluate(question()).evaluation_id != pdp.evaluate(question()).evaluation_id
        assert len({body["context"]["attempt"] for body in far.questions()}) == 2

    def test_is_unavailable_when_the_answer_is_slow(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"
        far.faults.append(Fault(EVALUATION, delay=3.0))
        with pytest.raises(Unavailable):
            pdp.evaluate(question())
        assert len(far.questions()) == 1

    def test_is_unavailable_when_the_answer_drips(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"
        far.faults.append(Fault(EVALUATION, drip=0.02))
        with pytest.raises(Unavailable):
            pdp.evaluate(question())

    def test_is_unavailable_when_the_answer_does_not_end(self, far: FarPdp, pdp: Pdp):
        far.faults.append(Fault(EVALUATION, status=200, body=b" " * (5 * 1024 * 1024)))
        with pytest.raises(Unavailable):
            pdp.evaluate(question())

    @pytest.mark.parametrize(
        "arguments",
        [{"n": 2**53}, {"n": float("nan")}, {"t": "\ud800"}, {"t": "\0"}, {"x": object()}, {1: "x"}],
        ids=["2^53", "nan", "surrogate", "nul", "object", "name"],
    )
    def test_does_not_ask_about_what_cannot_be_bound(self, far: FarPdp, pdp: Pdp, arguments):
        with pytest.raises(BadQuestion):
            pdp.evaluate(question(arguments=arguments))
        assert far.seen == []

    def test_asks_with_everything_it_was_told(self, far: FarPdp, pdp: Pdp):
        asked = question(
            intent="customer-refund",
            principal="dana@acme.test",
            session="s-81",
            transaction="case-4711",
            usage={"tokens": 1200},
            environment={"cwd": "/srv"},
            descriptor_digest="sha256:00",
            open_request=True,
            justification="asked",
            origin={"kind": "jira", "issue": "OPS-12"},
            approval={"id": "apr_1"},
        )
        pdp.evaluate(asked)
        (body,) = far.questions()
        attempt = body["context"].pop("attempt")
        assert len(attempt) == 32
        assert body == {
            "subject": {"type": "agent", "id": "support-bot"},
            "action": {"name": "create"},
            "resource": {"type": "tool", "id": "payments.refund", "properties": {"descriptor_digest": "sha256:00"}},
            "context": {
                "arguments": {"order": "A-1"},
                "intent": "customer-refund",
                "principal": {"type": "user", "id": "dana@acme.test"},
                "session": "s-81",
                "transaction": "case-4711",
                "usage": {"tokens": 1200},
                "environment": {"cwd": "/srv"},
                "approval": {"id": "apr_1"},
                "open_request": True,
                "justification": "asked",
                "origin": {"kind": "jira", "issue": "OPS-12"},
            },
        }

    def test_leaves_out_what_it_was_not_told(self, far: FarPdp, pdp: Pdp):
        pdp.evaluate(Question(agent="a", tool="t"))
        (body,) = far.questions()
        assert set(body["context"]) == {"arguments", "attempt"}
        assert body["resource"] == {"type": "tool", "id": "t"}


class TestRequests:
    def test_will_not_submit_what_cannot_be_asked_for(self, far: FarPdp, pdp: Pdp):
        denied = pdp.evaluate(question())
        with pytest.raises(Denied):
            pdp.submit_request(question(), denied)

    def test_submits_once_even_if_the_answer_is_lost(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "escalate"
        answer = pdp.evaluate(question())
        far.faults.append(Fault("/access/v1/requests", after=True))
        task = pdp.submit_request(question(justification="please"), answer)
        assert list(far.requests) == [task.id]
        body = far.bodies("/access/v1/requests")[0]
        assert body["context"] == {"business_justification": "please"}
        assert body["denial"] == {
            "evaluation_id": answer.evaluation_id,
            "evaluated_at": "2026-11-20T10:00:00.123Z",
            "reason": "approval_required",
            "expires_at": "2027-01-01T00:00:00Z",
        }

    def test_names_the_problem_of_an_unknown_request(self, far: FarPdp, pdp: Pdp):
        with pytest.raises(Refused) as caught:
            pdp.request("arq_/../../x?y")
        assert caught.value.problem == "urn:openid:authzen:access-request:error:unknown_task"
        assert [path for _, path, _, _ in far.seen] == ["/access/v1/requests/arq_%2F..%2F..%2Fx%3Fy"]

    def test_waits_for_a_decision_by_long_poll(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "escalate"
        task = pdp.evaluate(question(open_request=True)).task
        far.decide_soon("approved", 0.2)
        assert pdp.request(task.id, wait=10).status is Status.APPROVED

    def test_cancels_once(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "escalate"
        task = pdp.evaluate(question(open_request=True)).task
        assert pdp.cancel(task.id, reason="no_longer_needed").status is Status.CANCELLED
        with pytest.raises(Refused) as caught:
            pdp.cancel(task.id)
        assert caught.value.status == 409

    def test_cancels_once_even_if_the_answer_is_lost(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "escalate"
        task = pdp.evaluate(question(open_request=True)).task
        far.faults.append(Fault(f"/access/v1/requests/{task.id}/cancel", after=True))
        assert pdp.cancel(task.id).status is Status.CANCELLED


class TestReport:
    def test_a_second_claim_is_a_conflict(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"
        answer = pdp.evaluate(question())
        pdp.report(answer.evaluation_id, Custody.EXECUTING)
        with pytest.raises(Refused) as caught:
            pdp.report(answer.evaluation_id, Custody.EXECUTING)
        assert caught.value.status == 409

    def test_a_claim_whose_answer_was_lost_is_still_ours(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "allow"
        answer = pdp.evaluate(question())
        far.faults.append(Fault(OUTCOMES, after=True))
        pdp.report(answer.evaluation_id, Custody.EXECUTING)
        assert far.custody() == [["reserved", "executing"]]


class TestReceipts:
    def test_no_answer_without_its_receipt(self, far: FarPdp, tmp_path):
        far.rules["payments.refund"] = "allow"
        with Pdp(far.url, KEY, receipts=tmp_path) as pdp, pytest.raises(Unavailable):
            pdp.evaluate(question())

    def test_keeps_each_receipt_with_the_answer_it_signs(self, far: FarPdp, tmp_path):
        path = tmp_path / "receipts.jsonl"
        with Pdp(far.url, KEY, receipts=path) as pdp:
            answer = pdp.evaluate(question())
            pdp.evaluate(question())
        first, _ = map(json.loads, path.read_text().splitlines())
        assert first["receipt"] == answer.raw["context"]["receipt"]
        assert "receipt" not in first["answer"]["context"]
        assert first["answer"]["context"]["evaluation_id"] == answer.evaluation_id
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestKey:
    @pytest.mark.parametrize("key", ["", "  ", "a\nb", "schlüssel", "a\x00b"])
    def test_refuses_what_is_no_key(self, key):
        with pytest.raises(ValueError):
            Pdp("http://127.0.0.1:1", key)

    @pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "file:///etc"])
    def test_refuses_what_is_no_address(self, url):
        with pytest.raises(ValueError):
            Pdp(url, KEY)

    def test_abuse_103_the_key_is_in_no_text_form(self):
        assert KEY not in repr(Pdp("http://127.0.0.1:1", KEY))

    def test_the_key_goes_to_no_address_found_in_an_answer(self, far: FarPdp, pdp: Pdp):
        far.rules["payments.refund"] = "escalate"
        answer = pdp.evaluate(question())
        task = pdp.submit_request(question(), answer)
        assert pdp.request(task.id).status is Status.PENDING  # the answers name http://evil.test


class TestAsync:
    """The same conversation; here only what the other driver could get wrong."""

    async def test_is_unavailable_when_nobody_listens(self):
        async with AsyncPdp(f"http://127.0.0.1:{free_port()}", KEY, patience=0.3) as pdp:
            with pytest.raises(Unavailable):
                await pdp.evaluate(question())

    @pytest.mark.parametrize(
        "fault",
        [{"delay": 3.0}, {"drip": 0.02}, {"status": 200, "body": b" " * (5 * 1024 * 1024)}],
        ids=["slow", "dripping", "endless"],
    )
    async def test_is_unavailable_when_the_answer_is(self, far: FarPdp, apdp: AsyncPdp, fault):
        far.rules["payments.refund"] = "allow"
        far.faults.append(Fault(EVALUATION, **fault))
        with pytest.raises(Unavailable):
            await apdp.evaluate(question())

    async def test_abuse_148_repeats_a_lost_answer_with_the_same_attempt(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["payments.refund"] = "allow"
        far.faults.append(Fault(EVALUATION, after=True))
        answer = await apdp.evaluate(question())
        assert list(far.executions) == [answer.evaluation_id]

    async def test_does_all_that_the_other_does(self, far: FarPdp, apdp: AsyncPdp):
        far.rules["payments.refund"] = "escalate"
        answer = await apdp.evaluate(question())
        assert answer.outcome is Outcome.ESCALATE
        task = await apdp.submit_request(question(), answer)
        assert (await apdp.request(task.id)).status is Status.PENDING
        assert (await apdp.cancel(task.id)).status is Status.CANCELLED
        far.rules["payments.refund"] = "allow"
        answer = await apdp.evaluate(question())
        await apdp.report(answer.evaluation_id, Custody.EXECUTING)
        assert far.custody() == [["reserved", "executing"]]
