"""Many questions in one request: each answer its own question's, each decided once, and nothing allowed by mistake."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from countersign.pep.answer import BadAnswer, Refused, Unavailable
from countersign.pep.client import AsyncPdp, Pdp
from countersign.pep.many import Semantic
from countersign.pep.question import BadQuestion, Question
from countersign.policy.values import Outcome
from tests.countersign.pep.lookalike import KEY, FarPdp, Fault, digest_of

EVALUATIONS = "/access/v1/evaluations"
DENY_FIRST, PERMIT_FIRST = Semantic.DENY_ON_FIRST_DENY, Semantic.PERMIT_ON_FIRST_PERMIT


def ask(*tools: str) -> list[Question]:
    return [Question(agent="support-bot", tool=tool, arguments={"n": n}) for n, tool in enumerate(tools)]


@pytest.fixture
def far(far: FarPdp) -> FarPdp:
    far.rules |= {"yes": "allow", "ask": "escalate"}
    return far


def to_items(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda answer: {"evaluations": change(answer["evaluations"])}


def other_arguments(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    items[1]["context"]["arguments_digest"] = digest_of({"n": 7})
    return items


class TestEvaluations:
    def test_gives_each_question_its_answer(self, far: FarPdp, pdp: Pdp) -> None:
        answers = pdp.evaluations(ask("yes", "no", "ask"))
        assert [answer.outcome for answer in answers] == [Outcome.ALLOW, Outcome.DENY, Outcome.ESCALATE]
        assert [answer.allowed for answer in answers] == [True, False, False]
        assert [answer.arguments_digest for answer in answers] == [digest_of({"n": n}) for n in range(3)]
        assert (len(far.seen), list(far.executions)) == (1, [answers[0].evaluation_id])
        assert {answer.error for answer in answers} == {None}

    async def test_does_so_for_coroutines_too(self, far: FarPdp, apdp: AsyncPdp) -> None:
        far.faults = [Fault(EVALUATIONS, after=True)]
        answers = await apdp.evaluations(ask("no", "yes", "yes"), semantic=PERMIT_FIRST)
        assert [answer.allowed for answer in answers] == [False, True]
        assert list(far.executions) == [answers[1].evaluation_id]

    def test_asks_nobody_about_nothing(self, far: FarPdp, pdp: Pdp) -> None:
        assert (pdp.evaluations([]), far.seen) == ((), [])

    @pytest.mark.parametrize(
        ("semantic", "tools", "allowed"),
        [
            (Semantic.EXECUTE_ALL, ("no", "yes", "no"), [False, True, False]),
            (DENY_FIRST, ("yes", "ask", "yes"), [True, False]),
            (DENY_FIRST, ("yes", "yes"), [True, True]),
            (PERMIT_FIRST, ("no", "yes", "yes"), [False, True]),
            (PERMIT_FIRST, ("no", "no"), [False, False]),
        ],
    )
    def test_ends_where_it_was_told_to(
        self, far: FarPdp, pdp: Pdp, semantic: Semantic, tools: tuple[str, ...], allowed: list[bool]
    ) -> None:
        assert [answer.allowed for answer in pdp.evaluations(ask(*tools), semantic=semantic)] == allowed
        assert far.bodies(EVALUATIONS)[0]["options"] == {"evaluations_semantic": semantic.value}

    def test_abuse_148_a_lost_answer_is_repeated_with_the_attempt_of_each(self, far: FarPdp, pdp: Pdp) -> None:
        far.faults = [Fault(EVALUATIONS, after=True), Fault(EVALUATIONS, status=503)]
        answers = pdp.evaluations(ask("yes", "yes"))
        first, second, third = far.bodies(EVALUATIONS)
        assert first == second == third
        assert len({item["context"]["attempt"] for item in first["evaluations"]}) == 2
        assert list(far.executions) == [answer.evaluation_id for answer in answers]

    def test_two_requests_are_other_attempts(self, far: FarPdp, pdp: Pdp) -> None:
        for _ in range(2):
            pdp.evaluations(ask("yes"))
        assert len(far.attempts) == 2

    def test_asks_none_if_one_cannot_be_bound(self, far: FarPdp, pdp: Pdp) -> None:
        with pytest.raises(BadQuestion):
            pdp.evaluations([*ask("yes"), Question(agent="a", tool="yes", arguments={"n": 2**53})])
        assert far.seen == []

    def test_one_that_could_not_be_decided_permits_nothing_and_says_why(self, far: FarPdp, pdp: Pdp) -> None:
        error = {"status": 403, "type": "urn:x", "message": "Not your agent."}
        failed = {"decision": False, "context": {"error": error}}
        far.faults = [Fault(EVALUATIONS, change=to_items(lambda items: [failed, items[1]]))]
        one, other = pdp.evaluations(ask("yes", "yes"))
        assert (one.allowed, one.outcome, one.evaluation_id) == (False, Outcome.DENY, "")
        assert isinstance(one.error, Refused)
        assert (one.error.status, one.error.problem) == (403, "urn:x")
        assert "Not your agent." in one.why
        assert other.allowed

    @pytest.mark.parametrize(
        ("semantic", "change"),
        [
            (Semantic.EXECUTE_ALL, lambda items: items[:1]),
            (Semantic.EXECUTE_ALL, lambda items: [*items, items[0]]),
            (Semantic.EXECUTE_ALL, lambda items: []),
            (Semantic.EXECUTE_ALL, lambda items: None),
            (Semantic.EXECUTE_ALL, lambda items: {"0": items[0]}),
            (Semantic.EXECUTE_ALL, lambda items: [items[0], True]),
            (Semantic.EXECUTE_ALL, lambda items: [items[0], {"decision": True}]),
            (Semantic.EXECUTE_ALL, lambda items: items[::-1]),
            (Semantic.EXECUTE_ALL, other_arguments),
            (Semantic.EXECUTE_ALL, lambda items: [items[0], {"decision": True, "context": {"error": {"status": 500}}}]),
            (Semantic.EXECUTE_ALL, lambda items: [items[0], {"decision": False, "context": {"error": "no"}}]),
            (Semantic.EXECUTE_ALL, lambda items: [items[0], {"decision": False, "context": {"error": {}}}]),
            (DENY_FIRST, lambda items: items[:1]),
            (DENY_FIRST, lambda items: []),
            (PERMIT_FIRST, lambda items: items[:1]),
        ],
    )  # fmt: skip
    def test_takes_nothing_from_a_reply_that_is_not_to_these_questions(
        self, far: FarPdp, pdp: Pdp, semantic: Semantic, change: Callable[[Any], Any]
    ) -> None:
        far.rules["yes"] = "deny" if semantic is PERMIT_FIRST else "allow"
        far.faults = [Fault(EVALUATIONS, change=to_items(change))]
        with pytest.raises(BadAnswer):
            pdp.evaluations(ask("yes", "yes"), semantic=semantic)

    @pytest.mark.parametrize("semantic", [DENY_FIRST, PERMIT_FIRST])
    def test_takes_nothing_from_a_pdp_that_went_on_after_the_end(
        self, far: FarPdp, pdp: Pdp, semantic: Semantic
    ) -> None:
        far.evaluations = lambda body: (200, {"evaluations": [far.evaluate(item)[1] for item in body["evaluations"]]})
        with pytest.raises(BadAnswer):
            pdp.evaluations(ask("yes", "no", "yes"), semantic=semantic)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500, 201, 204, 301])
    def test_takes_no_other_status_for_decisions(self, far: FarPdp, pdp: Pdp, status: int) -> None:
        far.faults = [Fault(EVALUATIONS, status=status, done=True)]
        with pytest.raises(Refused):
            pdp.evaluations(ask("yes"))
        assert len(far.seen) == 1

    def test_keeps_the_receipt_of_each_before_anything_is_done_on_its_word(self, far: FarPdp, tmp_path: Path) -> None:
        path = tmp_path / "receipts.jsonl"
        with Pdp(far.url, KEY, receipts=path) as pdp:
            answers = pdp.evaluations(ask("yes", "no"))
        kept = [json.loads(line)["answer"]["context"]["evaluation_id"] for line in path.read_text().splitlines()]
        assert kept == [answer.evaluation_id for answer in answers]
        with Pdp(far.url, KEY, receipts=tmp_path) as pdp, pytest.raises(Unavailable):
            pdp.evaluations(ask("yes"))
