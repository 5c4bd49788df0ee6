"""Many questions in one request: each is a decision of its own, and what is not asked is not decided."""

from collections import OrderedDict, deque
from typing import Any

import pytest
from django.db import connection

from approvals.models import AccessRequest, Approval
from countersign.proof import receipt
from enforcement import commit, group, many
from enforcement.models import Attempt, Counter
from enforcement.problems import Problem
from evidence import keys
from evidence.keys import Purpose
from evidence.models import Record
from tests.approvals.waivers import excepting
from tests.enforcement.machine import REQUESTS, Reply, ask, big, post, question, run, send, together
from tests.enforcement.test_decisions import DENYING, judged_ticket
from tests.enforcement.test_requests import approved, using
from tests.worlds import World, world

EVALUATIONS = "/access/v1/evaluations"
LOOKUP = {"resource": {"type": "tool", "id": "crm.lookup"}, "action": {"name": "get"}, "context": {"intent": "lookup"}}
UNKNOWN = {"resource": {"type": "tool", "id": "shell"}}
BROKEN = {"resource": {"type": "tool"}}
SEMANTICS = ("execute_all", "deny_on_first_deny", "permit_on_first_permit")


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return excepting.easy()


def asked(own: World, *items: Any, semantic: str | None = None, **changes: Any) -> Reply:
    """One request whose defaults are a small refund; `changes` are members of it."""
    options = {} if semantic is None else {"options": {"evaluations_semantic": semantic}}
    return post(EVALUATIONS, own.pep_key, {**question(), **options, "evaluations": list(items), **changes})


def decisions(reply: Reply) -> list[bool]:
    assert reply.status == 200, reply.json
    return [one["decision"] for one in reply.json["evaluations"]]


def reasons(reply: Reply) -> list[str | int]:
    """The reason of each, or the status of its error."""
    assert reply.status == 200, reply.json
    contexts = [one["context"] for one in reply.json["evaluations"]]
    return [one["error"]["status"] if "error" in one else one["reason"] for one in contexts]


def refund(order: str, amount: str = "10.00", **context: Any) -> dict[str, Any]:
    return {"context": question(arguments={"order": order, "amount": amount}, **context)["context"]}


def recorded(own: World) -> int:
    return Record.objects.filter(log=own.slug, event="decision.made").count()


class TestItems:
    def test_are_decided_and_recorded_each(self, acme):
        before = recorded(acme)
        reply = asked(acme, {}, UNKNOWN, LOOKUP)
        assert decisions(reply) == [True, False, True]
        assert reasons(reply) == ["rule", "unknown_tool", "rule"]
        told = [one["context"]["evaluation_id"] for one in reply.json["evaluations"]]
        assert Record.objects.filter(log=acme.slug, event_id__in=told).count() == len(set(told)) == 3
        assert recorded(acme) == before + 3

    def test_carry_each_a_receipt_that_holds(self, acme):
        reply = asked(acme, *[refund(f"R-{n}") for n in range(5)], UNKNOWN, refund("R-6", "250.00"))
        for one in reply.json["evaluations"]:
            receipt.verify(
                one["context"]["receipt"],
                answer=receipt.without_receipt(one),
                verifiers=keys.verifiers(Purpose.PDP),
            )

    def test_take_a_member_they_leave_out_whole_and_replace_it_whole(self, acme):
        of_its_own = {"context": {"intent": "customer-refund"}}  # no arguments, though the default has them
        assert reasons(asked(acme, {}, of_its_own)) == ["rule", "arguments_schema"]
        without = asked(acme, {"resource": {"id": "crm.lookup"}}, {"subject": None})
        assert reasons(without) == [400, 400], "no member is merged into a default, and null is no default"

    def test_need_no_defaults(self, acme):
        reply = post(EVALUATIONS, acme.pep_key, {"evaluations": [question(), {**question(), **UNKNOWN}]})
        assert decisions(reply) == [True, False]
        assert "decision" not in reply.json

    def test_are_the_question_that_people_are_asked_upon(self, acme):
        one = asked(acme, {}, refund("Q-1", "250.00"))
        denied = one.json["evaluations"][1]["context"]
        denial = {"evaluation_id": denied["evaluation_id"], "expires_at": denied["access_request"]["expires_at"]}
        entities = {name: value for name, value in question().items() if name != "context"}
        submitted = post(REQUESTS, acme.pep_key, {**entities, "context": {}, "denial": denial})
        assert submitted.status == 202
        request = AccessRequest.objects.get(pk=submitted.json["task"]["id"])
        assert request.action_digest == denied["action_digest"]

    def test_may_be_anything_that_a_single_question_may(self, acme):
        odd = refund("\u00e9-\U0001f600 \\ 1.5")
        reply = asked(acme, odd, {"context": {**odd["context"], "x": 1.5}})
        single = ask(acme.pep_key, {**question(), **odd})
        digest = single.context["action_digest"]
        assert [one["context"]["action_digest"] for one in reply.json["evaluations"]] == [digest] * 2

    def test_ignore_members_that_nobody_knows(self, acme):
        told = {"foo": "bar", "options": {"another": 1, "evaluations_semantic": "execute_all"}}
        assert decisions(asked(acme, {"later": {}}, {"options": 7}, **told)) == [True, True]

    @pytest.mark.parametrize("more", [{}, {"evaluations": []}], ids=["absent", "empty"])
    def test_are_one_evaluation_where_there_are_none(self, acme, more):
        options = {"options": {"evaluations_semantic": "whatever"}}
        reply = post(EVALUATIONS, acme.pep_key, {**question(), **options, **more})
        assert reply.told == (True, "allow", "rule")
        assert "evaluations" not in reply.json
        lacking = post(EVALUATIONS, acme.pep_key, {"subject": {"type": "agent", "id": "support-bot"}, **more})
        assert (lacking.status, lacking.json["detail"]) == (400, "`resource` is missing.")

    def test_that_fail_are_told_in_their_place_and_not_recorded(self, acme):
        before = recorded(acme)
        far = {"context": {"arguments": {"order": "A", "amount": "1.00"}, "attempt": "x" * 201}}
        reply = asked(acme, {}, BROKEN, 7, far, {"action": {"name": 1}}, {})
        assert reasons(reply) == ["rule", 400, 400, 422, 400, "rule"]
        error = reply.json["evaluations"][1]["context"]["error"]
        assert (error["message"], error["type"]) == ("`resource.id` is missing.", "urn:countersign:problem:malformed")
        assert recorded(acme) == before + 2

    def test_are_refused_where_the_key_does_not_speak_for_their_subject(self, acme):
        body = {**question(), "evaluations": [{}, {"subject": {"type": "agent", "id": "other"}}]}
        reply = post(EVALUATIONS, acme.agent_key, body)
        assert reasons(reply) == ["rule", 403]
        assert "risk" not in reply.json["evaluations"][0]["context"], "an agent's key gets brief answers"


class TestRequest:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"evaluations": {}}, 400),
            ({"evaluations": None}, 400),
            ({"evaluations": [{}], "subject": "support-bot"}, 400),
            ({"evaluations": [{}], "context": []}, 400),
            ({"evaluations": [{}], "options": []}, 400),
            ({"evaluations": [{}], "options": {"evaluations_semantic": "any"}}, 400),
            ({"evaluations": [{}], "options": {"evaluations_semantic": None}}, 400),
            ({"evaluations": [{}] * (many.MOST + 1)}, 413),
            ({"evaluations": [{}] * many.MOST, "context": {"x": "y" * 20_000}}, 413),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_is_refused_as_a_whole(self, acme, changes, status):
        before = recorded(acme)
        reply = post(EVALUATIONS, acme.pep_key, {**question(), **changes})
        assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
        assert recorded(acme) == before

    @pytest.mark.parametrize(
        ("body", "status"),
        [(b"", 400), (b"{", 400), (b"[]", 422), (b'{"evaluations":[],"evaluations":[{}]}', 400)],
        ids=["empty", "cut_off", "no_object", "duplicate_key"],
    )
    def test_is_read_as_strictly_as_a_single_one(self, acme, body, status):
        assert post(EVALUATIONS, acme.pep_key, body).status == status

    def test_has_a_caller_a_method_a_media_type_and_an_id(self, acme):
        body = {**question(), "evaluations": [{}]}
        verifier = acme.key("verifier")
        assert [post(EVALUATIONS, key, body).status for key in (None, "csk_pep_x_y", verifier)] == [401, 401, 403]
        assert run(send("GET", EVALUATIONS, acme.pep_key)).status == 405
        assert post(EVALUATIONS, acme.pep_key, body, content_type="text/plain").status == 400
        assert post(EVALUATIONS, acme.pep_key, body, x_request_id="mine").headers["x-request-id"] == "mine"

    def test_may_have_as_many_items_as_it_says(self, acme):
        assert decisions(asked(acme, *[{}] * many.MOST)) == [True] * many.MOST

    def test_counts_a_policy_from_the_next_request(self):
        own = world(caps={})
        assert decisions(asked(own, {}, LOOKUP)) == [True, True]
        own.with_policy(DENYING)
        before = recorded(own)
        for semantic in SEMANTICS:
            assert not any(decisions(asked(own, {}, LOOKUP, semantic=semantic)))
        assert recorded(own) == before + 2 + 1 + 2


class TestSemantics:
    def test_asks_all_unless_told_otherwise(self, acme):
        for semantic in (None, "execute_all"):
            assert decisions(asked(acme, UNKNOWN, {}, UNKNOWN, {}, semantic=semantic)) == [False, True, False, True]

    @pytest.mark.parametrize(
        ("semantic", "items", "told"),
        [
            ("deny_on_first_deny", [{}, UNKNOWN, {}], [True, False]),
            ("deny_on_first_deny", [{}, LOOKUP], [True, True]),
            ("deny_on_first_deny", [{}, BROKEN, {}], [True, False]),
            ("deny_on_first_deny", [{}, refund("S-1", "250.00"), {}], [True, False]),
            ("permit_on_first_permit", [UNKNOWN, {}, LOOKUP], [False, True]),
            ("permit_on_first_permit", [UNKNOWN, BROKEN, UNKNOWN], [False, False, False]),
            ("permit_on_first_permit", [refund("S-1", "250.00"), BROKEN, {}, {}], [False, False, True]),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_records_nothing_after_the_decision_it_ends_at(self, acme, semantic, items, told):
        before = recorded(acme)
        assert decisions(asked(acme, *items, semantic=semantic)) == told
        assert recorded(acme) == before + len(told) - items[: len(told)].count(BROKEN)

    def test_charges_nothing_after_the_cap_that_ends_it(self):
        """Only the transaction knows that a cap is used up: the calls behind are in it, and yet not decided."""
        own = world(caps={"rate": ["2/day"]})
        reply = asked(own, *[refund(f"C-{n}") for n in range(3)], LOOKUP, LOOKUP, semantic="deny_on_first_deny")
        assert reasons(reply) == ["rule", "rule", "rate_cap"]
        assert (Counter.objects.get(tenant=own.tenant).used, recorded(own)) == (2, 3)
        either = asked(own, {}, {}, LOOKUP, LOOKUP, semantic="permit_on_first_permit")
        assert reasons(either) == ["rate_cap", "rate_cap", "rule"]
        assert (Counter.objects.get(tenant=own.tenant).used, recorded(own)) == (2, 6)

    def test_takes_from_a_cap_what_is_asked_and_no_more(self):
        own = world(caps={"rate": ["5/day"]})
        assert decisions(asked(own, {}, {}, semantic="permit_on_first_permit")) == [True]
        assert Counter.objects.get(tenant=own.tenant).used == 1
        assert decisions(asked(own, *[refund(f"C-{n}") for n in range(7)])) == [True] * 4 + [False] * 3

    def test_opens_no_request_behind_its_end(self, acme):
        opens = refund("O-1", "250.00", open_request=True)
        later = refund("O-2", "250.00", open_request=True)
        before = AccessRequest.objects.filter(tenant=acme.tenant).count()
        assert decisions(asked(acme, opens, later, semantic="deny_on_first_deny")) == [False]
        assert decisions(asked(acme, {}, later, semantic="permit_on_first_permit")) == [True]
        assert AccessRequest.objects.filter(tenant=acme.tenant).count() == before + 1

    def test_shares_a_cap_exactly_with_sixteen_others(self):
        own = world(caps={"rate": ["7/day"]})
        bodies = [
            {**question(), "evaluations": [{}, {}, {}], "options": {"evaluations_semantic": SEMANTICS[n % 2]}}
            for n in range(16)
        ]
        replies = together([send("POST", EVALUATIONS, own.pep_key, body) for body in bodies])
        assert sum(sum(decisions(reply)) for reply in replies) == 7
        assert Counter.objects.get(tenant=own.tenant).used == 7


class TestAttempts:
    """ABUSE 148: a lost answer, asked for again, is the same answer; nothing is charged twice."""

    @pytest.mark.parametrize("semantic", SEMANTICS)
    def test_abuse_148_are_answered_again_byte_for_byte(self, semantic):
        own = world(caps={"rate": ["2/day"]}, quorum=1, step_up="none")
        items = [refund(f"A-{n}", attempt=f"a-{n}") for n in range(3)]
        items.append(refund("A-9", "250.00", attempt="a-9", open_request=True))
        first, second = (asked(own, *items, semantic=semantic) for _ in range(2))
        assert second.body == first.body
        told = len(decisions(first))
        assert (told, recorded(own), Attempt.objects.filter(credential__tenant=own.tenant).count()) == (
            {"execute_all": 4, "deny_on_first_deny": 3, "permit_on_first_permit": 1}[semantic], told, told,
        )  # fmt: skip

    def test_of_one_request_name_one_call_each(self, acme):
        twice = refund("B-1", attempt="b-1")
        reply = asked(acme, twice, twice, refund("B-2", attempt="b-1"))
        assert reasons(reply) == ["rule", "rule", 409]
        first, second, _ = reply.json["evaluations"]
        assert first == second
        for semantic, told in (("deny_on_first_deny", [True, True, False]), ("permit_on_first_permit", [True])):
            again = asked(acme, twice, twice, refund("B-2", attempt="b-1"), {}, semantic=semantic)
            assert decisions(again) == told

    def test_new_in_one_request_end_it_as_any_other_call(self, acme):
        twice, other = refund("D-1", attempt="d-1"), refund("D-2", attempt="d-1")
        before = recorded(acme)
        reply = asked(acme, twice, twice, other, {}, semantic="deny_on_first_deny")
        assert reasons(reply) == ["rule", "rule", 409]
        denied = {**UNKNOWN, **refund("D-3", attempt="d-3")}
        assert decisions(asked(acme, denied, denied, {}, {}, semantic="permit_on_first_permit")) == [False, False, True]
        assert recorded(acme) == before + 1 + 2


class TestPeople:
    """What needs a transaction of its own is as safe in an item as alone."""

    def test_are_asked_once_about_one_action(self, acme):
        opens = refund("P-1", "250.00", open_request=True)
        reply = asked(acme, opens, {}, opens, refund("P-1", "250.00"))
        assert reasons(reply) == ["approval_required", "rule", "approval_required", "approval_required"]
        tasks = [
            one["context"]["access_request"]["task"]["id"] for one in reply.json["evaluations"] if not one["decision"]
        ]
        assert len(tasks) == 3
        assert len(set(tasks)) == 1

    @pytest.mark.parametrize("semantic", SEMANTICS)
    def test_abuse_027_have_their_approval_used_once(self, acme, semantic):
        body = big("251.00", transaction=f"use-{semantic}")
        approval = approved(acme, body)
        item = {"context": using(approval, body)["context"]}
        reply = asked(acme, item, item, item, semantic=semantic)
        once = ["rule", "approval_used", "approval_used"]
        assert reasons(reply) == once[: {"execute_all": 3, "deny_on_first_deny": 2}.get(semantic, 1)]
        assert Approval.objects.get(pk=approval.pk).uses == 1

    def test_abuse_023_approved_another_call(self, acme):
        body = big("252.00", transaction="other")
        approval = approved(acme, body)
        other = {"context": {**using(approval, body)["context"], "transaction": "elsewhere"}}
        assert reasons(asked(acme, other)) == ["out_of_scope"]
        assert Approval.objects.get(pk=approval.pk).uses == 0

    def test_grant_no_more_uses_of_a_waiver_than_it_has(self):
        own = excepting.easy()
        waiver = excepting.granted(own, max_uses=2)
        reply = asked(own, *[refund(f"W-{n}", "250.00") for n in range(4)], {})
        assert reasons(reply) == ["waiver", "waiver", "approval_required", "approval_required", "rule"]
        waiver.refresh_from_db()
        assert waiver.uses == 2


class TestOneCommit:
    """The price of a request, and what one bad row in it costs."""

    @pytest.mark.postgres
    def test_is_one_transaction_for_all_that_can_share_it(self, acme, monkeypatch):
        """The group's transactions are counted where every writer begins one."""
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no wire")
        sizes = []
        together_ = group._together

        def counted(tickets, transaction):
            sizes.append(len(tickets))
            return together_(tickets, transaction)

        monkeypatch.setattr(group, "_together", counted)
        assert decisions(asked(acme, *[refund(f"G-{n}") for n in range(98)], UNKNOWN, BROKEN))[-2:] == [False, False]
        assert sizes == [99]
        assert decisions(asked(acme, {}, UNKNOWN, *[{}] * 50, semantic="deny_on_first_deny")) == [True, False]
        assert sizes == [99, 52]

    def test_is_tried_apart_where_one_of_them_cannot_be_recorded(self, acme):
        good, bad, other = (judged_ticket(acme, question()) for _ in range(3))
        bad.judged.evaluation_id = ask(acme.pep_key).context["evaluation_id"]
        assert [isinstance(one, bytes) for one in group.commit([good, bad, other])] == [True, False, True]

    def test_records_nothing_of_a_party_of_which_one_cannot_be_recorded(self, acme):
        """Who comes later is asked only because of those before, so they stand or fall together."""
        party = group.Party(ends_at=False)
        tickets = [judged_ticket(acme, question()) for _ in range(4)]
        for ticket in tickets[:3]:
            ticket.party = party
        tickets[1].judged.evaluation_id = ask(acme.pep_key).context["evaluation_id"]
        outcomes = group.commit(tickets)
        assert [isinstance(one, bytes) for one in outcomes] == [False, False, False, True]
        unrecorded = [tickets[n].judged.evaluation_id for n in (0, 2)]
        assert not Record.objects.filter(event_id__in=unrecorded).exists()

    def test_has_room_for_all_its_items_or_none(self):
        waiting = commit.Waiting(capacity=5, share=4)
        waiting.enter(1, 3)
        with pytest.raises(Problem):
            waiting.enter(1, 2)
        with pytest.raises(Problem):
            waiting.enter(2, 3)
        waiting.enter(2, 2)
        assert (waiting.total, waiting.of) == (5, {1: 3, 2: 2})

    def test_is_not_divided_and_lets_others_have_their_turn(self):
        noisy: commit.Lines = OrderedDict()
        noisy[1] = deque([tuple("n" * 100)] * 9)  # type: ignore[list-item]  # what waits is of no matter
        noisy[2] = deque([("q",)] * 2)  # type: ignore[list-item]
        assert "".join(commit.fair_share(noisy)) == ("n" * 100 + "q") * 2 + "n" * 100  # type: ignore[arg-type]
        assert len(commit.fair_share(noisy)) == 300

    def test_is_told_503_as_a_whole_where_nothing_could_be_recorded(self, acme, monkeypatch):
        class Full:
            loop = None

            def submit_all(self, calls: Any, *, ends_at: bool | None) -> Any:
                raise Problem(many.Kind.UNAVAILABLE, "Too many calls wait to be recorded.", retry_after=1)

        monkeypatch.setattr(commit, "writer", Full)
        reply = asked(acme, {}, {})
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reasons(asked(acme, {}, BROKEN)) == [503, 400]
