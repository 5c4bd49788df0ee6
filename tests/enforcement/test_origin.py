"""`context.origin` over the API: checked strictly, kept with the request, and no part of what is decided or approved."""

import secrets
from typing import Any

import pytest

from connectors.models import Delivery, Origin
from connectors.origin import NOT_ALLOWED, NOT_CONNECTED
from registry.models import Channel
from tests.approvals import asking
from tests.enforcement.machine import EVALUATION, REQUESTS, Reply, ask, big, post, question
from tests.worlds import World, world

SLACK = {"kind": "slack", "channel": "C0SUPPORT", "thread": "1718000000.000100"}
JIRA = {"kind": "jira", "issue": "OPS-12"}


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(quorum=1, step_up="none", caps={}, change={"channels": []})


def fresh(**changes: Any) -> dict[str, Any]:
    return big(transaction=f"case-{secrets.token_hex(6)}", **changes)


def submitted(own: World, body: dict[str, Any], denied: Reply, **context: Any) -> Reply:
    denial = {"evaluation_id": denied.context["evaluation_id"]}
    parts = {name: body[name] for name in ("subject", "action", "resource")}
    return post(REQUESTS, own.pep_key, {**parts, "denial": denial, "context": context})


def named(own: World) -> list[tuple[str, str, str]]:
    rows = Origin.objects.filter(tenant=own.tenant).order_by("-pk")
    return [(row.kind, row.place_key, row.why) for row in rows]


class TestEvaluation:
    @pytest.mark.parametrize(
        "origin",
        [
            None, "C0SUPPORT", {}, {"kind": "slack"}, {**SLACK, "thread": "1718"}, {**SLACK, "text": "hello"},
            {"kind": "jira", "issue": "OPS-12/../../myself"}, {"kind": "pigeon"},
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("call", [question, fresh])
    def test_refuses_a_bad_origin_whatever_would_be_decided(self, acme, origin, call):
        body = call()
        body["context"]["origin"] = origin
        reply = post(EVALUATION, acme.pep_key, body)
        assert (reply.status, reply.json["type"].rpartition(":")[2]) == (400, "malformed")
        assert "context.origin" in reply.json["detail"]

    def test_reads_it_the_slow_way_as_well(self, acme):
        told = {"environment": {"load": 1.5}, "open_request": True}  # a fraction: such a document is looked at twice
        assert ask(acme.pep_key, fresh(**told, origin={**SLACK, "channel": "#support"})).status == 400
        assert ask(acme.pep_key, fresh(**told, origin={"kind": "jira", "issue": "OPS-15"})).status == 200
        assert named(acme)[0][:2] == ("jira", "origin:OPS-15")

    def test_is_no_part_of_the_action(self, acme):
        body = fresh()
        plain = ask(acme.pep_key, body).context["action_digest"]
        assert (
            ask(acme.pep_key, {**body, "context": {**body["context"], "origin": SLACK}}).context["action_digest"]
            == plain
        )

    def test_an_origin_that_nobody_allowed_changes_nothing_of_the_answer(self, acme):
        reply = ask(acme.pep_key, fresh(open_request=True, origin=SLACK))
        assert reply.told == (False, "escalate", "approval_required")
        request_id = reply.context["access_request"]["task"]["id"]
        assert named(acme)[0] == ("slack", "origin:C0SUPPORT/1718000000.000100", NOT_ALLOWED)
        assert not Delivery.objects.filter(request=request_id).exists()
        assert NOT_ALLOWED not in reply.body.decode(), "an agent does not feel out which places are allowed"

    def test_is_kept_only_with_a_request(self, acme):
        before = named(acme)
        assert ask(acme.pep_key, question(origin=SLACK)).told[0] is True
        assert ask(acme.pep_key, fresh(origin=SLACK)).told[1] == "escalate"
        assert named(acme) == before


class TestSubmission:
    def test_takes_the_origin_of_the_evaluation(self, acme):
        body = fresh(origin=JIRA)
        assert submitted(acme, body, ask(acme.pep_key, body)).status == 202
        assert named(acme)[0][:2] == ("jira", "origin:OPS-12")

    def test_may_name_another_for_it_binds_nothing(self, acme):
        body = fresh(origin=JIRA)
        assert submitted(acme, body, ask(acme.pep_key, body), origin={"kind": "jira", "issue": "OPS-99"}).status == 202
        assert named(acme)[0][:2] == ("jira", "origin:OPS-99")

    def test_refuses_a_bad_one(self, acme):
        body = fresh()
        reply = submitted(acme, body, ask(acme.pep_key, body), origin={"kind": "jira", "issue": "ops 12"})
        assert (reply.status, reply.json["type"].rpartition(":")[2]) == (400, "malformed")


class TestOneRequest:
    def test_is_told_of_each_place_once_however_often_it_is_named(self, acme):
        body = fresh(open_request=True, origin=JIRA)
        for _ in range(3):
            request_id = ask(acme.pep_key, body).context["access_request"]["task"]["id"]
        assert Origin.objects.filter(request=request_id).count() == 1

    def test_keeps_two_places_of_two_asks_of_the_same_credential(self, acme):
        Channel.objects.create(tenant=acme.tenant, kind="jira", key="OPS", teams=["it"], config={"origins": ["OPS"]})
        first = fresh(open_request=True, origin=JIRA)
        second = {**first, "context": {**first["context"], "origin": SLACK}}
        tasks = [ask(acme.pep_key, body).context["access_request"]["task"]["id"] for body in (first, second)]
        assert tasks[0] == tasks[1]
        rows = Origin.objects.filter(request=tasks[0]).order_by("pk")
        assert [(row.kind, row.why) for row in rows] == [("jira", NOT_CONNECTED), ("slack", NOT_ALLOWED)]
        assert {row.named_by for row in rows} == {acme.credential(acme.pep_key)}

    def test_records_what_is_not_told_in_the_requests_thread(self, acme):
        reply = ask(acme.pep_key, fresh(open_request=True, origin=SLACK))
        request = Origin.objects.select_related("request").get(
            request=reply.context["access_request"]["task"]["id"]
        ).request  # fmt: skip
        assert asking.events(request).count("notification.failed") == 1
