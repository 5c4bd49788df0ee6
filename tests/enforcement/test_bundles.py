"""Several denials in one submission: one task, and each item its own request with its own votes and its own approval."""

import threading
import time
from typing import Any

import pytest

from approvals import bundles, stepup
from approvals.models import AccessRequest, Approval, Bundle
from countersign.proof.events import Event
from enforcement import repeats
from enforcement.models import Submission
from evidence import clock, ledger, seal
from evidence.models import Record
from tests.approvals.asking import DENY, enrolled, events, proven, vote
from tests.enforcement.machine import REQUESTS, Reply, ask, get, post, run, send
from tests.enforcement.test_requests import _and_disconnect, easy, error_of, fresh, opened, submission, using
from tests.evidence.test_packs import export, failure
from tests.worlds import World, world


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return easy()


def several(own: World, bodies: list[dict[str, Any]], key: str | None = None, **changes: Any) -> dict[str, Any]:
    """One submission for all these calls, each denied by itself."""
    items = []
    for body in bodies:
        one = submission(body, ask(key or own.pep_key, body))
        items.append({name: one[name] for name in ("resource", "action", "denial")})
    return {"subject": bodies[0]["subject"], "items": items, **changes}


def asked(own: World, *bodies: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The task of that submission."""
    reply = post(REQUESTS, own.pep_key, several(own, list(bodies), **changes))
    assert reply.status == 202, reply.json
    task: dict[str, Any] = reply.json["task"]
    return task


def requests_of(task: dict[str, Any]) -> list[AccessRequest]:
    return bundles.requests_of(Bundle.objects.get(pk=task["id"]))


def look(own: World, task: dict[str, Any], query: str = "") -> dict[str, Any]:
    told: dict[str, Any] = get(f"{REQUESTS}/{task['id']}{query}", own.pep_key).json["task"]
    return told


def statuses(task: dict[str, Any]) -> list[str]:
    return [item["status"] for item in task["items"]]


class TestTooFew:
    def test_who_can_answer_for_an_item_is_told_of_all(self):
        own = easy()
        fine, short = asked(own, fresh(), fresh()), asked(own, fresh(), fresh())
        request = requests_of(short)[1]
        request.requirements[0]["quorum"] = 9
        request.save(update_fields=["requirements"])
        assert look(own, short)["display"]["description"].startswith("Too few people can answer some of the items")
        assert look(own, fine)["display"]["description"].startswith("People have been asked")
        vote(requests_of(short)[1], own.erin, DENY)
        assert look(own, short)["display"]["description"].startswith("People have been asked")


class TestSubmit:
    def test_opens_a_request_for_each_item(self, acme):
        first, second = fresh(), fresh(amount="300.00")
        task = asked(acme, first, second, context={"business_justification": "both for one customer"})
        assert (task["status"], statuses(task)) == ("pending", ["pending", "pending"])
        assert task["progress"] == {"current_step": 1, "total_steps": 2}
        opened_ = requests_of(task)
        assert len({request.action_digest for request in opened_}) == 2
        assert {request.justification for request in opened_} == {"both for one customer"}
        for item, body in zip(task["items"], (first, second), strict=True):
            assert (item["resource"], item["action"]) == (body["resource"], body["action"])
        links = [task["links"][f"urn:countersign:link:item:{place}"] for place in range(2)]
        assert links == [f"http://testserver{REQUESTS}/{request.pk}" for request in opened_]

    def test_joins_what_waits_already_and_tells_what_is_approved(self, acme):
        waiting, done = fresh(), fresh()
        joined = opened(acme, waiting)
        denied = ask(acme.pep_key, done)
        approval = Approval.objects.get(request=vote(opened(acme, done), acme.erin))
        sent = several(acme, [waiting])
        sent["items"].append({name: submission(done, denied)[name] for name in ("resource", "action", "denial")})
        task = post(REQUESTS, acme.pep_key, sent).json["task"]
        assert statuses(task) == ["pending", "approved"]
        assert requests_of(task)[0].pk == joined.pk
        assert task["items"][1]["result"]["approval"]["id"] == approval.pk

    def test_one_item_may_be_bound_by_the_denial_of_the_whole(self, acme):
        sent = several(acme, [fresh()])
        sent["denial"] = sent["items"][0].pop("denial")
        assert post(REQUESTS, acme.pep_key, sent).status == 202

    def test_is_the_same_task_for_the_same_key(self, acme):
        sent, key = several(acme, [fresh(), fresh()]), f"b-{time.monotonic_ns()}"
        replies = [post(REQUESTS, acme.pep_key, sent, idempotency_key=key) for _ in range(2)]
        assert replies[0].json["task"]["id"] == replies[1].json["task"]["id"]
        sent["items"].reverse()
        assert error_of(post(REQUESTS, acme.pep_key, sent, idempotency_key=key)) == (409, "duplicate_request")

    def test_keeps_its_key_until_the_last_item_is_over(self, acme):
        key = f"b-{time.monotonic_ns()}"
        sent = several(acme, [fresh(), fresh()])
        task = post(REQUESTS, acme.pep_key, sent, idempotency_key=key).json["task"]
        first, second = requests_of(task)
        long_ago = clock.now() - 3 * repeats.handle.TOLD_FOR
        Submission.objects.filter(key=key).update(made_at=long_ago)
        vote(first, acme.erin)
        AccessRequest.objects.filter(pk=first.pk).update(closed_at=long_ago)
        repeats.forget(clock.now())
        assert Submission.objects.filter(key=key).exists()
        vote(second, acme.erin)
        AccessRequest.objects.filter(pk=second.pk).update(closed_at=long_ago)
        repeats.forget(clock.now())
        assert not Submission.objects.filter(key=key).exists()
        Approval.objects.filter(request__in=[first, second]).update(expires_at=long_ago)
        assert error_of(get(f"{REQUESTS}/{task['id']}", acme.pep_key)) == (410, "task_expired")


class TestRefusal:
    """One item that cannot be asked for refuses the whole, and nothing of it is opened."""

    def refused(self, own: World, sent: dict[str, Any]) -> Reply:
        before = AccessRequest.objects.filter(tenant=own.tenant).count()
        reply = post(REQUESTS, own.pep_key, sent)
        assert AccessRequest.objects.filter(tenant=own.tenant).count() == before
        assert not Bundle.objects.filter(tenant=own.tenant).exists()
        return reply

    @pytest.fixture
    def own(self, database: None) -> World:
        return easy()

    def test_of_an_item_that_its_denial_does_not_cover(self, own):
        sent = several(own, [fresh(), fresh()])
        sent["items"][1]["resource"] = {"type": "tool", "id": "crm.lookup"}
        reply = self.refused(own, sent)
        assert error_of(reply) == (400, "invalid_denial_binding")
        assert reply.json["detail"].startswith("`items[1]`: ")

    def test_of_two_items_under_one_denial(self, own):
        sent = several(own, [fresh(), fresh(amount="300.00")])
        sent["denial"] = sent["items"][0]["denial"]
        sent["context"] = {"arguments": {"order": "A-1", "amount": "250.00"}}
        del sent["items"][0]["denial"]
        assert error_of(self.refused(own, sent)) == (400, "invalid_denial_binding")

    def test_of_an_item_without_any_denial(self, own):
        sent = several(own, [fresh(), fresh()])
        del sent["items"][1]["denial"]
        assert error_of(self.refused(own, sent)) == (400, "invalid_denial_binding")

    def test_of_one_action_twice(self, own):
        body = fresh()
        assert self.refused(own, several(own, [body, body])).status == 400

    def test_of_an_item_that_names_another_subject(self, own):
        sent = several(own, [fresh()], subject={"type": "agent", "id": "other-bot"})
        sent["items"][0]["subject"] = {"type": "agent", "id": "support-bot"}
        assert error_of(self.refused(own, sent)) == (400, "invalid_denial_binding")

    def test_of_more_than_the_agent_may_wait_for(self, own):
        own.tenant.max_open_requests = 1
        own.tenant.epoch += 1
        own.tenant.save()
        reply = self.refused(own, several(own, [fresh(), fresh()]))
        assert (reply.status, reply.headers["retry-after"]) == (429, "30")

    @pytest.mark.parametrize(
        "changes",
        [{"items": []}, {"items": {}}, {"items": ["x"]}, {"items": None}, {"resource": {"type": "tool", "id": "x"}}],
        ids=str,
    )
    def test_of_what_is_no_list_of_items(self, own, changes):
        assert self.refused(own, several(own, [fresh()], **changes)).status == 400

    def test_of_too_many(self, own):
        sent = several(own, [fresh()])
        assert self.refused(own, {**sent, "items": sent["items"] * 51}).status == 422


class TestStanding:
    def test_is_partial_once_all_ended_differently(self, acme):
        task = asked(acme, fresh(), fresh(), fresh())
        first, second, _ = requests_of(task)
        vote(first, acme.erin)
        vote(second, acme.erin, DENY)
        assert (look(acme, task)["status"], statuses(look(acme, task))) == (
            "pending",
            ["approved", "denied", "pending"],
        )
        assert look(acme, task)["progress"] == {"current_step": 3, "total_steps": 3}
        ended = post(f"{REQUESTS}/{task['id']}/cancel", acme.pep_key, {}).json["task"]
        assert (ended["status"], statuses(ended)) == ("partial", ["approved", "denied", "cancelled"])
        assert [("result" in item) for item in ended["items"]] == [True, False, False]
        assert "cancel" not in ended["links"]
        assert error_of(post(f"{REQUESTS}/{task['id']}/cancel", acme.pep_key, {})) == (409, "invalid_task_state")

    def test_is_cancelled_again_under_the_same_key_with_the_same_success(self, acme):
        task, key = asked(acme, fresh(), fresh()), f"b-{time.monotonic_ns()}"
        path = f"{REQUESTS}/{task['id']}/cancel"
        replies = [post(path, acme.pep_key, {}, idempotency_key=key) for _ in range(2)]
        assert [(reply.status, reply.json["task"]["status"]) for reply in replies] == [(200, "cancelled")] * 2

    def test_is_what_all_are(self, acme):
        task = asked(acme, fresh(), fresh())
        for request in requests_of(task):
            vote(request, acme.erin)
        told = get(f"{REQUESTS}/{task['id']}", acme.pep_key).json
        assert (told["task"]["status"], "result" in told) == ("approved", False)

    def test_an_items_approval_serves_that_item_alone(self, acme):
        first, second = fresh(), fresh(amount="300.00")
        task = asked(acme, first, second)
        vote(requests_of(task)[0], acme.erin)
        approval = look(acme, task)["items"][0]["result"]["approval"]["id"]
        assert ask(acme.pep_key, using(approval, second)).told == (False, "escalate", "out_of_scope")
        assert ask(acme.pep_key, using(approval, first)).told == (True, "allow", "rule")

    def test_abuse_058_each_item_needs_a_step_up_of_its_own(self):
        own = world(quorum=1, step_up="totp", caps={})
        secret = enrolled(own.erin)
        first, second = requests_of(asked(own, fresh(), fresh()))
        proof = proven(first, own.erin, secret)
        with pytest.raises(stepup.ProofRefused):
            vote(second, own.erin, step_up=proof)
        assert vote(first, own.erin, step_up=proof).status == "approved"
        second.refresh_from_db()
        assert second.status == "pending"

    def test_is_held_until_the_last_item_is_decided(self, acme):
        task = asked(acme, fresh(), fresh())
        first, second = requests_of(task)
        vote(second, acme.erin)
        voting = threading.Timer(0.4, _and_disconnect(lambda: vote(first, acme.erin)))
        voting.start()
        assert statuses(look(acme, task, "?wait=20")) == ["approved", "approved"]
        voting.join()

    def test_abuse_057_is_unknown_to_others(self, acme):
        task = asked(acme, fresh(), fresh())
        for key in (easy().pep_key, acme.key("pep", agents=["billing-*"])):
            assert error_of(get(f"{REQUESTS}/{task['id']}", key)) == (404, "unknown_task")
            assert run(send("DELETE", f"{REQUESTS}/{task['id']}/cancel", key)).status in (403, 404)
        assert look(acme, task)["status"] == "pending"

    @pytest.mark.parametrize(
        ("found", "whole"),
        [
            (["approved", "pending", "denied"], "pending"),
            (["approved", "approved"], "approved"),
            (["expired"], "expired"),
            (["approved", "expired"], "partial"),
        ],
    )
    def test_follows_from_its_items(self, found, whole):
        assert bundles.together(found) == whole


class TestEvidence:
    """An auditor sees which requests were one task, from either side."""

    def test_each_item_says_of_which_task_it_is_which_part(self, acme):
        waiting = fresh()
        joined = opened(acme, waiting)
        task = asked(acme, waiting, fresh())
        for place, request in enumerate(requests_of(task)):
            (said,) = ledger.history(acme.slug, request.pk, limit=9, events={Event.REQUEST_BUNDLED})
            predicate = said["predicate"]
            assert predicate["request"] == {"id": task["id"]}
            assert predicate["detail"] == {"place": place, "of": 2}
            assert predicate["actor"]["id"] == acme.credential(acme.pep_key).key_id
        assert events(joined)[-1] == "request.bundled", "also of one that was there before"

    def test_the_tasks_id_brings_all_of_them_into_a_pack_that_verifies(self, acme, tmp_path):
        task = asked(acme, fresh(), fresh())
        first, second = requests_of(task)
        vote(first, acme.erin)
        seal.seal_due(acme.slug)
        for name, threads in ((task["id"], {first.pk, second.pk}), (first.pk, {first.pk})):
            packed = export(acme.slug, tmp_path / name, request=name)
            assert failure(tmp_path / name) == ""
            found = Record.objects.filter(log=acme.slug, thread__in=threads)
            assert packed.records == found.count()

    def test_a_submission_sent_again_is_recorded_once(self, acme):
        sent, key = several(acme, [fresh(), fresh()]), f"b-{time.monotonic_ns()}"
        replies = [post(REQUESTS, acme.pep_key, sent, idempotency_key=key) for _ in range(2)]
        task = replies[0].json["task"]
        assert [events(request).count("request.bundled") for request in requests_of(task)] == [1, 1]
