"""The connection to the database breaks during the COMMIT of each write endpoint; who asks again gets one row."""

from typing import Any

import httpx2
import pytest

from tests.faults.case import Case, ahead, terms
from tests.faults.wire import Cut
from tests.journeys.speakers import EVALUATION, EVALUATIONS, OUTCOMES, REQUESTS, Pep, Person, lookup, refund


@pytest.mark.parametrize("cut", Cut)
class TestCutDuringCommit:
    def test_abuse_133_a_decision_is_one_record_and_one_charge(self, case: Case, cut: Cut):
        answer = case.broken(cut, lambda: case.pep.post(EVALUATION, refund(attempt="once")))
        assert (answer.status_code, answer.json()["decision"]) == (200, True)
        assert case.count("decision.made") == 1
        assert [case.pep.ask(refund())["outcome"] for _ in range(2)] == ["allow", "deny"]

    def test_abuse_133_many_decisions_are_one_record_each(self, case: Case, cut: Cut):
        questions = {"evaluations": [refund(attempt="first"), lookup(attempt="second")]}
        answer = case.broken(cut, lambda: case.pep.post(EVALUATIONS, questions))
        assert [one["decision"] for one in answer.json()["evaluations"]] == [True, True]
        assert case.count("decision.made") == 2

    def test_abuse_133_an_escalation_opens_one_request(self, case: Case, cut: Cut):
        call = refund("250.00", attempt="once", open_request=True)
        answer = case.broken(cut, lambda: case.pep.post(EVALUATION, call))
        assert answer.json()["context"]["access_request"]["task"]["status"] == "pending"
        assert (case.count("decision.made"), case.count("request.opened"), case.count("request.joined")) == (1, 1, 0)

    def test_abuse_133_a_submission_opens_one_request(self, case: Case, cut: Cut):
        call = refund("250.00")
        evaluation_id = case.pep.ask(call)["evaluation_id"]
        answer = case.broken(cut, lambda: case.pep.submit(call, evaluation_id, key="once"))
        assert answer.status_code == 202
        assert (case.count("request.opened"), case.count("request.joined")) == (1, 0)

    def test_abuse_133_a_submission_of_several_makes_one_task(self, case: Case, cut: Cut):
        sent = case.bundle()
        answer = case.broken(cut, lambda: case.pep.post(REQUESTS, sent, key="once"))
        assert answer.status_code == 202
        assert (case.count("request.opened"), case.count("request.joined")) == (2, 0)
        bundles = "SELECT b.id FROM approvals_bundle b JOIN registry_tenant t ON t.id = b.tenant_id WHERE t.slug = %s"
        assert case.acme.place.rows(bundles, case.acme.slug) == [(answer.json()["task"]["id"],)]

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_abuse_133_a_cancellation_closes_once(self, case: Case, cut: Cut, method: str):
        request_id = case.pep.pending()
        answer = case.broken(cut, lambda: case.pep.cancel(request_id, method=method, key="once"))
        assert (answer.status_code, answer.json()["task"]["status"]) == (200, "cancelled")
        assert case.count("request.cancelled") == 1

    def test_abuse_133_a_cancellation_without_a_key_closes_once_and_says_so(self, case: Case, cut: Cut):
        request_id = case.pep.pending()
        answer = case.broken(cut, lambda: case.pep.cancel(request_id))
        assert answer.status_code == (200 if cut is Cut.BEFORE else 409)
        assert case.pep.task(request_id)["task"]["status"] == "cancelled"
        assert case.count("request.cancelled") == 1

    def test_abuse_133_a_cancellation_of_several_closes_each_once(self, case: Case, cut: Cut):
        task = case.pep.post(REQUESTS, case.bundle()).json()["task"]
        answer = case.broken(cut, lambda: case.pep.cancel(task["id"], key="once"))
        assert (answer.status_code, answer.json()["task"]["status"]) == (200, "cancelled")
        assert case.count("request.cancelled") == 2

    def test_abuse_133_an_approval_is_used_once(self, case: Case, cut: Cut):
        call = refund("250.00", approval=case.approved(), attempt="once")
        answer = case.broken(cut, lambda: case.pep.post(EVALUATION, call))
        assert answer.json()["decision"] is True
        assert case.count("approval.used") == 1
        assert case.pep.report(answer.json()["context"]["evaluation_id"], "executing").status_code == 200

    def test_abuse_133_a_claim_is_won_once(self, case: Case, cut: Cut):
        evaluation_id = case.pep.ask(refund())["evaluation_id"]
        answer = case.broken(cut, lambda: case.pep.report(evaluation_id, "executing", key="once"))
        assert (answer.status_code, answer.json()["status"]) == (200, "executing")
        assert case.count("execution.reported") == 1
        assert case.pep.report(evaluation_id, "executing", key="another").status_code == 409

    def test_abuse_133_an_outcome_is_told_once(self, case: Case, cut: Cut):
        evaluation_id = case.pep.ask(refund())["evaluation_id"]
        case.pep.report(evaluation_id, "executing", key="claim")
        answer = case.broken(cut, lambda: case.pep.report(evaluation_id, "committed", key="end"))
        assert (answer.status_code, answer.json()["status"]) == (200, "committed")
        assert case.count("execution.reported") == 2

    def test_abuse_133_a_step_up_and_a_vote_count_once(self, case: Case, cut: Cut):
        request_id = case.pep.pending()
        seen = case.erin.read(request_id)["display"]["hash"]
        passed = case.broken(cut, lambda: case.erin.step_up(request_id, "approve", seen=seen))
        assert passed.status_code == 201, passed.text
        proof = passed.json()["step_up"]
        again = case.broken(cut, lambda: case.erin.cast(request_id, "approve", seen=seen, step_up=proof))
        assert again.status_code in ({201} if cut is Cut.BEFORE else {201, 409}), again.text
        assert case.count("vote.cast") == 1
        assert case.frank.vote(request_id).json()["status"] == "approved"
        assert (case.count("request.approved"), case.count("approval.issued")) == (1, 1)

    def test_abuse_133_a_verification_is_one_fact(self, case: Case, cut: Cut):
        verifier = Pep(case.pep.url, case.acme.issue("--verifier", "auditor"))
        path = f"{OUTCOMES}/{case.pep.ask(refund())['evaluation_id']}/verification"
        answer = case.broken(cut, lambda: verifier.post(path, {"status": "diverged"}))
        assert (answer.status_code, answer.json()["status"]) == (200, "diverged")
        assert (case.count("execution.verified"), case.count("alert.fired")) == (1, 1)

    def test_abuse_133_a_reconciliation_is_one_fact(self, case: Case, cut: Cut):
        told, olga = case.pep.ask(refund(transaction="case-1")), case.operator()
        named = {name: told[name] for name in ("action_digest", "commitment_salt")}
        assert case.pep.report(told["evaluation_id"], "indeterminate", **named).status_code == 200
        path = f"/api/v1/executions/{told['evaluation_id']}/reconcile"
        said = {"outcome": "failed", "reason": "The bank shows none.", "evidence": "OPS-7"}
        answer = case.broken(cut, lambda: olga.post(path, said))
        assert (answer.status_code, answer.json()["status"]) == (200, "failed")
        assert case.count("execution.reconciled") == 1
        assert case.pep.ask(refund(transaction="case-1"))["outcome"] == "allow", "nothing is blocked any more"

    def test_abuse_133_a_waiver_is_asked_for_once(self, case: Case, cut: Cut):
        dana, said = case.member("dana"), terms(case.acme)
        answer = case.broken(cut, lambda: dana.post("/api/v1/waivers", said, key="once"))
        assert (answer.status_code, answer.json()["state"]) == (201, "pending")
        assert (case.count("waiver.requested"), case.count("request.opened")) == (1, 1)

    def test_abuse_133_each_step_of_a_waiver_is_taken_once(self, case: Case, cut: Cut):
        dana, carol = (case.member(name) for name in ("dana", "carol"))
        asked = dana.http.post("/api/v1/waivers", json=terms(case.acme))
        assert asked.status_code == 201, asked.text
        waiver = f"/api/v1/waivers/{asked.json()['id']}"
        once = {200, 201} if cut is Cut.BEFORE else {200, 201, 409}

        def broken(person: Person, verb: str, **body: Any) -> httpx2.Response:
            answer = case.broken(cut, lambda: person.http.post(f"{waiver}/{verb}", json=body))
            assert answer.status_code in once, answer.text
            return answer

        broken(carol, "controls/0/attest")
        for person in (case.erin, case.frank):
            seen = person.get(waiver).json()["display"]["hash"]
            said = {"decision": "approve", "seen": seen}
            passed = case.broken(
                cut,
                lambda who=person, said=said: who.http.post(  # type: ignore[misc]  # bound now, called now
                    f"{waiver}/step-up", json={**said, "method": "totp", "code": who.code()}
                ),
            )
            assert passed.status_code == 201, passed.text
            broken(person, "votes", step_up=passed.json()["step_up"], **said)
        assert dana.get(waiver).json()["state"] == "active"
        broken(dana, "shorten", expires_at=ahead(hours=1), reason="soon done")
        broken(carol, "controls/0/withdraw")
        broken(dana, "revoke", reason="enough")
        assert dana.get(waiver).json()["state"] == "revoked"
        told = ("control.attested", "waiver.granted", "waiver.shortened", "control.withdrawn", "waiver.revoked")
        assert [case.count(event) for event in ("vote.cast", *told)] == [2, 1, 1, 1, 1, 1]
