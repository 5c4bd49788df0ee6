"""Who submitted several at once is called when the last of them has ended: once, with the state that was given."""

import json
import threading
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import Any

import pytest
from django.db import connection, transaction

from approvals import bundles
from approvals.models import AccessRequest, Bundle
from connectors.webhook import notify
from countersign.proof.events import Event
from evidence import clock, ledger
from outbox import pump
from outbox.models import Job, State
from tests.approvals.asking import DENY, vote
from tests.connectors.webhook.receiver import Receiver
from tests.connectors.webhook.test_callbacks import failures, register
from tests.enforcement.machine import REQUESTS, ask, big, get, post
from tests.races.crowd import at_once
from tests.worlds import World, world


def asked(own: World, *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The task of one submission for these calls, or for two."""
    items = []
    for call in calls or (fresh("250.00"), fresh("300.00")):
        denial = {"evaluation_id": ask(own.pep_key, call).context["evaluation_id"]}
        items.append({"resource": call["resource"], "action": call["action"], "denial": denial})
    reply = post(REQUESTS, own.pep_key, {"subject": fresh()["subject"], "items": items, **more})
    assert reply.status == 202, reply.json
    task: dict[str, Any] = reply.json["task"]
    return task


def fresh(amount: str = "250.00") -> dict[str, Any]:
    return big(amount, transaction=f"case-{clock.now().timestamp()}")


def items_of(task: dict[str, Any]) -> list[AccessRequest]:
    return bundles.requests_of(Bundle.objects.get(pk=task["id"]))


def pumped() -> None:
    """All that is due, and what that made due."""
    while pump.run_due():
        pass


def told(here: Receiver, task: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """What came about the whole."""
    bodies = [json.loads(got.body) for got in here.got]
    return [body for body in bodies if body["task"]["id"] == task["id"]]


class TestTellingOfTheWhole:
    def test_it_is_told_when_the_last_item_has_ended_as_its_submitter_could_ask(self, own: World, here: Receiver):
        register(own, here.url, key=own.pep_key)
        task = asked(own, callback={"endpoint": here.url, "state": "row 7"})
        first, second = items_of(task)
        vote(first, own.erin)
        pumped()
        assert told(here, task) == []
        vote(second, own.erin, DENY)
        pumped()
        (body,) = told(here, task)
        assert (body["state"], body["task"]["status"]) == ("row 7", "partial")
        now = get(f"{REQUESTS}/{task['id']}", own.pep_key).json
        assert body == {**now, "state": "row 7"}
        got = here.got[-1].headers
        assert (got["ce-type"], got["ce-subject"]) == ("countersign.request.partial", task["id"])

    def test_each_item_is_told_as_the_task_that_it_is(self, own: World, here: Receiver):
        register(own, here.url, key=own.pep_key)
        task = asked(own, callback={"endpoint": here.url, "state": "both"})
        for request in items_of(task):
            vote(request, own.erin, DENY)
        pumped()
        bodies = [json.loads(got.body) for got in here.got]
        assert [(one["state"], one["task"]["status"]) for one in bodies] == [("both", "denied")] * 3
        assert {one["task"]["id"] for one in bodies} == {task["id"], *(one.pk for one in items_of(task))}

    @pytest.mark.parametrize("end", ["approved", "denied", "cancelled"])
    def test_it_is_what_all_are(self, own: World, here: Receiver, end: str):
        register(own, here.url)
        task = asked(own)
        if end == "cancelled":
            assert post(f"{REQUESTS}/{task['id']}/cancel", own.pep_key, {}).status == 200
        else:
            for request in items_of(task):
                vote(request, own.erin, *([DENY] if end == "denied" else []))
        pumped()
        assert [body["task"]["status"] for body in told(here, task)] == [end]

    def test_it_is_told_once_whoever_looks_again(self, own: World, here: Receiver):
        register(own, here.url)
        task = asked(own)
        for request in items_of(task):
            vote(request, own.erin)
        pumped()
        for _ in range(2):
            notify.look({"bundle": task["id"]})
        pumped()
        assert len(told(here, task)) == 1

    def test_a_request_in_two_bundles_ends_both(self, own: World, here: Receiver):
        register(own, here.url)
        call = fresh()
        tasks = [asked(own, call) for _ in range(2)]
        vote(items_of(tasks[0])[0], own.erin)
        pumped()
        assert [len(told(here, task)) for task in tasks] == [1, 1]

    def test_it_is_recorded_under_the_tasks_id_in_its_first_items_thread(self, own: World, here: Receiver):
        register(own, here.url)
        task = asked(own)
        for request in items_of(task):
            vote(request, own.erin, DENY)
        pumped()
        sent = ledger.history(own.slug, items_of(task)[0].pk, limit=9, events={Event.NOTIFICATION_SENT})
        assert [said["predicate"]["request"]["id"] for said in sent].count(task["id"]) == 1


class TestTwoAtOnce:
    """Of two items that end at once neither transaction sees the other's end; still the whole is told, and once."""

    @pytest.mark.postgres
    def test_who_commits_last_is_who_finds_it_ended(self, own: World, here: Receiver):
        register(own, here.url)
        task = asked(own)
        first, second = items_of(task)
        with transaction.atomic():
            vote(first, own.erin)
            other = threading.Thread(target=_then_let_go, args=(partial(vote, second, own.frank),))
            other.start()
            other.join(timeout=30)
            assert not other.is_alive(), "the one waits for the other"
            assert told(here, task) == []
        pumped()
        assert [body["task"]["status"] for body in told(here, task)] == ["approved"]

    @pytest.mark.postgres
    def test_of_many_ends_at_once_one_is_the_last(self, own: World, here: Receiver):
        register(own, here.url)
        task = asked(own, *(fresh(f"{amount}.00") for amount in range(250, 256)))
        people = cycle(
            [own.erin, own.frank]
        )  # one alone would vote one after the other, by the lock that keeps their pace
        ended = at_once([partial(vote, request, one) for request, one in zip(items_of(task), people, strict=False)])
        assert not [one for one in ended if isinstance(one, Exception)]
        at_once([pumped] * 3)
        pumped()
        assert len(told(here, task)) == 1


def _then_let_go(act: Any) -> None:
    """End an item, do what is due by then, and leave no connection."""
    try:
        act()
        pumped()
    finally:
        connection.close()


class TestWhomOfTheWhole:
    def test_not_who_only_joined_an_item(self, own: World, here: Receiver):
        other, call = own.key("pep"), fresh()
        register(own, here.url, key=other)
        task = asked(own, call, fresh())
        ask(other, {**call, "context": {**call["context"], "open_request": True}})
        for request in items_of(task):
            vote(request, own.erin)
        pumped()
        assert (len(here.got), told(here, task)) == (1, [])

    def test_abuse_026_nobody_of_another_tenant(self, own: World, here: Receiver):
        register(world(), here.url)
        for request in items_of(asked(own)):
            vote(request, own.erin)
        pumped()
        assert here.got == []

    def test_not_of_an_end_that_was_not_wished_for(self, own: World, here: Receiver):
        register(own, here.url, key=own.pep_key)
        task = asked(own, callback={"endpoint": here.url, "events": ["partial"]})
        for request in items_of(task):
            vote(request, own.erin)
        pumped()
        assert here.got == []
        task = asked(own, callback={"endpoint": here.url, "events": ["partial"]})
        first, second = items_of(task)
        vote(first, own.erin)
        vote(second, own.erin, DENY)
        pumped()
        assert [json.loads(got.body)["task"]["id"] for got in here.got] == [task["id"]]

    def test_is_on_record_where_it_was_refused_for_good(self, own: World, here: Receiver):
        register(own, here.url)
        here.say(b"HTTP/1.1 410 Gone\r\n\r\n")
        task = asked(own)
        for request in items_of(task):
            vote(request, own.erin)
        pumped()
        (job,) = [job for job in Job.objects.filter(kind=notify.TELL, tenant=own.slug) if "bundle" in job.payload]
        assert (job.state, failures(items_of(task)[0])) == (State.DEAD, ["answered 410", "answered 410"])
