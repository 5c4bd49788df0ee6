"""What a PEP must also do, and what becomes of a call whose PEP says that it cannot."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from approvals.models import AccessRequest
from enforcement.models import Counter
from enforcement.obliging import SUPPORTED
from tests.approvals.waivers import excepting
from tests.enforcement.machine import OUTCOMES, Reply, ask, big, get, post, question
from tests.enforcement.test_requests import approved, using
from tests.worlds import POLICY, World, world

UNABLE = "obligation_unsupported"


def obliging() -> str:
    """The quickstart's policy, where small refunds are logged, big ones told, and one vote is enough."""
    easy = POLICY.replace("quorum: 2, step_up: totp", "quorum: 1, step_up: none")
    small = easy.replace("< 100.0\n", "< 100.0\n    obligations: [{type: log}]\n", 1)
    return small.replace(
        ">= 100.0\n", ">= 100.0\n    obligations: [{type: notification, properties: {to: '#finance'}}]\n", 1
    )


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(policy=obliging(), quorum=1, step_up="none", caps={})


def able(own: World, *types: str, **changes: Any) -> Reply:
    return ask(own.pep_key, question(supported_obligations=list(types), **changes))


def types(reply: Reply) -> list[str]:
    return [one["type"] for one in reply.context["obligations"]]


class TestDeclared:
    def test_nothing_leaves_it_to_the_pep_to_comply(self, acme: World) -> None:
        reply = ask(acme.pep_key)
        assert reply.told == (True, "allow", "rule")
        assert reply.context["obligations"] == [{"id": "obl-1", "type": "log", "properties": {}}]

    def test_what_is_obliged_is_allowed(self, acme: World) -> None:
        assert able(acme, "log", "redact").told == (True, "allow", "rule")

    @pytest.mark.parametrize("other", [(), ("notification",), ("LOG",), ("lo",)], ids=str)
    def test_what_is_not_obliged_is_denied(self, acme: World, other: tuple[str, ...]) -> None:
        reply = able(acme, *other)
        assert reply.told == (False, "deny", UNABLE)
        assert "log" in reply.context["reasons"][0]["message"]
        assert types(reply) == []

    @pytest.mark.parametrize("given", [None, "log", {"log": True}, [1], [""], [None], [["log"]]], ids=str)
    def test_what_is_no_list_of_names_is_refused(self, acme: World, given: Any) -> None:
        body = question()
        body["context"]["supported_obligations"] = given
        assert ask(acme.pep_key, body).status == 400

    def test_too_many_are_refused(self, acme: World) -> None:
        assert able(acme, *("log",) * 101).status == 422
        assert able(acme, "x" * 201).status == 422

    def test_the_same_is_said_of_a_document_that_is_not_plain(self, acme: World) -> None:
        """A letter beyond ASCII takes the slow way through the parser."""
        assert able(acme, "log", "größe").told == (True, "allow", "rule")
        assert able(acme, "größe").told == (False, "deny", UNABLE)

    def test_binds_nothing(self, acme: World) -> None:
        """Another PEP, or the same one after an update, may use what was approved."""
        assert able(acme, "log").context["action_digest"] == ask(acme.pep_key).context["action_digest"]

    def test_a_denial_obliges_to_nothing_so_it_needs_nothing(self, acme: World) -> None:
        assert able(acme, resource={"type": "tool", "id": "nope"}).told == (False, "deny", "unknown_tool")

    def test_takes_nothing_from_a_cap(self) -> None:
        own = world(policy=obliging(), caps={"rate": ["5/day"]})
        assert able(own).told == (False, "deny", UNABLE)
        assert not Counter.objects.filter(tenant=own.tenant, used__gt=0).exists()


class TestEscalated:
    def test_nobody_is_asked_for_a_yes_that_could_not_help(self, acme: World) -> None:
        body = big(supported_obligations=["log"], open_request=True, transaction="unable")
        assert ask(acme.pep_key, body).told == (False, "deny", UNABLE)
        assert not AccessRequest.objects.filter(tenant=acme.tenant, transaction="unable").exists()

    def test_an_approval_is_not_used_up_by_who_cannot_comply(self, acme: World) -> None:
        body = big(transaction="able later")
        task = approved(acme, body)
        unable = using(task, body)
        unable["context"]["supported_obligations"] = ["log"]
        assert ask(acme.pep_key, unable).told == (False, "deny", UNABLE)
        unable["context"]["supported_obligations"] = ["notification"]
        reply = ask(acme.pep_key, unable)
        assert reply.told[:2] == (True, "allow")
        assert types(reply) == ["notification"]

    def test_a_submission_may_declare_as_it_likes(self, acme: World) -> None:
        asked = big(transaction="submitted", supported_obligations=["notification"])
        denial = ask(acme.pep_key, asked).context
        body = {**asked, "denial": {"evaluation_id": denial["evaluation_id"]}}
        body["context"] = {"supported_obligations": ["log"]}
        assert post("/access/v1/requests", acme.pep_key, body).status == 202


class TestObserved:
    def test_goes_on_without_what_its_pep_cannot_do(self) -> None:
        own = world(policy=obliging().replace("mode: enforce", "mode: observe"), caps={})
        reply = able(own)
        assert reply.told == (True, "deny", UNABLE)
        assert types(reply) == []


class TestWaived:
    @pytest.fixture
    def ours(self, database: None) -> World:
        return excepting.easy()

    def waiver(self, own: World, *kinds: str, **changes: Any) -> Any:
        said = {"notification": {"to": "#finance"}}
        controls = [{"kind": "obligation", "type": kind, "properties": said.get(kind, {})} for kind in kinds]
        return excepting.granted(own, category="mitigated", controls=controls, **changes)

    def call(self, own: World, *types: str, **changes: Any) -> Reply:
        return excepting.call(own, supported_obligations=list(types), **changes)

    def test_its_controls_are_obligations_of_the_call(self, ours: World) -> None:
        self.waiver(ours, "redact", "notification")
        assert types(excepting.call(ours)) == ["redact", "notification"]
        assert self.call(ours, "redact", "notification").told == (True, "allow", "waiver")

    def test_a_pep_that_cannot_comply_is_denied_and_takes_no_use(self, ours: World) -> None:
        waiver = self.waiver(ours, "redact", max_uses=1)
        reply = self.call(ours, "log")
        assert reply.told == (False, "deny", UNABLE)
        assert "waiver" not in reply.context
        waiver.refresh_from_db()
        assert waiver.uses == 0
        assert post(OUTCOMES, ours.pep_key, _claim(reply)).status == 409
        assert self.call(ours, "redact").told == (True, "allow", "waiver")

    def test_another_waiver_that_it_can_comply_with_serves(self, ours: World) -> None:
        self.waiver(ours, "redact", lasts=timedelta(hours=1))
        able = self.waiver(ours, "log", lasts=timedelta(hours=2))
        assert self.call(ours, "log").context["waiver"]["id"] == able.pk

    def test_one_that_is_over_leaves_the_denial_of_the_other(self, ours: World) -> None:
        """Between judging and using: what memory believed in is used up, and the next obliges to too much."""
        first = self.waiver(ours, "log", max_uses=1, lasts=timedelta(hours=1))
        self.waiver(ours, "redact", lasts=timedelta(hours=2))
        assert self.call(ours, "log", transaction="one").told == (True, "allow", "waiver")
        first.refresh_from_db()
        assert first.state == "used_up"
        assert self.call(ours, "log", transaction="two").told == (False, "deny", UNABLE)


def _claim(reply: Reply) -> Mapping[str, Any]:
    return {"evaluation_id": reply.context["evaluation_id"], "status": "executing"}


class TestDiscovery:
    def test_lists_what_a_pep_may_declare(self, acme: World) -> None:
        told = get("/.well-known/authzen-configuration", None).json
        assert told["supported_obligations"] == list(SUPPORTED)
