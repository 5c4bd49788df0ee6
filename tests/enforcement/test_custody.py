"""What a PEP did with an allow: one claim, one end, and no budget won back by words."""

from datetime import timedelta

import pytest

from enforcement import executions
from enforcement.models import Counter, Custody, Execution
from evidence import clock, ledger
from evidence.models import Record
from outbox.models import Job
from tests.enforcement.machine import OUTCOMES, Reply, ask, post, send, together
from tests.enforcement.test_requests import approved, easy, fresh, using
from tests.worlds import World, world

SPEND = {"rate": ["50/day"], "spend": {"argument": "amount", "per_day": "5000.00", "currency": "EUR"}}


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return easy(caps=SPEND)


def allowed(own: World, key: str | None = None) -> str:
    return ask(key or own.pep_key).context["evaluation_id"]


def told(key: str, evaluation_id: str, status: str, **members: object) -> Reply:
    return post(OUTCOMES, key, {"evaluation_id": evaluation_id, "status": status, **members})


def spent(own: World) -> int:
    return sum(counter.used for counter in Counter.objects.filter(tenant=own.tenant, key__startswith="spend"))


def calls(own: World) -> int:
    return sum(counter.used for counter in Counter.objects.filter(tenant=own.tenant, key__startswith="rate"))


class TestClaim:
    @pytest.mark.races
    def test_is_won_once_for_a_plain_allow(self, acme):
        evaluation_id = allowed(acme)
        body = {"evaluation_id": evaluation_id, "status": "executing"}
        replies = together([send("POST", OUTCOMES, acme.pep_key, body) for _ in range(8)])
        assert sorted(reply.status for reply in replies) == [200] + [409] * 7

    @pytest.mark.races
    def test_is_won_once_for_an_approved_allow(self, acme):
        body = fresh()
        evaluation_id = ask(acme.pep_key, using(approved(acme, body), body)).context["evaluation_id"]
        claim = {"evaluation_id": evaluation_id, "status": "executing"}
        replies = together([send("POST", OUTCOMES, acme.pep_key, claim) for _ in range(8)])
        assert sorted(reply.status for reply in replies) == [200] + [409] * 7

    def test_is_told_again_to_the_same_report(self, acme):
        evaluation_id = allowed(acme)
        body = {"evaluation_id": evaluation_id, "status": "executing"}
        replies = together([send("POST", OUTCOMES, acme.pep_key, body, {"idempotency-key": "one"}) for _ in range(4)])
        assert {reply.status for reply in replies} == {200}
        assert post(OUTCOMES, acme.pep_key, body, idempotency_key="other").status == 409
        assert Record.objects.filter(log=acme.slug, thread=evaluation_id).count() == 2

    def test_comes_too_late_after_the_approvals_time(self, acme):
        body = fresh()
        evaluation_id = ask(acme.pep_key, using(approved(acme, body), body)).context["evaluation_id"]
        Execution.objects.filter(pk=evaluation_id).update(deadline=clock.now())
        assert told(acme.pep_key, evaluation_id, "executing").status == 409

    def test_is_only_for_the_credential_that_was_allowed(self, acme):
        evaluation_id = allowed(acme)
        assert told(acme.key("pep"), evaluation_id, "executing").status == 403
        assert told(acme.agent_key, evaluation_id, "executing").status == 403

    def test_knows_no_other_tenants_evaluation(self, acme):
        assert told(world(caps={}).pep_key, allowed(acme), "executing").status == 404
        assert told(acme.pep_key, "eva_guessed", "executing").status == 404

    def test_has_nothing_to_claim_of_a_denial(self, acme):
        denied = ask(acme.pep_key, resource={"type": "tool", "id": "nope"}).context["evaluation_id"]
        assert told(acme.pep_key, denied, "executing").status == 409
        waiting = ask(acme.pep_key, fresh()).context["evaluation_id"]
        assert told(acme.pep_key, waiting, "executing").status == 409

    def test_sets_a_limit_and_a_timer(self, acme):
        evaluation_id = allowed(acme)
        told(acme.pep_key, evaluation_id, "executing")
        row = Execution.objects.get(pk=evaluation_id)
        assert row.deadline is not None
        job = Job.objects.get(dedupe=f"{executions.REMINDER}:{evaluation_id}:executing")
        assert job.run_at == row.deadline


class TestEnd:
    @pytest.mark.parametrize("status", ["committed", "failed", "indeterminate"])
    def test_follows_the_claim_once(self, acme, status):
        evaluation_id = allowed(acme)
        assert told(acme.pep_key, evaluation_id, "executing").status == 200
        assert told(acme.pep_key, evaluation_id, status).json == {"evaluation_id": evaluation_id, "status": status}
        for again in ("executing", "committed", "failed", "indeterminate"):
            assert told(acme.pep_key, evaluation_id, again).status == 409

    def test_is_no_commit_without_a_claim(self, acme):
        assert told(acme.pep_key, allowed(acme), "committed").status == 409

    def test_is_recorded_in_the_thread_with_digests_alone(self, acme):
        evaluation_id = allowed(acme)
        told(acme.pep_key, evaluation_id, "executing", started_at="2026-11-20T10:00:00.000Z")
        told(
            acme.pep_key, evaluation_id, "committed", finished_at="2026-11-20T10:00:01.000Z",
            result_digest="sha256:" + "a" * 64, changes=[{"row": "secret-row"}],
        )  # fmt: skip
        rows = Record.objects.filter(log=acme.slug, thread=evaluation_id).order_by("n")
        assert [row.event for row in rows] == ["decision.made", "execution.reported", "execution.reported"]
        last = ledger.find(acme.slug, rows[2].event_id)
        assert last is not None
        assert last["predicate"]["execution"]["status"] == "committed"
        assert last["predicate"]["execution"]["changes_digest"].startswith("sha256:")
        assert b"secret-row" not in bytes(rows[2].body)
        assert last["subject"][0]["digest"] == (ledger.find(acme.slug, evaluation_id) or {})["subject"][0]["digest"]

    @pytest.mark.parametrize(
        "change",
        [{"status": "reserved"}, {"status": 1}, {"evaluation_id": 7}, {"started_at": "soon"}, {"started_at": "2026-11-20T10:00:00"},
         {"result_digest": "md5"}, {"changes": {}}, {"usage": []}],
        ids=str,
    )  # fmt: skip
    def test_refuses_what_is_no_report(self, acme, change):
        body = {"evaluation_id": allowed(acme), "status": "executing", **change}
        assert post(OUTCOMES, acme.pep_key, body).status == 400


class TestBudget:
    def test_comes_back_to_a_call_that_never_ran(self):
        own = world(caps=SPEND)
        evaluation_id = allowed(own)
        assert (spent(own), calls(own)) == (10_000_000, 1)
        assert told(own.pep_key, evaluation_id, "failed").status == 200
        assert (spent(own), calls(own)) == (0, 1), "rate is never given back"
        assert told(own.pep_key, evaluation_id, "failed").status == 409
        assert told(own.pep_key, evaluation_id, "executing").status == 409
        assert spent(own) == 0

    def test_never_falls_below_nothing(self):
        """A counter that was set back by hand must not make the report fail."""
        own = world(caps=SPEND)
        evaluation_id = allowed(own)
        Counter.objects.filter(tenant=own.tenant, key__startswith="spend").update(used=1)
        assert told(own.pep_key, evaluation_id, "failed").status == 200
        assert spent(own) == 0

    def test_comes_back_with_an_approved_call_that_never_ran(self):
        own = easy(caps=SPEND)
        body = fresh()
        evaluation_id = ask(own.pep_key, using(approved(own, body), body)).context["evaluation_id"]
        assert spent(own) == 250_000_000
        assert told(own.pep_key, evaluation_id, "failed").status == 200
        assert spent(own) == 0

    def test_abuse_144_is_not_won_back_after_executing(self):
        own = world(caps=SPEND)
        evaluation_id = allowed(own)
        told(own.pep_key, evaluation_id, "executing")
        assert told(own.pep_key, evaluation_id, "failed").status == 200
        assert spent(own) == 10_000_000

    def test_abuse_144_is_not_won_back_by_an_agent_that_enforces_upon_itself(self):
        own = world(caps=SPEND)
        evaluation_id = allowed(own, own.agent_key)
        assert told(own.agent_key, evaluation_id, "failed").status == 200
        assert spent(own) == 10_000_000


class TestSilence:
    def test_makes_an_execution_indeterminate(self, acme):
        evaluation_id = allowed(acme)
        told(acme.pep_key, evaluation_id, "executing")
        now = clock.now()
        assert executions.overdue(evaluation_id, Custody.EXECUTING, now=now) is not None, "too early"
        assert executions.overdue(evaluation_id, Custody.EXECUTING, now=now + timedelta(days=1)) is None
        assert Execution.objects.get(pk=evaluation_id).status == Custody.INDETERMINATE
        assert Record.objects.filter(thread=evaluation_id, event="execution.indeterminate").count() == 1
        assert told(acme.pep_key, evaluation_id, "committed").status == 409

    def test_lets_a_reservation_lapse_and_returns_its_spend(self):
        own = easy(caps=SPEND)
        body = fresh()
        evaluation_id = ask(own.pep_key, using(approved(own, body), body)).context["evaluation_id"]
        executions.overdue(evaluation_id, Custody.RESERVED, now=clock.now() + timedelta(days=1))
        assert Execution.objects.get(pk=evaluation_id).status == Custody.LAPSED
        assert spent(own) == 0
        assert told(own.pep_key, evaluation_id, "executing").status == 409

    def test_changes_nothing_that_has_moved_on(self, acme):
        evaluation_id = allowed(acme)
        told(acme.pep_key, evaluation_id, "executing")
        told(acme.pep_key, evaluation_id, "committed")
        executions.overdue(evaluation_id, Custody.EXECUTING, now=clock.now() + timedelta(days=1))
        assert Execution.objects.get(pk=evaluation_id).status == Custody.COMMITTED


class TestUncertain:
    def test_abuse_144_what_may_have_run_gives_no_spend_back(self, acme):
        evaluation_id, before = allowed(acme), spent(acme)
        assert told(acme.pep_key, evaluation_id, "indeterminate").status == 200
        assert spent(acme) == before
