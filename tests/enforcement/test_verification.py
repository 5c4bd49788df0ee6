"""What an independent verifier saw of a call: told once, by nobody but a verifier, recorded beside what the PEP said."""

from datetime import timedelta
from typing import Any

import pytest

from approvals import alerting
from approvals.models import AccessRequest
from connectors import alarms
from enforcement import executions
from enforcement.models import Counter, Custody, Execution, Verification
from evidence import clock, ledger
from evidence.models import Record
from outbox.models import Job
from registry.models import Tenant
from tests.approvals.waivers import excepting
from tests.enforcement.machine import OUTCOMES, Reply, ask, post, send, together
from tests.enforcement.test_custody import SPEND, allowed, spent, told
from tests.enforcement.test_requests import approved, easy, fresh, using
from tests.worlds import World, world

DIGEST = "sha256:" + "a" * 64
SEEN = {"status": "verified", "observed_at": "2026-11-20T10:00:00.000Z", "result_digest": DIGEST}


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return easy(caps={})


@pytest.fixture(scope="module")
def verifier(acme: World) -> str:
    return acme.key("verifier")


def path(evaluation_id: str) -> str:
    return f"{OUTCOMES}/{evaluation_id}/verification"


def say(key: str | None, evaluation_id: str, **said: Any) -> Reply:
    return post(path(evaluation_id), key, said or SEEN)


def findings(own: World, thread: str) -> list[dict[str, Any]]:
    """What the thread's records say of verifications, oldest first."""
    said = [one["predicate"] for one in ledger.history(own.slug, thread, limit=None)]
    return [one["execution"] for one in reversed(said) if one["event"] == "execution.verified"]


class TestWho:
    def test_abuse_144_no_agents_peps_or_persons_key_vouches_for_a_call(self, acme: World) -> None:
        """An agent, or the PEP that ran the call, would say `verified` of whatever it did."""
        evaluation_id = allowed(acme)
        person = acme.person_key("erin", "read", "vote")
        for key in (acme.agent_key, acme.pep_key, acme.key("pep"), person):
            assert say(key, evaluation_id).status == 403
        assert say(None, evaluation_id).status == 401
        assert not Verification.objects.filter(execution_id=evaluation_id).exists()

    def test_a_verifier_reports_on_no_execution(self, acme: World, verifier: str) -> None:
        assert told(verifier, allowed(acme), "executing").status == 403

    def test_knows_no_other_tenants_evaluation(self, acme: World) -> None:
        own = world(caps={})
        evaluation_id = allowed(acme)
        assert say(own.key("verifier"), evaluation_id).status == 404
        assert say(own.key("verifier"), "eva_guessed").status == 404
        assert not Execution.objects.filter(pk=evaluation_id).exists()

    def test_has_nothing_to_say_of_what_was_not_allowed(self, acme: World, verifier: str) -> None:
        denied = ask(acme.pep_key, resource={"type": "tool", "id": "nope"}).context["evaluation_id"]
        assert say(verifier, denied).status == 409


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [{}, {"status": "committed"}, {"status": None}, {"status": ["verified"]}, {**SEEN, "seen": 1}, {**SEEN, "evaluation_id": "eva_1"},
         {**SEEN, "observed_at": "soon"}, {**SEEN, "observed_at": "2026-11-20T10:00:00"}, {**SEEN, "observed_at": None},
         {**SEEN, "result_digest": "md5"}, {**SEEN, "detail": {}}, b"[]", b'{"status":"verified","status":"diverged"}'],
        ids=str,
    )  # fmt: skip
    def test_refuses_what_is_no_verification(self, acme: World, verifier: str, body: Any) -> None:
        assert post(path(allowed(acme)), verifier, body).status in {400, 422}

    def test_refuses_a_novel(self, acme: World, verifier: str) -> None:
        assert say(verifier, allowed(acme), status="diverged", detail="x" * 4001).status == 422

    def test_is_posted_as_json_to_this_path_alone(self, acme: World, verifier: str) -> None:
        evaluation_id = allowed(acme)
        assert post(path(evaluation_id), verifier, SEEN, content_type="text/plain").status == 415
        assert post(path(evaluation_id) + "/more", verifier, SEEN).status == 404
        assert post(f"{OUTCOMES}//verification", verifier, SEEN).status == 404


class TestFact:
    def test_is_one_record_in_the_thread_of_the_execution(self, acme: World, verifier: str) -> None:
        evaluation_id = allowed(acme)
        told(acme.pep_key, evaluation_id, "executing")
        told(acme.pep_key, evaluation_id, "committed")
        reply = say(verifier, evaluation_id, **SEEN, detail="row 7 of secret-table")
        assert reply.status == 200
        assert (reply.json["evaluation_id"], reply.json["status"]) == (evaluation_id, "verified")
        (said,) = findings(acme, evaluation_id)
        assert said["custody"] == "committed"
        assert said["result_digest"] == DIGEST
        record = Record.objects.get(log=acme.slug, event_id=reply.json["verification_id"])
        assert b"secret-table" not in bytes(record.body)
        statement = ledger.find(acme.slug, record.event_id) or {}
        assert statement["predicate"]["actor"]["type"] == "verifier"
        decision = ledger.find(acme.slug, evaluation_id) or {}
        assert statement["subject"][0]["digest"] == decision["subject"][0]["digest"]
        assert Execution.objects.get(pk=evaluation_id).status == Custody.COMMITTED

    def test_abuse_148_is_one_fact_however_often_it_is_told(self, acme: World, verifier: str) -> None:
        evaluation_id = allowed(acme)
        told(acme.pep_key, evaluation_id, "executing")
        replies = together([send("POST", path(evaluation_id), verifier, SEEN) for _ in range(8)])
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        assert len(findings(acme, evaluation_id)) == 1

    def test_is_another_when_another_thing_is_seen_later(self, acme: World, verifier: str) -> None:
        evaluation_id = allowed(acme)
        say(verifier, evaluation_id)
        say(verifier, evaluation_id, status="unverifiable")
        say(acme.key("verifier"), evaluation_id)
        assert [one["status"] for one in findings(acme, evaluation_id)] == ["verified", "unverifiable", "verified"]

    @pytest.mark.races
    def test_is_kept_of_a_plain_allow_that_nobody_reported(self, acme: World, verifier: str) -> None:
        evaluation_id = allowed(acme)
        others = [acme.key("verifier") for _ in range(3)]
        replies = together([send("POST", path(evaluation_id), key, SEEN) for key in (verifier, *others)])
        assert [reply.status for reply in replies] == [200] * 4
        assert [one["custody"] for one in findings(acme, evaluation_id)] == ["reserved"] * 4

    def test_holds_for_a_policy_changed_since(self, acme: World, verifier: str) -> None:
        """What this process judges with is old by then: it must look again, not fail."""
        evaluation_id = allowed(acme)
        Tenant.objects.filter(pk=acme.tenant.pk).update(epoch=acme.tenant.epoch + 1000)
        assert say(verifier, evaluation_id).status == 200
        Tenant.objects.filter(pk=acme.tenant.pk).update(epoch=acme.tenant.epoch + 2000)
        assert told(acme.pep_key, evaluation_id, "executing").status == 200


class TestCustody:
    def test_of_a_plain_allow_goes_on_as_if_nobody_had_looked(self) -> None:
        own = world(caps=SPEND)
        first, second = allowed(own), allowed(own)
        key = own.key("verifier")
        for one in (first, second):
            assert say(key, one).status == 200
        assert told(own.pep_key, first, "executing").status == 200
        assert told(own.pep_key, first, "committed").status == 200
        assert told(own.pep_key, second, "failed").status == 200
        assert spent(own) == 10_000_000, "the one that never ran gave its spend back, once"

    def test_of_an_approved_call_is_recorded_with_its_request(self, acme: World, verifier: str) -> None:
        body = fresh()
        evaluation_id = ask(acme.pep_key, using(approved(acme, body), body)).context["evaluation_id"]
        assert say(verifier, evaluation_id, status="unverifiable").status == 200
        request_id = Execution.objects.get(pk=evaluation_id).request_id
        assert [one["evaluation_id"] for one in findings(acme, request_id)] == [evaluation_id]

    def test_of_a_waived_call_is_like_any_other(self) -> None:
        own = excepting.easy()
        waiver = excepting.granted(own)
        evaluation_id = excepting.call(own).context["evaluation_id"]
        assert told(own.pep_key, evaluation_id, "executing").status == 200
        assert told(own.pep_key, evaluation_id, "executing").status == 409
        assert told(own.pep_key, evaluation_id, "committed").status == 200
        assert say(own.key("verifier"), evaluation_id).status == 200
        assert [one["status"] for one in findings(own, waiver.request_id)] == ["verified"]

    def test_of_a_waived_call_that_nobody_reports_leaves_the_waiver_usable(self) -> None:
        own = excepting.easy(caps=SPEND)
        excepting.granted(own)
        first = excepting.call(own).context["evaluation_id"]
        row = Execution.objects.get(pk=first)
        assert (row.status, row.deadline) == (Custody.RESERVED, None)
        before = Counter.objects.filter(tenant=own.tenant).values_list("used", flat=True)
        assert executions.overdue(first, Custody.RESERVED, now=clock.now() + timedelta(days=365)) is None
        assert list(before) == list(Counter.objects.filter(tenant=own.tenant).values_list("used", flat=True))
        assert excepting.call(own).told == (True, "allow", "waiver")

    def test_of_a_waived_call_tells_its_granters_nothing(self) -> None:
        own = excepting.easy()
        waiver = excepting.granted(own)
        evaluation_id = excepting.call(own).context["evaluation_id"]
        before = Job.objects.filter(tenant=own.slug).count()
        say(own.key("verifier"), evaluation_id)
        assert Job.objects.filter(tenant=own.slug).count() == before
        assert AccessRequest.objects.get(pk=waiver.request_id).status == "approved"


class TestDiverged:
    def test_is_an_alert_that_administrators_hear_of(self, acme: World, verifier: str) -> None:
        evaluation_id = allowed(acme)
        reply = say(verifier, evaluation_id, status="diverged", detail="paid twice")
        say(verifier, evaluation_id, status="diverged", detail="paid twice")
        (alert,) = [one for one in alerting.latest(acme.slug, now=clock.now()) if "another effect" in one.words]
        assert alert.subject == "support-bot · payments.refund"
        (job,) = Job.objects.filter(tenant=acme.slug, kind=alarms.ALARM)
        assert job.payload["detail"]["evaluation"] == evaluation_id
        assert "paid twice" not in str(job.payload)
        assert Verification.objects.get(pk=reply.json["verification_id"]).said == {"detail": "paid twice"}

    def test_is_no_alert_when_all_is_well(self) -> None:
        own = world(caps={})
        key, evaluation_id = own.key("verifier"), allowed(own)
        say(key, evaluation_id)
        say(key, evaluation_id, status="unverifiable")
        assert not Record.objects.filter(log=own.slug, event="alert.fired").exists()
