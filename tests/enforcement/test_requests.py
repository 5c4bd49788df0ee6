"""Escalations: ARAP's requests over the API, and the use of what people approved (ABUSE B)."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from approvals import requests as doors
from approvals import shown
from approvals.models import AccessRequest, Approval
from enforcement.models import Custody, Escalation, Execution
from evidence import clock, kept, ledger
from evidence.models import KeptArguments
from registry import credentials
from registry.models import Agent
from tests.approvals.asking import DENY, vote
from tests.enforcement.machine import EVALUATION, REQUESTS, Reply, ask, big, get, post, question, run, send, together
from tests.worlds import POLICY, SETUP, World, world

ERROR = "urn:openid:authzen:access-request:error:"
STRICTER = (
    POLICY.partition("\ntests:")[0]
    .replace(">= 100.0", ">= 1.0")
    .replace("{teams: [finance], quorum: 2, step_up: totp}", "{teams: [finance], quorum: 1, step_up: none}")
)
"""Refunds wait for people from 1 on."""


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return easy()


def easy(**changes: Any) -> World:
    """One vote without a second factor is enough."""
    return world(quorum=1, step_up="none", **{"caps": {}, **changes})


def fresh(**changes: Any) -> dict[str, Any]:
    """A big refund that nobody has asked for yet."""
    return big(transaction=f"case-{time.monotonic_ns()}", **changes)


def opened(own: World, body: dict[str, Any], key: str | None = None) -> AccessRequest:
    asked = {**body, "context": {**body["context"], "open_request": True}}
    task = ask(key or own.pep_key, asked).context["access_request"]["task"]
    return AccessRequest.objects.get(pk=task["id"])


def approved(own: World, body: dict[str, Any], key: str | None = None) -> Approval:
    request = vote(opened(own, body, key), own.erin)
    return Approval.objects.get(request=request)


def using(approval: Approval | str, body: dict[str, Any]) -> dict[str, Any]:
    identifier = approval if isinstance(approval, str) else approval.pk
    return {**body, "context": {**body["context"], "approval": {"id": identifier}}}


def submission(body: dict[str, Any], denied: Reply, **changes: Any) -> dict[str, Any]:
    context = denied.context
    denial = {"evaluation_id": context["evaluation_id"], "expires_at": context["access_request"]["expires_at"]}
    return {**{name: body[name] for name in ("subject", "action", "resource")}, "denial": denial, **changes}


def _and_disconnect(work: Callable[[], Any]) -> Callable[[], None]:
    """A thread of a test has a database connection of its own, and ends it."""

    def whole() -> None:
        try:
            work()
        finally:
            connection.close()

    return whole


def error_of(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["type"].removeprefix(ERROR)


class TestEscalation:
    def test_says_how_to_ask_and_until_when(self, acme):
        body = fresh()
        reply = ask(acme.pep_key, body)
        assert reply.told == (False, "escalate", "approval_required")
        access = reply.context["access_request"]
        assert access["endpoint"] == "http://testserver/access/v1/requests"
        assert access["template"] == "refunds-over-100"
        assert access["expires_at"] > reply.context["evaluated_at"]
        assert "task" not in access

    def test_keeps_the_arguments_encrypted_with_their_salt(self, acme):
        body = fresh()
        reply = ask(acme.pep_key, body)
        row = Escalation.objects.get(pk=reply.context["evaluation_id"])
        found = kept.read(acme.slug, row.commitment)
        assert found is not None
        assert found.arguments == body["context"]["arguments"]
        box = bytes(KeptArguments.objects.get(commitment=row.commitment).sealed_box)
        assert b"250.00" not in box + bytes(row.question)

    def test_tells_of_the_task_that_waits_already(self, acme):
        body = fresh()
        request = opened(acme, body)
        told = ask(acme.pep_key, body)
        assert told.context["access_request"]["task"]["id"] == request.pk
        assert told.context["reason"] == "approval_required"

    def test_tells_of_the_approval_that_can_be_used(self, acme):
        body = fresh()
        approval = approved(acme, body)
        told = ask(acme.pep_key, body)
        assert told.told == (False, "escalate", "approval_available")
        assert told.context["access_request"]["result"]["approval"]["id"] == approval.pk
        assert Approval.objects.get(pk=approval.pk).uses == 0

    def test_opens_one_request_for_one_action_whoever_asks(self, acme):
        body = fresh(open_request=True)
        other = acme.key("pep")
        replies = together([send("POST", EVALUATION, key, body) for key in (acme.pep_key, other) * 4])
        assert len({reply.context["access_request"]["task"]["id"] for reply in replies}) == 1

    def test_records_the_decision_in_the_thread_of_the_request(self, acme):
        body = fresh()
        reply = ask(acme.pep_key, {**body, "context": {**body["context"], "open_request": True}})
        request_id = reply.context["access_request"]["task"]["id"]
        statement = ledger.find(acme.slug, reply.context["evaluation_id"])
        assert statement is not None
        assert statement["predicate"]["thread"]["id"] == request_id
        request = AccessRequest.objects.get(pk=request_id)
        assert "sha256:" + statement["subject"][0]["digest"]["sha256"] == request.commitment

    def test_says_so_where_too_few_people_can_answer(self):
        own = world(quorum=3, caps={})
        Agent.objects.filter(tenant=own.tenant).update(owner=own.carol)
        body = fresh()
        asked = {**body, "context": {**body["context"], "open_request": True}}
        task = ask(own.agent_key, asked).context["access_request"]["task"]
        assert task["status"] == "pending"
        assert task["display"]["description"].startswith("Too few people can answer this")

    def test_opens_no_more_than_the_tenant_allows(self):
        own = easy()
        own.tenant.max_open_requests = 2
        own.tenant.epoch += 1
        own.tenant.save()
        replies = [ask(own.pep_key, fresh(open_request=True)) for _ in range(3)]
        assert ["task" in reply.context["access_request"] for reply in replies] == [True, True, False]
        body = fresh()
        refused = post(REQUESTS, own.pep_key, submission(body, ask(own.pep_key, body)))
        assert (refused.status, "retry-after" in refused.headers) == (429, True)


class TestSubmit:
    def test_opens_the_request_of_a_denial(self, acme):
        body = fresh()
        reply = post(
            REQUESTS, acme.pep_key, submission(body, ask(acme.pep_key, body), context={"business_justification": "VIP"})
        )
        assert reply.status == 202
        task = reply.json["task"]
        assert (task["status"], reply.headers["location"]) == ("pending", task["status_endpoint"])
        request = AccessRequest.objects.get(pk=task["id"])
        assert request.justification == "VIP"
        assert shown.action_of(request)["transaction"] == body["context"]["transaction"]

    def test_answers_201_with_the_result_of_what_is_approved_already(self, acme):
        body = fresh()
        denied = ask(acme.pep_key, body)
        approval = approved(acme, body)
        reply = post(REQUESTS, acme.pep_key, submission(body, denied))
        assert (reply.status, reply.json["result"]["approval"]["id"]) == (201, approval.pk)

    def test_gives_one_key_and_body_one_task(self, acme):
        body = fresh()
        sent = submission(body, ask(acme.pep_key, body))
        replies = together(
            [
                send("POST", REQUESTS, acme.pep_key, sent, {"idempotency-key": f"k-{sent['denial']['evaluation_id']}"})
                for _ in range(6)
            ]
        )
        assert {reply.status for reply in replies} == {202}
        assert len({reply.json["task"]["id"] for reply in replies}) == 1

    def test_refuses_the_key_with_another_body(self, acme):
        body = fresh()
        sent = submission(body, ask(acme.pep_key, body))
        key = "dup-" + sent["denial"]["evaluation_id"]
        assert post(REQUESTS, acme.pep_key, sent, idempotency_key=key).status == 202
        sent["context"] = {"business_justification": "another"}
        assert error_of(post(REQUESTS, acme.pep_key, sent, idempotency_key=key)) == (409, "duplicate_request")

    @pytest.mark.parametrize(
        "change",
        [
            {"subject": {"type": "agent", "id": "other-bot"}},
            {"action": {"name": "get"}},
            {"resource": {"type": "tool", "id": "payments.refund", "properties": {"a": 1}}},
            {"context": {"arguments": {"order": "A-1", "amount": "999.00"}}},
            {"context": {"intent": "lookup"}},
            {"context": {"environment": {"cwd": "/"}}},
            {"denial": {"evaluation_id": "eva_guessed"}},
            {"denial": {}},
            {"denial": "x"},
        ],
        ids=str,
    )
    def test_refuses_what_does_not_fit_its_denial(self, acme, change):
        body = fresh()
        sent = submission(body, ask(acme.pep_key, body), **change)
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "invalid_denial_binding")

    def test_refuses_another_tenants_denial(self, acme):
        body, other = fresh(), easy()
        assert error_of(post(REQUESTS, other.pep_key, submission(body, ask(acme.pep_key, body)))) == (
            400,
            "invalid_denial_binding",
        )

    def test_refuses_a_denial_that_offered_nothing(self, acme):
        body = question(resource={"type": "tool", "id": "nope"})
        denied = ask(acme.pep_key, body)
        sent = {
            **{name: body[name] for name in ("subject", "action", "resource")},
            "denial": {"evaluation_id": denied.context["evaluation_id"]},
        }
        assert error_of(post(REQUESTS, acme.pep_key, sent)) == (400, "not_requestable")

    def test_refuses_a_denial_past_its_time(self, acme):
        body = fresh()
        denied = ask(acme.pep_key, body)
        Escalation.objects.filter(pk=denied.context["evaluation_id"]).update(expires_at=clock.now())
        assert error_of(post(REQUESTS, acme.pep_key, submission(body, denied))) == (410, "expired_denial")

    def test_refuses_what_policy_denies_by_now(self):
        own = easy()
        body = fresh()
        denied = ask(own.pep_key, body)
        own.with_policy("version: 1\nname: n\nrules:\n  - {id: stop, effect: deny}\n")
        assert error_of(post(REQUESTS, own.pep_key, submission(body, denied))) == (400, "not_requestable")

    def test_refuses_a_credential_that_does_not_speak_for_the_subject(self, acme):
        body = fresh()
        narrow = acme.key("pep", agents=["billing-*"])
        assert post(REQUESTS, narrow, submission(body, ask(acme.pep_key, body))).status == 403

    @pytest.mark.parametrize(
        "member", [{"callback": {"endpoint": "https://pep.test/"}}, {"items": []}, {"requested_access": []}], ids=str
    )
    def test_refuses_what_it_cannot_honour(self, acme, member):
        body = fresh()
        assert post(REQUESTS, acme.pep_key, submission(body, ask(acme.pep_key, body), **member)).status == 400


class TestTask:
    def test_is_told_to_whoever_speaks_for_its_subject(self, acme):
        request = opened(acme, fresh())
        for key in (acme.pep_key, acme.agent_key, acme.key("pep")):
            assert get(f"{REQUESTS}/{request.pk}", key).json["task"]["status"] == "pending"

    def test_abuse_057_is_unknown_to_others(self, acme):
        request = opened(acme, fresh())
        for key in (easy().pep_key, acme.key("pep", agents=["billing-*"]), acme.key("verifier")):
            assert error_of(get(f"{REQUESTS}/{request.pk}", key)) == (404, "unknown_task")
            assert post(f"{REQUESTS}/{request.pk}/cancel", key, {}).status in (403, 404)
        assert error_of(get(f"{REQUESTS}/arq_guessed", acme.pep_key)) == (404, "unknown_task")
        assert get(f"{REQUESTS}/{request.pk}", acme.pep_key).json["task"]["status"] == "pending"

    def test_is_held_until_it_is_decided(self, acme):
        request = opened(acme, fresh())
        voting = threading.Timer(0.4, _and_disconnect(lambda: vote(request, acme.erin)))
        voting.start()
        began = time.monotonic()
        reply = get(f"{REQUESTS}/{request.pk}?wait=20", acme.pep_key)
        assert (reply.json["task"]["status"], reply.json["result"]["mode"]) == ("approved", "reevaluate")
        assert time.monotonic() - began < 15
        voting.join()

    def test_is_told_pending_when_the_wait_is_over(self, acme):
        request = opened(acme, fresh())
        assert get(f"{REQUESTS}/{request.pk}?wait=0.3", acme.pep_key).json["task"]["status"] == "pending"

    def test_waits_without_a_thread_each(self, acme):
        request = opened(acme, fresh())
        replies = together([send("GET", f"{REQUESTS}/{request.pk}?wait=1", acme.pep_key) for _ in range(100)])
        assert {reply.json["task"]["status"] for reply in replies} == {"pending"}

    @pytest.mark.parametrize("wait", ["x", "-1", "nan", "inf"])
    def test_refuses_a_wait_that_is_no_time(self, acme, wait):
        assert get(f"{REQUESTS}/arq_1?wait={wait}", acme.pep_key).status == 400

    def test_tells_why_it_was_denied_to_whom_everything_is_told(self, acme):
        request = vote(opened(acme, fresh()), acme.erin, DENY, reason="Ask for store credit instead.")
        display = get(f"{REQUESTS}/{request.pk}", acme.pep_key).json["task"]["display"]
        assert display["description"].endswith("said no. They wrote: Ask for store credit instead.")
        assert display["urn:countersign:display:reason"] == "Ask for store credit instead."

    def test_abuse_145_does_not_tell_an_agent_why_it_was_denied(self, acme):
        request = vote(opened(acme, fresh()), acme.erin, DENY, reason="Only up to 180.")
        task = get(f"{REQUESTS}/{request.pk}", acme.agent_key).json["task"]
        assert task["status"] == "denied"
        assert "180" not in str(task)

    def test_does_not_name_who_denied_nor_a_secret_they_wrote(self, acme):
        reason = "No. Revoke AKIA" + "Z7Q3TN4WLPXK2M6B" + " first. " + "x" * 600
        request = vote(opened(acme, fresh()), acme.erin, DENY, reason=reason)
        told = get(f"{REQUESTS}/{request.pk}", acme.pep_key).json["task"]["display"]["urn:countersign:display:reason"]
        assert told.startswith("No. Revoke [redacted: ")
        assert (len(told), told[-1]) == (500, "…")
        assert "erin" not in str(get(f"{REQUESTS}/{request.pk}", acme.pep_key).json)

    def test_tells_no_reason_where_none_was_given(self, acme):
        request = vote(opened(acme, fresh()), acme.erin, DENY)
        display = get(f"{REQUESTS}/{request.pk}", acme.pep_key).json["task"]["display"]
        assert display == {"title": "Denied", "description": "The people asked said no."}

    def test_can_be_cancelled_once(self, acme):
        request = opened(acme, fresh())
        path = (
            get(f"{REQUESTS}/{request.pk}", acme.pep_key)
            .json["task"]["links"]["cancel"]
            .removeprefix("http://testserver")
        )
        assert (
            post(path, acme.pep_key, {"reason": "not_needed", "comment": "done by hand"}).json["task"]["status"]
            == "cancelled"
        )
        assert error_of(post(path, acme.pep_key, {})) == (409, "invalid_task_state")
        assert "links" not in get(f"{REQUESTS}/{request.pk}", acme.pep_key).json["task"]

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_is_the_same_success_for_who_cancels_again_under_the_same_key(self, acme, method):
        path, key = f"{REQUESTS}/{opened(acme, fresh()).pk}/cancel", {"idempotency-key": f"c-{time.monotonic_ns()}"}
        replies = [run(send(method, path, acme.pep_key, {"reason": "not_needed"}, key)) for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 200]
        assert replies[0].json == replies[1].json

    def test_is_no_success_for_another_body_nor_for_anybody_else_under_that_key(self, acme):
        first, second, name = opened(acme, fresh()), opened(acme, fresh()), f"c-{time.monotonic_ns()}"
        path = f"{REQUESTS}/{first.pk}/cancel"
        assert post(path, acme.pep_key, {}, idempotency_key=name).status == 200
        assert error_of(post(path, acme.pep_key, {"reason": "x"}, idempotency_key=name)) == (409, "duplicate_request")
        other = f"{REQUESTS}/{second.pk}/cancel"
        assert error_of(post(other, acme.pep_key, {}, idempotency_key=name)) == (409, "duplicate_request")
        assert error_of(post(path, acme.agent_key, {}, idempotency_key=name)) == (409, "invalid_task_state")
        assert post(path, acme.pep_key, {}, idempotency_key="k" * 201).status == 422

    def test_can_be_cancelled_after_the_policy_changed(self):
        own = easy()
        request = opened(own, fresh())
        own.with_policy(POLICY + "# changed")
        reply = post(f"{REQUESTS}/{request.pk}/cancel", own.pep_key, {})
        assert (reply.status, reply.json["task"]["status"]) == (200, "cancelled")

    def test_can_not_be_cancelled_with_a_key_revoked_since(self):
        own = easy()
        request = opened(own, fresh())
        credentials.revoke(own.credential(own.pep_key), actor=SETUP, now=clock.now())
        assert post(f"{REQUESTS}/{request.pk}/cancel", own.pep_key, {}).status == 401


class TestUse:
    """ABUSE B over the API: what people approved serves one call of one caller, once, in time."""

    def refused(
        self, own: World, approval: Approval | str, body: dict[str, Any], reason: str, key: str | None = None
    ) -> Reply:
        reply = ask(key or own.pep_key, using(approval, body))
        assert (reply.json["decision"], reply.context["reason"]) == (False, reason)
        if not isinstance(approval, str):
            assert Approval.objects.get(pk=approval.pk).uses == 0
        assert not Execution.objects.filter(pk=reply.context["evaluation_id"]).exists()
        return reply

    def test_allows_the_very_call_and_hands_it_into_custody(self, acme):
        body = fresh()
        approval = approved(acme, body)
        reply = ask(acme.pep_key, using(approval, body))
        assert reply.told == (True, "allow", "rule")
        assert reply.context["approval"]["id"] == approval.pk
        row = Execution.objects.get(pk=reply.context["evaluation_id"])
        assert (row.status, row.request_id, row.deadline) == (
            Custody.RESERVED,
            approval.request_id,
            approval.expires_at,
        )
        statement = ledger.find(acme.slug, row.pk)
        assert statement is not None
        assert statement["predicate"]["entitlement"] == {"approval": approval.pk, "request": approval.request_id}
        assert statement["predicate"]["thread"]["id"] == approval.request_id

    def test_abuse_021_refuses_it_once_the_schema_was_widened(self):
        own = easy()
        body = fresh()
        approval = approved(own, body)
        schema = own.tenant.tools.get(tool_id="payments.refund").arguments_schema
        more = {name: {"type": "string"} for name in ("cc", "bcc", "webhook_url")}
        own.apply(tools=[{
            "id": "payments.refund", "group": "payments", "owner": own.username("carol"), "risk_tier": 3, "methods": ["create"],
            "arguments_schema": {**schema, "properties": {**schema["properties"], **more}},
            "approval": {"teams": ["finance"], "quorum": 1, "step_up": "none"},
        }])  # fmt: skip
        self.refused(own, approval, body, "out_of_scope")
        smuggling = {**body["context"]["arguments"], "webhook_url": "https://evil.test"}
        self.refused(own, approval, {**body, "context": {**body["context"], "arguments": smuggling}}, "out_of_scope")

    def test_abuse_023_refuses_one_field_changed(self, acme):
        body = fresh()
        reply = self.refused(
            acme,
            approved(acme, body),
            {**body, "context": {**body["context"], "arguments": {"order": "A-1", "amount": "250.01"}}},
            "out_of_scope",
        )
        assert reply.context["outcome"] == "escalate"
        assert reply.context["next_action"] == "request"
        assert "access_request" in reply.context

    @pytest.mark.parametrize(
        "change", [{"environment": {"files": {"a.py": "sha256:1"}}}, {"environment": {"cwd": "/srv"}}], ids=str
    )
    def test_abuse_024_refuses_another_environment(self, acme, change):
        body = fresh(environment={"cwd": "/srv", "files": {"a.py": "sha256:0"}})
        self.refused(acme, approved(acme, body), {**body, "context": {**body["context"], **change}}, "out_of_scope")

    def test_abuse_025_refuses_another_agent(self):
        own = easy()
        own.apply(
            agents=[
                {
                    "id": "support-two",
                    "owner": own.username("dana"),
                    "team": "support",
                    "intents": ["*"],
                    "tool_groups": ["*"],
                }
            ]
        )
        body = fresh()
        self.refused(
            own, approved(own, body), {**body, "subject": {"type": "agent", "id": "support-two"}}, "out_of_scope"
        )

    def test_abuse_026_refuses_another_tenant(self, acme):
        other, body = easy(), fresh()
        approval = approved(acme, body)
        self.refused(other, approval, body, "approval_unverifiable")

    @pytest.mark.races
    def test_abuse_027_allows_exactly_one_of_sixteen(self, acme):
        body = fresh()
        approval = approved(acme, body)
        replies = together([send("POST", EVALUATION, acme.pep_key, using(approval, body)) for _ in range(16)])
        assert {reply.status for reply in replies} == {200}
        assert sorted(reply.json["decision"] for reply in replies) == [False] * 15 + [True]
        assert {reply.context["reason"] for reply in replies if not reply.json["decision"]} == {"approval_used"}
        assert Approval.objects.get(pk=approval.pk).uses == 1

    def test_abuse_028_refuses_it_past_its_time(self):
        own = easy(approval={"quorum": 1, "step_up": "none", "approved_for": "1s"})
        body = fresh()
        approval = approved(own, body)
        time.sleep(max(0.0, (approval.expires_at - clock.now()).total_seconds()) + 0.002)
        self.refused(own, approval, body, "approval_expired")

    def test_abuse_029_refuses_it_after_a_revocation_it_waited_for(self, acme):
        body = fresh()
        approval = approved(acme, body)
        replies: list[Reply] = []
        if connection.vendor == "postgresql":
            with transaction.atomic():
                doors.revoke_approval(approval.pk, tenant_id=acme.tenant.pk, actor=SETUP, reason="no", now=clock.now())
                using_it = threading.Thread(target=lambda: replies.append(ask(acme.pep_key, using(approval, body))))
                using_it.start()
                time.sleep(0.3)
                assert not replies, "the use stands behind the revocation's lock"
            using_it.join(20)
        else:
            doors.revoke_approval(approval.pk, tenant_id=acme.tenant.pk, actor=SETUP, reason="no", now=clock.now())
            replies.append(ask(acme.pep_key, using(approval, body)))
        assert replies[0].told == (False, "escalate", "approval_expired")

    def test_abuse_030_refuses_it_under_a_newer_policy_that_denies(self):
        own = easy()
        body = fresh()
        approval = approved(own, body)
        own.with_policy("version: 1\nname: n\nrules:\n  - {id: stop, effect: deny}\n")
        self.refused(own, approval, body, "policy_denied")

    def test_abuse_031_refuses_it_after_the_tool_changed(self):
        own = easy()
        body = fresh()
        approval = approved(own, body)
        own.apply(tools=[{
            "id": "payments.refund", "group": "payments", "owner": own.username("carol"), "risk_tier": 3, "methods": ["create"],
            "arguments_schema": {"type": "object"}, "approval": {"teams": ["finance"], "quorum": 1, "step_up": "none"},
        }])  # fmt: skip
        self.refused(own, approval, body, "out_of_scope")

    def test_abuse_031_refuses_it_for_another_descriptor(self, acme):
        def seen(digest: str) -> dict[str, Any]:
            return {"type": "tool", "id": "payments.refund", "properties": {"descriptor_digest": digest}}

        body = fresh(resource=seen("sha256:" + "0" * 64))
        self.refused(acme, approved(acme, body), {**body, "resource": seen("sha256:" + "1" * 64)}, "out_of_scope")

    def test_abuse_032_refuses_a_guessed_id(self, acme):
        self.refused(acme, "apr_01m7yrs4803kz8xc6xrmfaterf", fresh(), "approval_unverifiable")

    def test_takes_no_task_for_an_approval_and_says_what_to_present(self, acme):
        body = fresh()
        waiting = opened(acme, body)
        for handle in (waiting.pk, "arq_01m7yrs4803kz8xc6xrmfaterf"):
            reply = self.refused(acme, handle, body, "approval_unverifiable")
            assert (reply.context["outcome"], reply.context["next_action"]) == ("deny", "none")
            assert "`result.approval`" in reply.context["reasons"][0]["message"]
        waiting.refresh_from_db()
        assert waiting.status == "pending"

    def test_abuse_033_believes_nothing_but_the_id(self, acme):
        body = fresh()
        approval = approved(acme, body)
        edited = using(approval, body)
        edited["context"]["approval"] |= {"approved_until": "2999-01-01T00:00:00Z", "uses": 99}
        assert ask(acme.pep_key, edited).told[0] is True
        assert ask(acme.pep_key, edited).context["reason"] == "approval_used"

    def test_abuse_034_refuses_it_to_another_pep(self, acme):
        body = fresh()
        approval = approved(acme, body)
        self.refused(acme, approval, body, "out_of_scope", key=acme.key("pep"))

    def test_abuse_148_gives_a_lost_allow_again_at_one_use(self, acme):
        body = fresh(attempt=f"u-{time.monotonic_ns()}")
        approval = approved(
            acme, {**body, "context": {name: value for name, value in body["context"].items() if name != "attempt"}}
        )
        replies = together([send("POST", EVALUATION, acme.pep_key, using(approval, body)) for _ in range(8)])
        assert len({reply.body for reply in replies}) == 1
        assert replies[0].told[0] is True
        assert Approval.objects.get(pk=approval.pk).uses == 1

    @pytest.mark.parametrize("presented", ["apr_01m7yrs4803kz8xc6xrmfaterf", "approved"])
    def test_abuse_030_makes_no_allow_good_again_that_was_given_without_it(self, presented):
        """An attempt that was allowed by policy alone, under a policy that asks people now."""
        own = easy()
        body = question(attempt="a-1", transaction="t-1")
        assert ask(own.pep_key, body).told == (True, "allow", "rule")
        own.with_policy(STRICTER)
        approval = approved(own, question(transaction="t-1")).pk if presented == "approved" else presented
        assert ask(own.pep_key, using(approval, body)).status == 409
        assert ask(own.pep_key, body).status == 409

    def test_abuse_029_repeats_no_answer_of_one_that_was_taken_back(self, acme):
        body = fresh()
        approval = approved(acme, body)
        attempt = using(approval, {**body, "context": {**body["context"], "attempt": f"r-{time.monotonic_ns()}"}})
        first = ask(acme.pep_key, attempt)
        assert (first.told[0], ask(acme.pep_key, attempt).body) == (True, first.body)
        doors.revoke_approval(
            approval.pk, tenant_id=acme.tenant.pk, actor=SETUP, reason="A mistake.", now=clock.now()
        )  # fmt: skip
        assert ask(acme.pep_key, attempt).status == 409

    def test_is_rolled_back_by_a_cap_that_is_used_up(self):
        own = easy(caps={"rate": ["1/day"]})
        assert ask(own.pep_key).told[0] is True
        body = fresh()
        self.refused(own, approved(own, body), body, "rate_cap")

    def test_is_judged_by_the_policy_of_now_not_by_what_this_process_remembers(self):
        own = easy()
        body = fresh()
        approval = approved(own, body)
        own.with_policy(
            POLICY.replace(
                "{teams: [finance], quorum: 2, step_up: totp}", "{teams: [finance], quorum: 2, step_up: none}"
            )
        )
        self.refused(own, approval, body, "out_of_scope")


class TestLongNames:
    def test_the_longest_name_of_an_entity_fits_its_request(self):
        """A type of 200 characters and an id of 300 are valid; the request's row must hold both together."""
        policy = (
            "version: 1\nname: long\nrules:\n  - id: all\n    effect: escalate\n"
            "    approval: {teams: [finance], quorum: 1}\n"
        )
        own = world(policy=policy)
        entity = {"type": "t" * 200, "id": "i" * 300}
        body = {"subject": entity, "action": {"name": "read"}, "resource": entity, "context": {"open_request": True}}
        reply = post(EVALUATION, own.key("pep", subjects=["t" * 200 + ":*"]), body)
        assert (reply.status, reply.context["outcome"]) == (200, "escalate")
        assert reply.context["access_request"]["task"]["status"] == "pending"
