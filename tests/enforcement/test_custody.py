"""What a PEP did with an allow: one claim, one end, and no budget won back by words."""

from datetime import timedelta

import pytest

from approvals import requests
from approvals.models import Approval
from enforcement import executions
from enforcement.models import Counter, Custody, Execution
from evidence import clock, ledger
from evidence.models import Record
from outbox.models import Job
from tests.enforcement.machine import OUTCOMES, Reply, ask, post, send, together
from tests.enforcement.test_requests import approved, easy, fresh, using
from tests.worlds import SETUP, World, world

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


def tokens(own: World) -> int:
    return sum(counter.used for counter in Counter.objects.filter(tenant=own.tenant, key__startswith="tokens"))


def calls(own: World) -> int:
    return sum(counter.used for counter in Counter.objects.filter(tenant=own.tenant, key__startswith="rate"))


def reserved(own: World) -> tuple[Approval, str]:
    """An approval, and the allow that used it."""
    body = fresh()
    approval = approved(own, body)
    return approval, ask(own.pep_key, using(approval, body)).context["evaluation_id"]


def take_back(own: World, approval: Approval) -> None:
    requests.revoke_approval(
        approval.pk, tenant_id=own.tenant.pk, actor=SETUP, reason="A mistake.", now=clock.now()
    )  # fmt: skip


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

    def test_abuse_029_comes_too_late_once_the_approval_was_taken_back(self, acme):
        """What has begun before goes on to its end."""
        approval, begun = reserved(acme)
        assert told(acme.pep_key, begun, "executing").status == 200
        take_back(acme, approval)
        assert told(acme.pep_key, begun, "committed").status == 200
        approval, waiting = reserved(acme)
        take_back(acme, approval)
        assert told(acme.pep_key, waiting, "executing").status == 409
        assert told(acme.pep_key, waiting, "failed").status == 200

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
        once = {"evaluation_id": evaluation_id, "status": status}
        assert told(acme.pep_key, evaluation_id, status, result_digest="sha256:" + "a" * 64).json == once
        for again in {"executing", "committed", "failed", "indeterminate"} - {status}:
            assert told(acme.pep_key, evaluation_id, again).status == 409
        assert told(acme.pep_key, evaluation_id, status, result_digest="sha256:" + "b" * 64).status == 409
        assert told(acme.pep_key, evaluation_id, status).json == once, "told twice is one fact"
        assert Record.objects.filter(log=acme.slug, thread=evaluation_id).count() == 3

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
         {"result_digest": "md5"}, {"changes": {}}, {"usage": []}, {"usage": {"tokens": -1}}, {"usage": {"tokens": True}},
         {"usage": {"spend": "much"}}, {"action_digest": "sha256:" + "a" * 64}, {"commitment_salt": "AAAA"},
         {"action_digest": "sha256:" + "a" * 64, "commitment_salt": "AAAA"}, {"principal": "dana"}, {"principal": {}},
         {"principal": {"id": "dana"}}],
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
        assert told(own.pep_key, evaluation_id, "failed").status == 200
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


METERED = SPEND | {"tokens": {"per_day": 100_000}}


@pytest.fixture(scope="module")
def own(database: None) -> World:
    return world(caps=METERED)


class TestUsage:
    """What a report says was used sets the counters right; whose word lowers them is another matter."""

    def ended(
        self, own: World, status: str, *, key: str = "", declared: int = 2000, **usage: object
    ) -> tuple[int, int]:
        """How far spend and tokens are from where they were before a call of 10 ended so."""
        key = key or own.pep_key
        before = spent(own), tokens(own)
        evaluation_id = ask(key, usage={"tokens": declared} if declared else {}).context["evaluation_id"]
        assert told(key, evaluation_id, "executing").status == 200
        assert told(key, evaluation_id, status, usage=usage).status == 200
        assert told(key, evaluation_id, status, usage=usage).status == 200, "and counts once"
        self.last = evaluation_id
        return spent(own) - before[0], tokens(own) - before[1]

    def test_counts_what_was_used_beyond_what_was_charged_whoever_says_so(self, own):
        more = {"tokens": 2500, "spend": "12.50"}
        for key in (own.pep_key, own.agent_key):
            for status in ("committed", "failed", "indeterminate"):
                assert self.ended(own, status, key=key, **more) == (12_500_000, 2500)

    def test_counts_fewer_tokens_by_a_peps_word_on_what_ended_well(self, own):
        assert self.ended(own, "committed", tokens=900) == (10_000_000, 900)
        last = ledger.find(own.slug, Record.objects.filter(thread=self.last).order_by("-n")[0].event_id) or {}
        charges = {row["cap"]: row["amount"] for row in last["predicate"]["budget"]["charges"]}
        assert charges == {"rate_cap": "1", "spend_cap": "10000000", "token_cap": "900"}

    @pytest.mark.parametrize("status", ["committed", "failed", "indeterminate"])
    def test_abuse_144_an_agents_own_word_lowers_nothing(self, own, status):
        assert self.ended(own, status, key=own.agent_key, tokens=0, spend="0.00") == (10_000_000, 2000)

    @pytest.mark.parametrize("status", ["failed", "indeterminate"])
    def test_abuse_144_nothing_is_lowered_by_a_call_that_did_not_end_well(self, own, status):
        assert self.ended(own, status, tokens=0, spend="0.00") == (10_000_000, 2000)

    def test_lowers_spend_once_a_verifier_saw_the_same(self, own):
        assert self.ended(own, "committed", spend="4.00") == (10_000_000, 2000)
        before = spent(own)
        for _ in range(2):
            assert (
                post(f"{OUTCOMES}/{self.last}/verification", own.key("verifier"), {"status": "verified"}).status == 200
            )
            assert spent(own) - before == -6_000_000

    @pytest.mark.parametrize(("finding", "back"), [("verified", 10_000_000), ("unverifiable", 0), ("diverged", 0)])
    def test_gives_spend_back_for_a_failure_that_a_verifier_saw(self, own, finding, back):
        assert self.ended(own, "failed") == (10_000_000, 2000)
        before = spent(own)
        assert post(f"{OUTCOMES}/{self.last}/verification", own.key("verifier"), {"status": finding}).status == 200
        assert before - spent(own) == back

    def test_counts_tokens_that_nobody_declared(self, own):
        assert self.ended(own, "committed", declared=0, tokens=700) == (10_000_000, 700)
        fresh_world = world(caps={"tokens": {"per_day": 100_000}})
        assert self.ended(fresh_world, "committed", declared=0, tokens=700) == (0, 700), "not even a counter was there"

    def test_may_be_more_than_a_cap_and_than_any_counter_holds(self):
        other = world(caps=METERED)
        assert self.ended(other, "committed", tokens=2**53 - 1, spend="999999999999.00")[1] == 2**53 - 1
        assert ask(other.pep_key).told[2] == "spend_cap", "what was used is used"
        full = world(caps={"tokens": {"per_day": 100_000}})
        evaluation_id = ask(full.pep_key, usage={"tokens": 1}).context["evaluation_id"]
        told(full.pep_key, evaluation_id, "executing")
        Counter.objects.filter(tenant=full.tenant).update(used=2**63 - 1000)
        assert told(full.pep_key, evaluation_id, "committed", usage={"tokens": 2**53 - 1}).status == 200

    def test_counts_into_the_window_of_the_call(self, own):
        before = tokens(own)
        evaluation_id = ask(own.pep_key, usage={"tokens": 2000}).context["evaluation_id"]
        told(own.pep_key, evaluation_id, "executing")
        row = Execution.objects.get(pk=evaluation_id)
        row.budget = [{**one, "window": "0"} for one in row.budget]
        row.save()
        told(own.pep_key, evaluation_id, "committed", usage={"tokens": 500})
        assert tokens(own) - before == 2000, "a day that is over is not today"


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
