"""The access request profile beyond asking and using: signed references, handles that end, and who may ask for whom."""

import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection

from approvals import handle
from approvals.models import AccessRequest, Approval
from enforcement import binding, repeats
from enforcement.models import Escalation, Submission
from evidence import clock, tokens
from tests.approvals.asking import vote
from tests.enforcement.machine import REQUESTS, Reply, ask, get, post, question, run, send, together
from tests.enforcement.test_requests import approved, easy, error_of, fresh, opened, submission, using
from tests.worlds import World, world


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return easy()


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, signed_references=True)


def setting(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setattr(settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update=changes))


def delete(path: str, key: str) -> Reply:
    return run(send("DELETE", path, key))


def bound(body: dict[str, Any], denied: Reply, *, without: str = "") -> dict[str, Any]:
    """A submission with all that the denial says, or all but one member."""
    sent = submission(body, denied)
    sent["denial"]["binding_token"] = denied.context["access_request"]["binding_token"]
    sent["denial"].pop(without, None)
    return sent


class TestDenial:
    def test_offers_no_token_unless_it_is_switched_on(self, acme):
        access = ask(acme.pep_key, fresh()).context["access_request"]
        assert "binding_token" not in access
        assert "form_url" not in access
        assert access["request_schema_url"] == "http://testserver/access/v1/request-schema"

    def test_offers_the_form_with_the_evaluation(self, acme, monkeypatch):
        setting(monkeypatch, request_form_url="https://portal.test/access")
        context = ask(acme.pep_key, fresh()).context
        assert (
            context["access_request"]["form_url"]
            == f"https://portal.test/access?evaluation_id={context['evaluation_id']}"
        )

    def test_its_token_binds_the_question_for_a_service_without_our_records(self, acme, signed):
        body = fresh(session="s-1")
        context = ask(acme.pep_key, body).context
        token = context["access_request"]["binding_token"]
        published = jwt.PyJWKSet.from_dict(get("/access/v1/jwks", None).json)
        audience = context["access_request"]["endpoint"]
        claims = jwt.decode(token, published[jwt.get_unverified_header(token)["kid"]], ["EdDSA"], audience=audience)
        assert claims["iss"] == get("/.well-known/authzen-configuration", None).json["policy_decision_point"]
        assert claims["evaluation_id"] == context["evaluation_id"]
        assert claims["denial_expires_at"] == context["access_request"]["expires_at"]
        assert claims["binding_context_members"] == ["arguments", "intent", "transaction"]
        assert claims["binding_hash"] == binding.binding_hash(body)
        other = {**body, "context": {**body["context"], "arguments": {"order": "A-1", "amount": "250.01"}}}
        assert claims["binding_hash"] != binding.binding_hash(other)
        assert "250.00" not in str(claims)


class TestBinding:
    @pytest.mark.parametrize("without", ["", "evaluation_id", "expires_at", "binding_token"])
    def test_either_reference_is_enough(self, acme, signed, without):
        body = fresh()
        assert post(REQUESTS, acme.pep_key, bound(body, ask(acme.pep_key, body), without=without)).status == 202

    def test_refuses_the_token_of_another_denial(self, acme, signed):
        body, other = fresh(), fresh()
        sent, token = bound(body, ask(acme.pep_key, body)), ask(acme.pep_key, other).context["access_request"]
        sent["denial"]["binding_token"] = token["binding_token"]
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")
        del sent["denial"]["evaluation_id"], sent["denial"]["expires_at"]
        sent["context"] = {"transaction": body["context"]["transaction"]}  # what is left out is the denial's own
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    def test_refuses_the_token_of_another_evaluation_of_the_same_call(self, acme, signed):
        body = fresh()
        sent, again = bound(body, ask(acme.pep_key, body)), ask(acme.pep_key, body).context["access_request"]
        sent["denial"] |= {"binding_token": again["binding_token"]}
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    def test_refuses_a_token_whose_record_says_something_else(self, acme, signed):
        """A row changed by hand does not match what was signed when the answer was given."""
        body = fresh()
        denied = ask(acme.pep_key, body)
        forged = tokens.sign(
            {**jwt.decode(denied.context["access_request"]["binding_token"], options={"verify_signature": False}), "binding_hash": "x"},
            tokens.BINDING,
        )  # fmt: skip
        sent = bound(body, denied)
        sent["denial"]["binding_token"] = forged
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    @pytest.mark.parametrize("token", ["", "x", None, 7, "eyJhbGciOiJub25lIn0.e30."])
    def test_abuse_035_refuses_a_token_that_cannot_be_verified(self, acme, token):
        body = fresh()
        sent = submission(body, ask(acme.pep_key, body))
        sent["denial"]["binding_token"] = token
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    def test_abuse_036_refuses_an_approvals_state_as_binding(self, acme, signed):
        body, other = fresh(), fresh()
        approval = approved(acme, other)
        state = get(f"{REQUESTS}/{approval.request_id}", acme.pep_key).json["result"]["approval"]["state"]
        sent = bound(body, ask(acme.pep_key, body))
        sent["denial"]["binding_token"] = state
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    def test_refuses_another_expiry_than_was_given(self, acme):
        body = fresh()
        sent = submission(body, ask(acme.pep_key, body))
        sent["denial"]["expires_at"] = "2999-01-01T00:00:00Z"
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    def test_refuses_a_token_past_its_time(self, acme, signed, monkeypatch):
        monkeypatch.setattr("enforcement.asking.DENIAL_LIFE", timedelta(seconds=0))
        body = fresh()
        sent = bound(body, ask(acme.pep_key, body))
        Escalation.objects.filter(pk=sent["denial"]["evaluation_id"]).update(
            expires_at=clock.now() + timedelta(hours=1)
        )
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (410, "expired_denial")

    def test_the_actor_may_move_out_of_the_subject(self, acme):
        act = {"sub": "support-bot", "sub_profile": "ai_agent"}
        body = fresh(subject={"type": "agent", "id": "support-bot", "properties": {"act": act}})
        denied = ask(acme.pep_key, body)
        sent = submission(body, denied, client={"actor": {"id": "support-bot", "type": "ai_agent"}})
        sent["subject"] = {"type": "agent", "id": "support-bot"}
        assert post(REQUESTS, acme.pep_key, sent).status == 202
        sent["subject"]["properties"] = {"vip": True}
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    @pytest.mark.races
    def test_two_peps_that_submit_one_denial_get_one_task(self, acme):
        if connection.vendor == "sqlite":
            pytest.skip("a race of writers needs PostgreSQL")
        other = acme.key("pep")
        for _ in range(4):
            body = fresh()
            sent = submission(body, ask(acme.pep_key, body))
            replies = together([send("POST", REQUESTS, key, sent) for key in (acme.pep_key, other) * 4])
            assert {reply.status for reply in replies} == {202}
            assert len({reply.json["task"]["id"] for reply in replies}) == 1
            request = AccessRequest.objects.get(pk=replies[0].json["task"]["id"])
            assert request.parties.count() == 2


class TestState:
    def told(self, own: World, approval: Approval) -> dict[str, Any]:
        result: dict[str, Any] = get(f"{REQUESTS}/{approval.request_id}", own.pep_key).json["result"]["approval"]
        return result

    def presented(self, own: World, body: dict[str, Any], reference: dict[str, Any]) -> Reply:
        return ask(own.pep_key, {**body, "context": {**body["context"], "approval": reference}})

    def test_an_approval_serves_as_it_was_given(self, acme, signed):
        body = fresh()
        reference = self.told(acme, approved(acme, body))
        assert reference["state"] == self.told(acme, Approval.objects.get(pk=reference["id"]))["state"]
        assert self.presented(acme, body, reference).told == (True, "allow", "rule")

    def test_an_approval_serves_by_its_id_alone(self, acme, signed):
        body = fresh()
        assert ask(acme.pep_key, using(approved(acme, body), body)).told == (True, "allow", "rule")

    @pytest.mark.parametrize("state", ["", "eyJ", None, {"a": 1}, 7], ids=str)
    def test_abuse_033_refuses_a_state_that_is_not_ours_whatever_the_setting(self, acme, state):
        body = fresh()
        approval = approved(acme, body)
        refused = self.presented(acme, body, {"id": approval.pk, "state": state})
        assert refused.told == (False, "deny", "approval_unverifiable")
        assert refused.context["next_action"] == "none"
        assert Approval.objects.get(pk=approval.pk).uses == 0

    def test_refuses_the_state_of_another_approval(self, acme, signed):
        body, other = fresh(), fresh()
        reference, theirs = self.told(acme, approved(acme, body)), self.told(acme, approved(acme, other))
        refused = self.presented(acme, body, {**reference, "state": theirs["state"]})
        assert refused.told == (False, "deny", "approval_unverifiable")

    def test_abuse_036_refuses_a_binding_token_as_state(self, acme, signed):
        body = fresh()
        token = ask(acme.pep_key, body).context["access_request"]["binding_token"]
        reference = self.told(acme, approved(acme, body))
        refused = self.presented(acme, body, {**reference, "state": token})
        assert refused.told == (False, "deny", "approval_unverifiable")

    def test_tells_of_an_approval_past_its_time_that_it_expired(self, acme, signed):
        body = fresh()
        reference = self.told(acme, approved(acme, body))
        Approval.objects.filter(pk=reference["id"]).update(expires_at=clock.now())
        assert self.presented(acme, body, reference).told == (False, "escalate", "approval_expired")


class TestNextAction:
    def test_none_where_policy_denies(self):
        own = easy()
        body = fresh()
        approval = approved(own, body)
        own.with_policy("version: 1\nname: n\nrules:\n  - {id: stop, effect: deny}\n")
        refused = ask(own.pep_key, using(approval, body))
        assert (refused.context["reason"], refused.context["next_action"]) == ("policy_denied", "none")

    def test_retry_once_the_window_of_a_cap_is_over(self):
        own = easy(caps={"rate": ["1/hour"]})
        assert ask(own.pep_key).told[0] is True
        body = fresh()
        refused = ask(own.pep_key, using(approved(own, body), body)).context
        assert (refused["reason"], refused["next_action"]) == ("rate_cap", "retry")
        assert 1 <= refused["retry_after"] <= 3600

    def test_none_where_one_call_is_over_a_cap_by_itself(self):
        own = easy(caps={"tokens": {"per_call": 10}})
        body = fresh()
        approval = approved(own, body)
        body["context"]["usage"] = {"tokens": 11}
        refused = ask(own.pep_key, using(approval, body)).context
        assert (refused["reason"], refused["next_action"]) == ("token_cap", "none")

    def test_none_where_the_pep_cannot_comply_and_nothing_without_an_approval(self, acme):
        assert "next_action" not in ask(acme.pep_key, fresh()).context
        assert "next_action" not in ask(acme.pep_key, resource={"type": "tool", "id": "nope"}).context


@pytest.fixture(scope="module")
def mapped(database: None) -> World:
    """A tool without a schema, called as an MCP server's client calls it."""
    needs = {"teams": ["finance"], "quorum": 1, "step_up": "none"}
    tool = {"id": "pay", "group": "payments", "risk_tier": 3, "methods": ["tools/call"], "approval": needs}
    rule = "{id: all, effect: escalate, approval: {teams: [finance], quorum: 1, step_up: none}}"
    own = easy()
    own.apply(tools=[{**tool, "owner": own.username("carol")}])
    own.with_policy(f"version: 1\nname: n\nrules:\n  - {rule}\n")
    return own


class TestBlankArguments:
    """COAZ-MCP's default mapping of `tools/call` tells no arguments: nobody can say yes to what was not told."""

    def called(self, **context: Any) -> dict[str, Any]:
        asked = question(action={"name": "tools/call"}, resource={"type": "tool", "id": "pay"}, **context)
        return {**asked, "context": {"intent": "customer-refund", **context}}

    def test_is_denied_and_not_requestable(self, mapped):
        reply = ask(mapped.pep_key, self.called(open_request=True))
        assert reply.told == (False, "deny", "approval_required")
        assert "access_request" not in reply.context
        assert not Escalation.objects.filter(pk=reply.context["evaluation_id"]).exists()

    def test_an_approval_for_payee_a_serves_neither_payee_b_nor_a_payee_untold(self, mapped):
        first, second = self.called(arguments={"payee": "A"}), self.called(arguments={"payee": "B"})
        approval = approved(mapped, first)
        assert ask(mapped.pep_key, using(approval, second)).told == (False, "escalate", "out_of_scope")
        untold = ask(mapped.pep_key, using(approval, self.called()))
        assert (untold.json["decision"], untold.context["next_action"]) == (False, "none")
        assert "access_request" not in untold.context
        assert ask(mapped.pep_key, using(approval, first)).told[0] is True

    def test_an_empty_object_is_told(self, mapped):
        assert ask(mapped.pep_key, self.called(arguments={})).told == (False, "escalate", "approval_required")


class TestClient:
    def submitted(self, own: World, client: Any, key: str | None = None) -> Reply:
        body = fresh()
        return post(REQUESTS, key or own.pep_key, submission(body, ask(own.pep_key, body), client=client))

    @pytest.mark.parametrize(
        "client",
        [
            {"id": "gateway", "name": "Gateway", "source": {"session_id": "s"}, "vendor.test/x": 1},
            {"actor": {"id": "support-bot"}},
            {
                "actor": {
                    "id": "support-bot",
                    "type": "ai_agent",
                    "act": {"sub": "support-bot", "sub_profile": "ai_agent"},
                }
            },
        ],
        ids=str,
    )
    def test_takes_who_the_credential_speaks_for(self, acme, client):
        assert self.submitted(acme, client).status == 202

    @pytest.mark.parametrize(
        "actor",
        [
            {"id": "other-bot"},
            {"id": "support-bot", "type": "user"},
            {"id": "support-bot", "issuer": "https://idp.test"},
            {"id": "support-bot", "act": {"sub": "other-bot"}},
            {"id": "support-bot", "act": {"sub": "support-bot", "iss": "https://idp.test"}},
        ],
        ids=str,
    )
    def test_refuses_a_chain_it_cannot_verify_to_the_end(self, acme, actor):
        assert self.submitted(acme, {"actor": actor}, key=acme.agent_key).status == 403

    @pytest.mark.parametrize(
        "client", [[], {"actor": "support-bot"}, {"actor": {}}, {"actor": {"id": "support-bot", "act": 1}}], ids=str
    )
    def test_refuses_what_is_no_client(self, acme, client):
        assert self.submitted(acme, client).status == 400

    def test_follows_no_endless_chain(self, acme):
        link: dict[str, Any] = {"sub": "support-bot"}
        for _ in range(30):
            link = {"sub": "support-bot", "act": link}
        assert self.submitted(acme, {"actor": {"id": "support-bot", "act": link}}).status == 403


class TestHandle:
    def test_can_be_cancelled_with_delete(self, acme):
        path = f"{REQUESTS}/{opened(acme, fresh()).pk}/cancel"
        assert delete(path, acme.pep_key).json["task"]["status"] == "cancelled"
        assert error_of(delete(path, acme.pep_key)) == (409, "invalid_task_state")
        refused = get(path, acme.pep_key)
        assert (refused.status, refused.headers["allow"]) == (405, "POST, DELETE")

    def test_is_expired_at_its_end_though_no_timer_ran(self, acme):
        request = opened(acme, fresh())
        AccessRequest.objects.filter(pk=request.pk).update(
            opened_at=clock.now() - timedelta(hours=1), expires_at=clock.now()
        )
        reply = get(f"{REQUESTS}/{request.pk}?wait=20", acme.pep_key)
        assert reply.json["task"]["status"] == "expired"
        assert "links" not in reply.json["task"]

    def test_is_told_for_a_day_after_its_end_and_then_gone(self, acme):
        request = vote(opened(acme, fresh()), acme.erin, "deny")
        task = get(f"{REQUESTS}/{request.pk}", acme.pep_key).json["task"]
        assert task["expires_at"] > task_time(request.closed_at + timedelta(hours=23))
        AccessRequest.objects.filter(pk=request.pk).update(closed_at=clock.now() - handle.TOLD_FOR)
        assert error_of(get(f"{REQUESTS}/{request.pk}", acme.pep_key)) == (410, "task_expired")

    def test_is_told_for_as_long_as_its_approval_lasts(self, acme):
        approval = approved(acme, fresh())
        Approval.objects.filter(pk=approval.pk).update(expires_at=clock.now() + timedelta(hours=1))
        AccessRequest.objects.filter(pk=approval.request_id).update(closed_at=clock.now() - handle.TOLD_FOR)
        assert get(f"{REQUESTS}/{approval.request_id}", acme.pep_key).status == 200

    def test_tells_how_far_it_is_but_not_to_an_agent(self):
        own = world(quorum=2, step_up="none", caps={})
        request = opened(own, fresh())
        path = f"{REQUESTS}/{request.pk}"
        assert get(path, own.pep_key).json["task"]["progress"] == {"current_step": 1, "total_steps": 2}
        vote(request, own.erin)
        assert get(path, own.pep_key).json["task"]["progress"] == {"current_step": 2, "total_steps": 2}
        assert "progress" not in get(path, own.agent_key).json["task"]
        vote(request, own.frank)
        assert "progress" not in get(path, own.pep_key).json["task"]

    def test_names_no_approver_no_rule_and_no_place_to_review(self):
        own = world(quorum=2, step_up="none", caps={})
        request = opened(own, fresh())
        seen = get(f"{REQUESTS}/{request.pk}", own.pep_key).body
        vote(vote(request, own.erin), own.frank)
        seen += get(f"{REQUESTS}/{request.pk}", own.pep_key).body
        for word in (b"erin", b"frank", b"finance", b"refunds-over-100", b"rule:", b"review"):
            assert word not in seen


def task_time(moment: Any) -> str:
    return str(moment.isoformat())[:19]


class TestIdempotency:
    def submitted(self, own: World, key: str, **changes: Any) -> Reply:
        body = fresh()
        return post(REQUESTS, own.pep_key, submission(body, ask(own.pep_key, body), **changes), idempotency_key=key)

    def test_a_key_leads_to_its_task_for_a_day_after_the_end_and_is_forgotten_then(self):
        own = easy()
        body = fresh()
        sent, key = submission(body, ask(own.pep_key, body)), f"k-{time.monotonic_ns()}"
        task = post(REQUESTS, own.pep_key, sent, idempotency_key=key).json["task"]["id"]
        request = vote(AccessRequest.objects.get(pk=task), own.erin)
        Submission.objects.filter(key=key).update(made_at=clock.now() - timedelta(days=3))
        edge = request.closed_at + handle.TOLD_FOR
        repeats.forget(edge - timedelta(milliseconds=1))
        again = post(REQUESTS, own.pep_key, sent, idempotency_key=key)
        assert (again.status, again.json["task"]["id"]) == (201, task)
        repeats.forget(edge)
        assert not Submission.objects.filter(key=key).exists()

    def test_a_key_of_a_task_that_waits_is_never_forgotten(self, acme):
        key = f"k-{time.monotonic_ns()}"
        task = self.submitted(acme, key).json["task"]["id"]
        Submission.objects.filter(key=key).update(made_at=clock.now() - timedelta(days=3))
        AccessRequest.objects.filter(pk=task).update(expires_at=clock.now() + timedelta(days=9))
        repeats.forget(clock.now() + timedelta(days=2))
        assert Submission.objects.filter(key=key).exists()

    def test_one_credentials_key_is_not_anothers(self, acme):
        key, other = f"k-{time.monotonic_ns()}", acme.key("pep")
        first = self.submitted(acme, key)
        body = fresh()
        second = post(REQUESTS, other, submission(body, ask(other, body)), idempotency_key=key)
        assert (first.status, second.status) == (202, 202)
        assert first.json["task"]["id"] != second.json["task"]["id"]


class TestPublished:
    def test_discovery_names_the_keys(self):
        found = get("/.well-known/authzen-configuration", None).json
        assert found["jwks_uri"] == "http://testserver/access/v1/jwks"
        assert "urn:openid:authzen:capability:access-request" in found["capabilities"]

    @pytest.mark.parametrize("path", ["/access/v1/jwks", "/access/v1/request-schema"])
    def test_is_for_anybody_to_fetch_and_to_keep_a_while(self, path):
        reply = get(path, None)
        assert (reply.status, reply.headers["cache-control"]) == (200, "public, max-age=300")
        assert post(path, None, {}).status == 405
