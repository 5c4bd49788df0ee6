"""A call whose end nobody knows is not repeated before a person says what became of it, by whatever way it is asked."""

from datetime import timedelta
from typing import Any

import pytest

from approvals.models import AccessRequest
from connectors import alarms
from countersign.proof.events import Event
from enforcement import blocking, executions, reconciling
from enforcement.models import Custody, Execution, Reconciliation
from evidence import clock, ledger
from evidence.models import Record
from registry import people
from registry.models import Membership
from tests.approvals.waivers import excepting
from tests.enforcement.machine import OUTCOMES, REQUESTS, Reply, ask, post, question
from tests.enforcement.test_custody import spent, told
from tests.enforcement.test_requests import approved, easy, error_of, fresh, submission, using
from tests.worlds import POLICY, SETUP, World

EVALUATIONS, TOOLS, REFUND = "/access/v1/evaluations", "/access/v1/search/resource", "payments.refund"
UNRECONCILED = (False, "deny", "unreconciled")


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return easy(caps={"spend": {"argument": "amount", "per_day": "100000.00", "currency": "EUR"}})


def operator(own: World, name: str = "olga", *roles: str) -> Membership:
    username = own.username(name)
    return people.add(
        username, email=f"{username}@acme.test", tenant=own.tenant, teams=[], roles=roles or ["operator"], actor=SETUP,
        now=clock.now(),
    )  # fmt: skip


def silent(own: World, evaluation_id: str, **members: Any) -> str:
    """The call is begun, and nobody speaks of it any more."""
    assert told(own.pep_key, evaluation_id, "executing", **members).status == 200
    executions.overdue(evaluation_id, Custody.EXECUTING, now=clock.now() + timedelta(days=1))
    return evaluation_id


def silent_approved(own: World, body: dict[str, Any]) -> str:
    return silent(own, ask(own.pep_key, using(approved(own, body), body)).context["evaluation_id"])


def settled(evaluation_id: str, by: Membership, outcome: Custody = Custody.FAILED) -> Reconciliation:
    return reconciling.reconcile(
        evaluation_id, by=by, outcome=outcome, reason="The bank shows no such refund.", evidence="ticket OPS-7",
        now=clock.now(),
    )  # fmt: skip


def named(reply: Reply) -> dict[str, Any]:
    return {name: reply.context[name] for name in ("action_digest", "commitment_salt")}


class TestBlock:
    def test_denies_the_same_action_and_no_other_until_a_person_reconciles(self, acme, olga):
        body = fresh()
        evaluation_id = silent_approved(acme, body)
        opened = AccessRequest.objects.filter(tenant=acme.tenant).count()
        reply = ask(acme.pep_key, {**body, "context": {**body["context"], "open_request": True}})
        assert reply.told == UNRECONCILED
        assert "access_request" not in reply.context
        assert AccessRequest.objects.filter(tenant=acme.tenant).count() == opened, "nobody is asked in vain"
        assert ask(acme.pep_key, fresh()).told[1] == "escalate"
        settled(evaluation_id, olga)
        assert ask(acme.pep_key, body).told == (False, "escalate", "approval_required")

    def test_uses_no_approval_up(self):
        own = easy(approval={"uses": 2})
        body = fresh()
        approval = approved(own, body)
        silent(own, ask(own.pep_key, using(approval, body)).context["evaluation_id"])
        assert ask(own.pep_key, using(approval, body)).told == UNRECONCILED
        approval.refresh_from_db()
        assert approval.uses == 1

    def test_repeats_no_answer_that_allowed_it(self, acme):
        body = fresh(attempt="a-lost-answer")
        first = ask(acme.pep_key, using(approved(acme, fresh_of(body)), body))
        silent(acme, first.context["evaluation_id"])
        assert ask(acme.pep_key, using("any", body)).status == 409

    def test_is_not_relaxed_by_observing_nor_by_a_policy_that_allows_it_now(self):
        own = easy()
        body = fresh()
        silent_approved(own, body)
        for policy in (POLICY.replace("mode: enforce", "mode: observe"), ALLOWING):
            own.with_policy(policy)
            assert ask(own.pep_key, body).told == UNRECONCILED
        assert ask(own.pep_key, fresh()).told[:2] == (True, "allow")

    def test_is_lifted_by_no_waiver_and_takes_no_use_of_one(self):
        own = easy()
        waiver = excepting.granted(own)
        body = fresh()
        reply = ask(own.pep_key, body)
        assert reply.told == (True, "allow", "waiver")
        evaluation_id = silent(own, reply.context["evaluation_id"])
        assert ask(own.pep_key, body).told == UNRECONCILED
        waiver.refresh_from_db()
        assert waiver.uses == 1
        with pytest.raises(reconciling.Partial):
            settled(evaluation_id, own.dana)

    def test_stands_against_a_submission_of_an_earlier_denial(self, acme):
        body = fresh()
        denied = ask(acme.pep_key, body)
        silent_approved(acme, body)
        assert error_of(post(REQUESTS, acme.pep_key, submission(body, denied))) == (400, "not_requestable")

    def test_follows_a_peps_own_word_that_it_does_not_know(self, acme):
        body = fresh()
        evaluation_id = ask(acme.pep_key, using(approved(acme, body), body)).context["evaluation_id"]
        assert told(acme.pep_key, evaluation_id, "indeterminate").status == 200
        assert ask(acme.pep_key, body).told == UNRECONCILED

    def test_reaches_a_plain_call_whose_transaction_tells_it_from_the_next(self, acme):
        asked = question(transaction="case-plain")
        reply = ask(acme.pep_key, asked)
        silent(acme, reply.context["evaluation_id"], **named(reply))
        assert ask(acme.pep_key, asked).told == UNRECONCILED
        assert ask(acme.pep_key, question(transaction="case-other")).told[0]

    def test_reaches_the_items_of_a_request_and_the_names_of_a_search(self, acme, olga):
        asked = question(transaction="case-found")
        reply = ask(acme.pep_key, asked)
        evaluation_id = silent(acme, reply.context["evaluation_id"], **named(reply))
        open_ended = {**asked, "resource": {"type": "tool"}}

        def seen() -> tuple[list[bool], bool]:
            items = post(EVALUATIONS, acme.pep_key, {"evaluations": [asked, question(transaction="case-beside")]})
            found = post(TOOLS, acme.pep_key, open_ended).json["results"]
            return [one["decision"] for one in items.json["evaluations"]], {"type": "tool", "id": REFUND} in found

        assert seen() == ([False, True], False)
        settled(evaluation_id, olga)
        assert seen() == ([True, True], True)

    def test_spares_a_plain_call_that_nothing_tells_from_the_next(self, acme):
        reply = ask(acme.pep_key)
        silent(acme, reply.context["evaluation_id"], **named(reply))
        unnamed = question(transaction="case-unnamed")
        silent(acme, ask(acme.pep_key, unnamed).context["evaluation_id"])
        assert ask(acme.pep_key).told[0]
        assert ask(acme.pep_key, unnamed).told[0]

    def test_believes_no_digest_of_another_action(self, acme):
        other = ask(acme.pep_key, question(transaction="case-victim"))
        mine = ask(acme.pep_key, question(transaction="case-mine")).context["evaluation_id"]
        body = {"evaluation_id": mine, "status": "executing", **named(other)}
        assert post(OUTCOMES, acme.pep_key, body).status == 400

    def test_calls_administrators_once(self, acme, monkeypatch):
        evaluation_id = silent_approved(acme, fresh())
        said = [
            statement["predicate"]["detail"]
            for statement in ledger.history(acme.slug, ledger.ALERTS, limit=50)
            if statement["predicate"]["detail"].get("evaluation") == evaluation_id
        ]
        assert [one["alert"] for one in said] == [blocking.UNKNOWN_END]
        words = alarms._WORDS[blocking.UNKNOWN_END](acme.tenant, said[0])
        assert f"/executions/{evaluation_id}/" in words


@pytest.fixture(scope="module")
def olga(acme: World) -> Membership:
    return operator(acme, "olga2")


class TestReconciling:
    @pytest.mark.parametrize("outcome", reconciling.OUTCOMES)
    def test_is_one_fact_in_the_thread_with_digests_of_its_words(self, acme, olga, outcome):
        evaluation_id = silent_approved(acme, fresh())
        made = settled(evaluation_id, olga, outcome)
        with pytest.raises(reconciling.NotIndeterminate):
            settled(evaluation_id, olga, *(other for other in reconciling.OUTCOMES if other is not outcome))
        row = Execution.objects.get(pk=evaluation_id)
        assert row.status == outcome
        record = Record.objects.get(log=acme.slug, event_id=made.pk)
        assert (record.event, record.thread) == ("execution.reconciled", row.thread)
        said = (ledger.find(acme.slug, made.pk) or {})["predicate"]
        assert said["actor"]["id"] == olga.user.username
        assert said["execution"]["status"] == outcome
        assert b"bank" not in bytes(record.body)
        assert b"OPS-7" not in bytes(record.body)

    def test_is_the_same_fact_for_who_says_the_same_again_and_for_nobody_else(self, acme, olga):
        evaluation_id = silent_approved(acme, fresh())
        assert settled(evaluation_id, olga).pk == settled(evaluation_id, olga).pk
        thread = Execution.objects.get(pk=evaluation_id).thread
        assert len(ledger.history(acme.slug, thread, limit=None, events={Event.EXECUTION_RECONCILED})) == 1
        with pytest.raises(reconciling.NotIndeterminate):
            settled(evaluation_id, operator(acme, "second"))
        with pytest.raises(reconciling.NotIndeterminate):
            reconciling.reconcile(
                evaluation_id, by=olga, outcome=Custody.FAILED, reason="Another reason.", evidence="ticket OPS-7",
                now=clock.now(),
            )  # fmt: skip

    def test_lets_the_pep_agree_later_and_not_differ(self, acme, olga):
        evaluation_id = silent_approved(acme, fresh())
        settled(evaluation_id, olga, Custody.COMMITTED)
        assert told(acme.pep_key, evaluation_id, "committed").status == 200
        assert told(acme.pep_key, evaluation_id, "failed").status == 409

    def test_gives_no_spend_back_before_a_verifier_agrees(self, acme, olga):
        evaluation_id, before = silent_approved(acme, fresh()), spent(acme)
        settled(evaluation_id, olga)
        assert spent(acme) == before
        post(f"{OUTCOMES}/{evaluation_id}/verification", acme.key("verifier"), {"status": "verified"})
        assert before - spent(acme) == 250_000_000

    @pytest.mark.parametrize("roles", [["auditor"], ["policy_author", "policy_signer"]])
    def test_is_for_operators_and_administrators(self, acme, roles):
        who = operator(acme, f"r{'-'.join(roles)[:9]}", *roles)
        with pytest.raises(reconciling.NotAuthorized):
            settled(silent_approved(acme, fresh()), who)

    def test_is_not_for_the_owner_of_the_agent(self, acme):
        """Dana is an administrator, and support-bot is hers."""
        plain = question(transaction="case-of-dana")
        reply = ask(acme.pep_key, plain)
        for evaluation_id in (
            silent_approved(acme, fresh()), silent(acme, reply.context["evaluation_id"], **named(reply)),
        ):  # fmt: skip
            with pytest.raises(reconciling.Partial):
                settled(evaluation_id, acme.dana)

    def test_is_not_for_whom_the_call_was_made(self, acme):
        who = operator(acme, "paul")
        body = fresh(principal={"type": "user", "id": who.user.email.upper()})
        with pytest.raises(reconciling.Partial):
            settled(silent_approved(acme, body), who)

    def test_is_not_for_whom_a_waived_call_was_made(self):
        """The waiver's request knows nobody but who asked for the waiver."""
        own = easy()
        excepting.granted(own)
        who, other = operator(own, "paul"), operator(own, "rita")
        reply = ask(own.pep_key, fresh(principal={"type": "user", "id": who.user.email.upper()}))
        assert reply.told == (True, "allow", "waiver")
        evaluation_id = silent(own, reply.context["evaluation_id"])
        with pytest.raises(reconciling.Partial):
            settled(evaluation_id, who)
        assert reconciling.is_party(Execution.objects.get(pk=evaluation_id), who)
        settled(evaluation_id, other)

    @pytest.mark.parametrize("begun", [True, False], ids=["begun", "never begun"])
    def test_is_not_for_whom_a_plain_call_was_made_as_its_pep_tells(self, acme, olga, begun):
        who = operator(acme, f"pat{begun:d}")
        principal = {"type": "user", "id": who.user.username}
        reply = ask(acme.pep_key, question(transaction=f"case-of-pat-{begun}", principal=principal))
        evaluation_id, members = reply.context["evaluation_id"], {**named(reply), "principal": principal}
        if begun:
            silent(acme, evaluation_id, **members)
        else:
            assert told(acme.pep_key, evaluation_id, "indeterminate", **members).status == 200
        with pytest.raises(reconciling.Partial):
            settled(evaluation_id, who)
        settled(evaluation_id, olga)

    def test_knows_no_other_tenants_execution(self, acme, olga):
        own = easy()
        with pytest.raises(reconciling.UnknownExecution):
            settled(silent_approved(own, fresh()), olga)

    def test_has_nothing_to_do_while_it_runs(self, acme, olga):
        body = fresh()
        evaluation_id = ask(acme.pep_key, using(approved(acme, body), body)).context["evaluation_id"]
        told(acme.pep_key, evaluation_id, "executing")
        with pytest.raises(reconciling.NotIndeterminate):
            settled(evaluation_id, olga)


def fresh_of(body: dict[str, Any]) -> dict[str, Any]:
    """The same call without its attempt."""
    return {**body, "context": {name: value for name, value in body["context"].items() if name != "attempt"}}


ALLOWING = """\
version: 1
name: acme
mode: enforce
rules:
  - {id: all, match: {agents: ["**"]}, effect: allow}
"""
