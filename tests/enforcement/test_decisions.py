"""One evaluation from the question to the durable answer."""

import asyncio
import json
import tempfile
import threading
import time
from collections import OrderedDict, deque
from datetime import timedelta

import pytest
from django.db import connection, transaction

from countersign.proof import base64text, digests, receipt
from enforcement import budgets, commit, decide, group, memory
from enforcement.authn import Caller
from enforcement.clock import clock
from enforcement.models import Attempt, Counter, Escalation
from enforcement.problems import Kind, Problem
from evidence import clock as database_clock
from evidence import kept, keys, ledger
from evidence.keys import Purpose
from evidence.models import Record
from registry import credentials
from registry.models import Credential
from tests.enforcement import machine
from tests.enforcement.machine import EVALUATION, ask, big, question, send, together
from tests.worlds import POLICY, SETUP, World, world

OBSERVING = POLICY.replace("mode: enforce", "mode: observe").split("tests:")[0]
DENYING = "version: 1\nname: acme\nrules:\n  - {id: stop, effect: deny, reason: Stopped.}\n"


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(caps={})


def record_of(own: World, reply: machine.Reply) -> dict:
    found = ledger.find(own.slug, reply.context["evaluation_id"])
    assert found is not None
    return found


class TestAnswer:
    def test_is_recorded_before_it_leaves(self, acme):
        reply = ask(acme.pep_key, session="s-1", transaction="case-1")
        row = Record.objects.get(event_id=reply.context["evaluation_id"])
        assert (row.log, row.event, row.thread, row.n) == (acme.slug, "decision.made", row.event_id, 0)
        assert (row.session, row.transaction) == ("s-1", "case-1")
        assert reply.context["receipt"]["leaf"] == "sha256:" + bytes(row.leaf).hex()

    def test_carries_a_receipt_that_holds(self, acme):
        for body in (question(), big(), question(resource={"type": "tool", "id": "nope"})):
            whole = ask(acme.pep_key, body).json
            receipt.verify(
                whole["context"]["receipt"],
                answer=receipt.without_receipt(whole),
                verifiers=keys.verifiers(Purpose.PDP),
            )

    def test_names_no_argument_in_the_record(self, acme):
        reply = ask(
            acme.pep_key,
            arguments={"order": "A-secret-order", "amount": "11.11"},
            principal={"type": "user", "id": "ann@acme.test"},
        )
        statement = json.dumps(record_of(acme, reply))
        assert not any(
            word in statement for word in ("A-secret-order", "11.11", "ann@acme.test", reply.context["action_digest"])
        )

    def test_commits_to_the_action_with_the_salt_it_gives(self, acme):
        reply = ask(acme.pep_key)
        salt = base64text.decode(reply.context["commitment_salt"])
        wanted = digests.commitment(salt, reply.context["action_digest"])
        assert "sha256:" + record_of(acme, reply)["subject"][0]["digest"]["sha256"] == wanted

    def test_gives_two_equal_questions_different_commitments(self, acme):
        one, other = ask(acme.pep_key), ask(acme.pep_key)
        assert one.context["action_digest"] == other.context["action_digest"]
        assert record_of(acme, one)["subject"] != record_of(acme, other)["subject"]

    def test_binds_environment_transaction_intent_and_principal(self, acme):
        changes = (
            {}, {"environment": {"cwd": "/srv"}}, {"environment": {"cwd": "/tmp"}}, {"transaction": "case-1"},
            {"principal": {"type": "user", "id": "dana"}}, {"subject": {"type": "agent", "id": "support-bot", "properties": {"v": 1}}},
            {"resource": {"type": "tool", "id": "payments.refund", "properties": {"descriptor_digest": "sha256:" + "0" * 64}}},
        )  # fmt: skip
        found = {ask(acme.pep_key, question(**change)).context["action_digest"] for change in changes}
        assert len(found) == len(changes)

    def test_does_not_bind_session_usage_or_attempt(self, acme):
        plain = ask(acme.pep_key).context["action_digest"]
        assert ask(acme.pep_key, session="s", usage={"tokens": 5}, attempt="t-1").context["action_digest"] == plain

    def test_keeps_arguments_only_if_the_tenant_asks(self):
        own = world(caps={})
        commitment = "sha256:" + record_of(own, ask(own.pep_key))["subject"][0]["digest"]["sha256"]
        assert kept.read(own.slug, commitment) is None
        own.tenant.keep_arguments = True
        own.tenant.epoch += 1
        own.tenant.save()
        commitment = "sha256:" + record_of(own, ask(own.pep_key))["subject"][0]["digest"]["sha256"]
        found = kept.read(own.slug, commitment)
        assert found is not None
        assert found.arguments == {"order": "A-1", "amount": "10.00"}


class TestBrief:
    def test_abuse_145_tells_an_agent_no_rule_no_score_and_no_limit(self):
        own = world(caps={"spend": {"argument": "amount", "per_call": "77.00", "currency": "EUR"}})
        for body in (question(), big(), question(arguments={"order": "A", "amount": "78.00"})):
            told = json.dumps(ask(own.agent_key, body).json)
            assert not any(word in told for word in ("refunds-over-100", "small-refunds", '"risk"', "77.00"))

    def test_tells_a_pep_all_of_it(self, acme):
        context = ask(acme.pep_key).context
        assert context["reasons"] == [
            {"code": "rule", "rule": "small-refunds", "message": "Refunds below 100 need nobody."}
        ]
        assert context["risk"]["score"] > 0


class TestObserve:
    @pytest.fixture(scope="class")
    @staticmethod
    def watched(database: None) -> World:
        return world(policy=OBSERVING, caps={"rate": ["2/day"]})

    def test_does_not_relax_the_registry(self, watched):
        assert ask(watched.pep_key, resource={"type": "tool", "id": "nope"}).told == (False, "deny", "unknown_tool")

    def test_lets_run_what_it_would_escalate_and_opens_nothing(self, watched):
        reply = ask(watched.pep_key, big(open_request=True))
        assert reply.told == (True, "escalate", "approval_required")
        assert reply.context["mode"] == "observe"
        assert "access_request" not in reply.context
        assert not Escalation.objects.filter(tenant=watched.tenant).exists()

    def test_counts_caps_and_only_says_that_they_are_used_up(self):
        own = world(policy=OBSERVING, caps={"rate": ["2/day"]})
        told = [ask(own.pep_key).told for _ in range(3)]
        assert told == [(True, "allow", "rule"), (True, "allow", "rule"), (True, "deny", "rate_cap")]
        assert Counter.objects.get(tenant=own.tenant).used == 3


class TestAttempt:
    def test_abuse_148_repeats_a_lost_answer_byte_for_byte_at_one_charge(self):
        own = world(caps={"rate": ["5/day"]})
        first, again = (ask(own.pep_key, attempt="a-1") for _ in range(2))
        assert first.body == again.body
        assert Counter.objects.get(tenant=own.tenant).used == 1
        assert Record.objects.filter(log=own.slug, event="decision.made").count() == 1

    def test_abuse_148_repeats_it_to_sixteen_at_once(self):
        own = world(caps={"rate": ["50/day"]})
        body = question(attempt="a-1")
        replies = together([send("POST", EVALUATION, own.pep_key, body) for _ in range(16)])
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        assert Counter.objects.get(tenant=own.tenant).used == 1

    @pytest.mark.parametrize("body", [question, big], ids=["allowed", "escalated"])
    def test_refuses_the_attempt_for_another_usage(self, acme, body):
        """Caps count it: the first answer says nothing about the second question."""
        name = f"u-{body.__name__}"
        first = ask(acme.pep_key, body(attempt=name, usage={"tokens": 5}))
        assert first.status == 200
        assert ask(acme.pep_key, body(attempt=name, usage={"tokens": 5})).body == first.body
        for usage in ({"tokens": 6}, {}, {"tokens": 5, "calls": 1}):
            assert ask(acme.pep_key, body(attempt=name, usage=usage)).status == 409

    def test_refuses_another_usage_within_one_group(self, acme):
        calls = [question(attempt="u-together", usage={"tokens": n}) for n in range(1, 9)]
        replies = together([send("POST", EVALUATION, acme.pep_key, body) for body in calls])
        assert sorted(reply.status for reply in replies) == [200] + [409] * 7

    def test_refuses_the_attempt_for_another_call(self, acme):
        assert ask(acme.pep_key, attempt="b-1").status == 200
        reply = ask(acme.pep_key, attempt="b-1", arguments={"order": "A-2", "amount": "10.00"})
        assert (reply.status, reply.json["type"]) == (409, "urn:countersign:problem:attempt_reused")

    def test_refuses_another_call_in_the_same_batch(self, acme):
        calls = [question(attempt="c-1", arguments={"order": f"A-{n}", "amount": "10.00"}) for n in range(8)]
        replies = together([send("POST", EVALUATION, acme.pep_key, body) for body in calls])
        assert sorted(reply.status for reply in replies) == [200] + [409] * 7

    def test_repeats_an_escalation_and_opens_one_request(self, acme):
        body = big("251.00", attempt="d-1", open_request=True)
        replies = together([send("POST", EVALUATION, acme.pep_key, body) for _ in range(4)])
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1

    def test_belongs_to_one_credential(self, acme):
        other = acme.key("pep")
        assert ask(acme.pep_key, attempt="e-1").body != ask(other, attempt="e-1").body
        assert Attempt.objects.filter(attempt="e-1").count() == 2


class TestChange:
    """What changed while this process remembered something older."""

    def test_counts_from_the_next_request(self):
        own = world(caps={})
        assert ask(own.pep_key).told[0] is True
        own.with_policy(DENYING)
        before = memory.known(own.pep_key.split("_")[2])
        assert before is not None
        assert before[1].epoch < own.tenant.epoch, "nothing told this process yet: the commit has to find out"
        reply = ask(own.pep_key)
        assert reply.told == (False, "deny", "rule")
        assert reply.context["policy"]["revision"] == 2

    def test_ends_a_revoked_key_at_once(self):
        own = world(caps={})
        assert ask(own.pep_key).status == 200
        credentials.revoke(own.credential(own.pep_key), actor=SETUP, now=database_clock.now())
        assert memory.known(own.pep_key.split("_")[2]) is not None
        assert ask(own.pep_key).status == 401

    def test_ends_a_secret_that_was_replaced(self):
        """What a token proved once counts for that very key: another secret under its id is another key."""
        own = world(caps={})
        assert ask(own.pep_key).status == 200
        Credential.objects.filter(pk=own.credential(own.pep_key).pk).update(secret_hash=b"x" * 32)
        own.tenant.epoch += 1
        own.tenant.save()
        assert ask(own.pep_key).status == 401

    def test_ends_a_revoked_key_for_escalations_too(self):
        own = world(caps={})
        assert ask(own.pep_key).status == 200
        credentials.revoke(own.credential(own.pep_key), actor=SETUP, now=database_clock.now())
        assert ask(own.pep_key, big()).status == 401

    def test_serves_a_new_key_at_once(self):
        own = world(caps={})
        assert ask(own.pep_key).status == 200
        assert ask(own.key("pep")).status == 200


class TestClock:
    @pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(hours=-1)])
    def test_abuse_137_believes_the_database_about_expiry(self, acme, wrong):
        now = database_clock.now()
        lives = acme.key("pep", expires_at=now + timedelta(minutes=30))
        dead = acme.key("pep", expires_at=now - timedelta(minutes=30))
        clock.told(now + wrong)
        assert ask(lives).status == 200
        clock.told(now + wrong)
        assert ask(dead).status == 401
        clock.told(database_clock.now())

    @pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(hours=-1)])
    def test_abuse_137_judges_by_the_time_of_the_database(self, wrong):
        now = database_clock.now()
        rule = f"now > timestamp('{(now - timedelta(minutes=30)).isoformat()}') && now < timestamp('{(now + timedelta(minutes=30)).isoformat()}')"
        own = world(
            caps={}, policy=f'version: 1\nname: acme\nrules:\n  - id: soon\n    effect: allow\n    when: "{rule}"\n'
        )
        assert ask(own.pep_key).told[0] is True
        clock.told(database_clock.now() + wrong)
        assert ask(own.pep_key).told[0] is True
        clock.told(database_clock.now())


@pytest.mark.postgres
class TestQueries:
    """The price of the hot path, pinned, as libpq sees it on the wire."""

    def _sent(self, own: World, *bodies: dict) -> list[str]:
        """The kinds of messages one group sends."""
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no wire")
        assert isinstance(group.commit([judged_ticket(own, bodies[0])])[0], bytes), "the counters' window is there"
        prepared = [judged_ticket(own, body) for body in bodies]
        with tempfile.TemporaryFile() as trace:
            connection.connection.pgconn.trace(trace.fileno())
            try:
                outcomes = group.commit(prepared)
            finally:
                connection.connection.pgconn.untrace()
            trace.seek(0)
            lines = trace.read().decode(errors="replace").splitlines()
        assert all(isinstance(outcome, bytes) for outcome in outcomes)
        return [line.split("\t")[3] for line in lines if line.split("\t")[1:2] == ["F"]]

    def _price(self, sent: list[str]) -> tuple[int, int]:
        return sent.count("Bind"), sent.count("Sync")

    def test_is_two_round_trips_for_any_number_of_calls(self, acme):
        """BEGIN and look; records and COMMIT."""
        assert self._price(self._sent(acme, *[question() for _ in range(20)])) == (4, 2)

    def test_is_two_more_statements_with_caps_whatever_their_number(self):
        own = world(
            caps={
                "rate": ["30/minute", "500/day"],
                "spend": {"argument": "amount", "per_day": "5000.00", "currency": "EUR"},
            }
        )
        assert self._price(self._sent(own, *[question() for _ in range(10)])) == (6, 2)

    def test_is_two_more_statements_with_attempts(self, acme):
        bodies = [question(attempt=f"p-{n}") for n in range(10)]
        assert self._price(self._sent(acme, *bodies)) == (6, 2)


def judged_ticket(own: World, body: dict) -> group.Ticket:
    found = memory.learn(own.pep_key.split("_")[2])
    assert found is not None
    loop = asyncio.new_event_loop()
    judged = decide.plain(decide.judge(Caller(*found), json.dumps(body).encode()))
    ticket = group.Ticket(judged, loop, loop.create_future(), time.monotonic() + 60)
    loop.close()
    return ticket


class TestGroup:
    def test_does_not_lose_the_neighbours_of_a_bad_call(self, acme):
        """A record that is there already stands for any row that one transaction chokes on."""
        good, bad, other = (judged_ticket(acme, question()) for _ in range(3))
        bad.judged.evaluation_id = ask(acme.pep_key).context["evaluation_id"]
        outcomes = group.commit([good, bad, other])
        assert [isinstance(outcome, bytes) for outcome in outcomes] == [True, False, True]

    def test_records_nothing_for_those_who_gave_up(self, acme):
        gone = judged_ticket(acme, question())
        gone.deadline = 0.0
        (outcome,) = group.commit([gone])
        assert isinstance(outcome, Exception)
        assert not Record.objects.filter(event_id=gone.judged.evaluation_id).exists()

    def test_waits_for_no_counter_for_ever(self, acme):
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has one writer and no row locks")
        own = world(caps={"rate": ["50/day"]})
        assert ask(own.pep_key).told[0] is True
        free, bound = (
            judged_ticket(
                own, question(resource={"type": "tool", "id": "crm.lookup"}, action={"name": "get"}, intent="lookup")
            ),
            judged_ticket(own, question()),
        )
        bound.deadline += 60
        holding, enough = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                Counter.objects.select_for_update().get(tenant=own.tenant)
                holding.set()
                enough.wait(20)
            connection.close()

        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait(10)
        outcomes = group.commit([free, bound])
        enough.set()
        holder.join()
        assert [isinstance(outcome, bytes) for outcome in outcomes] == [True, False]

    def test_sends_away_whom_it_has_no_room_for(self):
        waiting = commit.Waiting(capacity=3, share=2)
        for tenant_id in (1, 1, 2):
            waiting.enter(tenant_id)
        with pytest.raises(Problem) as full:
            waiting.enter(3)
        assert (full.value.kind, dict(full.value.headers)) == (Kind.UNAVAILABLE, {"retry-after": "1"})
        noisy = commit.Waiting(capacity=9, share=2)
        noisy.enter(1)
        noisy.enter(1)
        with pytest.raises(Problem) as mine:
            noisy.enter(1)
        assert (mine.value.kind, dict(mine.value.headers)) == (Kind.TOO_MANY, {"retry-after": "1"})
        noisy.enter(2)

    def test_gives_tenants_their_turn(self):
        class Line:
            def __init__(self, name):
                self.name = name

        noisy, quiet = (deque((Line(name),) for _ in range(n)) for name, n in (("noisy", 1000), ("quiet", 3)))
        taken = commit.fair_share(OrderedDict({1: noisy, 2: quiet}))
        assert [one.name for one in taken[:6]] == ["noisy", "quiet"] * 3
        assert len(taken) == commit.MOST_AT_ONCE


class TestBudgets:
    def test_shares_out_all_or_nothing(self):
        def demand(key, limit, amount):
            return budgets.Demand((1, key), budgets.Reason.RATE_CAP, 60, limit, amount, "")

        first = budgets.Claim([demand("a", 10, 6), demand("b", 10, 1)])
        second = budgets.Claim([demand("a", 10, 5), demand("b", 10, 1)])
        third = budgets.Claim([demand("a", 10, 4), demand("b", 10, 1)])
        used = {(1, "a"): 0, (1, "b"): 0}
        failed = budgets.share_out([first, second, third], used)
        assert [one and one.key for one in failed] == [None, "a", None]
        assert used == {(1, "a"): 10, (1, "b"): 2}

    def test_cuts_windows_by_the_clock(self):
        assert budgets.window(60, 125) == 120
        assert budgets.window(86_400, 86_400 * 3 + 5) == 86_400 * 3


class TestRepeatOfAnOldAllow:
    @pytest.mark.parametrize("effect", ["deny", "escalate"])
    def test_abuse_148_is_refused_once_the_policy_allows_no_more(self, effect):
        own = world(caps={})
        assert ask(own.pep_key, attempt="a-1").context["outcome"] == "allow"
        own.with_policy(
            "version: 1\nname: acme\nmode: enforce\nrules:\n"
            f"  - {{id: stop, effect: {effect}, match: {{agents: ['**']}}}}\n"
        )
        assert ask(own.pep_key, attempt="a-1").status == 409
