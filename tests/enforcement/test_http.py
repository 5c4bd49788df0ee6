"""What a caller may send, and what it is told when it may not."""

import json
import time

import pytest
from django.test import Client

from tests.enforcement import machine
from tests.enforcement.machine import EVALUATION, post, question, run, send
from tests.worlds import World, world


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(caps={})


def raw(**changes: str) -> bytes:
    """A question with one JSON text pasted in place of an argument's value."""
    text = json.dumps(question(arguments={"order": "A-1", "amount": "@"}))
    return text.replace('"@"', changes["amount"]).encode()


def nested(depth: int) -> bytes:
    return raw(amount="[" * depth + "]" * depth)


class TestArguments:
    """ABUSE A, as HTTP status."""

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            pytest.param(raw(amount='"1.00","amount":"2.00"'), 400, id="abuse_001_duplicate_key"),
            pytest.param(raw(amount='"1.00","\\u0061mount":"2.00"'), 400, id="abuse_002_duplicate_after_unescape"),
            pytest.param(raw(amount="9007199254740993"), 422, id="abuse_003_integer_beyond_2_53"),
            pytest.param(raw(amount="9223372036854775808"), 422, id="abuse_004_integer_2_63"),
            pytest.param(raw(amount="1e400"), 422, id="abuse_005_number_too_large"),
            pytest.param(raw(amount="NaN"), 400, id="abuse_006_nan"),
            pytest.param(raw(amount='"\\ud800"'), 422, id="abuse_007_lone_surrogate"),
            pytest.param(raw(amount='"a\\u0000b"'), 422, id="abuse_008_nul"),
            pytest.param(nested(5000), 400, id="abuse_009_depth_5000"),
            pytest.param(b"\xef\xbb\xbf" + json.dumps(question()).encode(), 400, id="abuse_010_byte_order_mark"),
            pytest.param(json.dumps(question()).encode() + b" {}", 400, id="abuse_011_second_document"),
            pytest.param(b'"allow"', 422, id="abuse_012_top_level_scalar"),
            pytest.param(b"", 400, id="empty"),
            pytest.param(b"{", 400, id="cut_off"),
        ],
    )
    def test_refuses_what_two_readers_could_read_differently(self, acme, body, status):
        reply = post(EVALUATION, acme.pep_key, body)
        assert reply.status == status
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json["status"] == status

    def test_abuse_013_tells_two_spellings_of_one_letter_apart(self, acme):
        composed, decomposed = (
            machine.ask(acme.pep_key, arguments={"order": name, "amount": "1.00"}) for name in ("\u00e9", "e\u0301")
        )
        assert composed.context["arguments_digest"] != decomposed.context["arguments_digest"]

    def test_abuse_019_denies_an_unknown_tool(self, acme):
        assert machine.ask(acme.pep_key, resource={"type": "tool", "id": "shell"}).told == (
            False,
            "deny",
            "unknown_tool",
        )

    def test_abuse_020_denies_arguments_off_schema(self, acme):
        reply = machine.ask(acme.pep_key, arguments={"order": 1, "amount": "10.00"})
        assert reply.told == (False, "deny", "arguments_schema")

    def test_abuse_021_denies_a_smuggled_argument_and_binds_the_schema(self):
        own = world(caps={})
        smuggled = machine.ask(
            own.pep_key, arguments={"order": "A", "amount": "1.00", "webhook_url": "https://evil.test"}
        )
        assert smuggled.told == (False, "deny", "arguments_schema")
        before = machine.ask(own.pep_key)
        tool = own.tenant.tools.get(tool_id="payments.refund")
        widened = dict(tool.arguments_schema)
        widened["properties"] = {**widened["properties"], "cc": {"type": "string"}}
        own.apply(tools=[_blueprint_of(tool, own) | {"arguments_schema": widened}])
        after = machine.ask(own.pep_key)
        assert after.told[0] is True
        assert after.context["arguments_digest"] == before.context["arguments_digest"]
        assert after.context["action_digest"] != before.context["action_digest"]


def _blueprint_of(tool, own: World) -> dict:
    return {
        "id": tool.tool_id, "group": tool.group, "owner": own.username("carol"), "risk_tier": tool.risk_tier,
        "methods": tool.methods, "approval": {"teams": ["finance"], "quorum": 2},
    }  # fmt: skip


class TestShape:
    @pytest.mark.parametrize("missing", ["subject", "action", "resource"])
    def test_asks_for_what_is_missing(self, acme, missing):
        body = question()
        del body[missing]
        reply = post(EVALUATION, acme.pep_key, body)
        assert (reply.status, missing in reply.json["detail"]) == (400, True)

    @pytest.mark.parametrize(
        "changes",
        [
            {"subject": {"type": "agent"}},
            {"subject": {"type": "agent", "id": 7}},
            {"subject": {"type": "agent", "id": ""}},
            {"subject": "support-bot"},
            {"resource": {"id": "payments.refund"}},
            {"action": {}},
            {"action": {"name": None}},
            {"arguments": []},
            {"arguments": "x"},
            {"environment": 1},
            {"intent": 3},
            {"principal": "dana"},
            {"principal": {"type": "user"}},
            {"usage": {"tokens": -1}},
            {"usage": {"tokens": True}},
            {"attempt": ""},
            {"approval": "apr_1"},
            {"approval": {}},
            {"open_request": "yes"},
            {"justification": 1},
            {"session": {}},
        ],
        ids=str,
    )
    def test_refuses_a_member_of_another_type(self, acme, changes):
        assert post(EVALUATION, acme.pep_key, question(**changes)).status == 400

    def test_refuses_null_where_absent_is_meant(self, acme):
        body = question()
        body["context"]["intent"] = None
        assert post(EVALUATION, acme.pep_key, body).status == 400

    def test_refuses_names_longer_than_it_can_keep(self, acme):
        assert post(EVALUATION, acme.pep_key, question(session="s" * 201)).status == 422

    def test_ignores_members_it_does_not_know(self, acme):
        body = question(future={"a": 1}) | {"more": True}
        assert post(EVALUATION, acme.pep_key, body).told[0] is True


class TestCredentials:
    @pytest.mark.parametrize(
        "authorization",
        ["", "Bearer", "Bearer nonsense", "Basic abc", "Bearer csk_pep_aaaaaaaaaaaa_" + "b" * 43],
    )
    def test_asks_strangers_for_a_credential(self, authorization):
        reply = run(send("POST", EVALUATION, None, question(), {"authorization": authorization}))
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")

    def test_refuses_a_wrong_secret_of_a_known_key(self, acme):
        forged = acme.pep_key[:-1] + ("a" if acme.pep_key[-1] != "a" else "b")
        assert machine.ask(acme.pep_key).status == 200
        assert machine.ask(forged).status == 401

    def test_refuses_the_kind_swapped(self, acme):
        assert machine.ask(acme.agent_key.replace("csk_agent_", "csk_pep_")).status == 401

    def test_lets_an_agent_speak_only_as_itself(self, acme):
        other = question(subject={"type": "agent", "id": "other-bot"})
        assert machine.ask(acme.agent_key).status == 200
        assert machine.ask(acme.agent_key, other).status == 403
        assert machine.ask(acme.agent_key, question(subject={"type": "user", "id": "support-bot"})).status == 403

    def test_lets_a_pep_speak_for_its_globs(self, acme):
        narrow = acme.key("pep", agents=["billing-*"], subjects=["user:*@acme.test"])
        assert machine.ask(narrow).status == 403
        assert machine.ask(narrow, question(subject={"type": "agent", "id": "billing-7"})).status == 200
        assert machine.ask(narrow, question(subject={"type": "user", "id": "ann@acme.test"})).status == 200
        assert machine.ask(narrow, question(subject={"type": "user", "id": "ann@evil.test"})).status == 403

    def test_refuses_keys_that_are_not_for_asking(self, acme):
        assert machine.ask(acme.key("verifier")).status == 403
        assert machine.ask(acme.person_key("dana", "read")).status == 403

    def test_knows_who_speaks_before_it_reads_what_is_said(self):
        assert post(EVALUATION, "csk_pep_aaaaaaaaaaaa_" + "b" * 43, b"{").status == 401


class TestRoutes:
    def test_echoes_the_request_id_or_makes_one(self, acme):
        assert (
            run(send("POST", EVALUATION, acme.pep_key, question(), {"x-request-id": "abc-1"})).headers["x-request-id"]
            == "abc-1"
        )
        assert machine.ask(acme.pep_key).headers["x-request-id"].startswith("req_")
        assert machine.ask("nobody").headers["x-request-id"].startswith("req_")

    def test_does_not_echo_what_could_break_a_header(self, acme):
        reply = run(send("POST", EVALUATION, acme.pep_key, question(), {"x-request-id": "a\r\nset-cookie: b"}))
        assert reply.headers["x-request-id"].startswith("req_")

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
    def test_takes_only_json(self, acme, kind):
        assert run(send("POST", EVALUATION, acme.pep_key, question(), {"content-type": kind})).status == 400

    def test_takes_json_with_parameters(self, acme):
        kind = {"content-type": "Application/JSON; charset=utf-8"}
        assert run(send("POST", EVALUATION, acme.pep_key, question(), kind)).status == 200

    def test_names_the_method_it_wants(self, acme):
        reply = run(send("GET", EVALUATION, acme.pep_key))
        assert (reply.status, reply.headers["allow"]) == (405, "POST")

    @pytest.mark.parametrize("path", ["/access/v1/", "/access/v1/evaluation/", "/access/v1/requests/x/votes"])
    def test_knows_nothing_elsewhere(self, acme, path):
        assert post(path, acme.pep_key, {}).status == 404

    def test_describes_itself(self):
        told = machine.get("/.well-known/authzen-configuration", None)
        assert told.status == 200
        assert told.json == {
            "policy_decision_point": "http://testserver",
            "access_evaluation_endpoint": "http://testserver/access/v1/evaluation",
            "access_evaluations_endpoint": "http://testserver/access/v1/evaluations",
            "search_subject_endpoint": "http://testserver/access/v1/search/subject",
            "search_resource_endpoint": "http://testserver/access/v1/search/resource",
            "search_action_endpoint": "http://testserver/access/v1/search/action",
            "access_request_endpoint": "http://testserver/access/v1/requests",
            "jwks_uri": "http://testserver/access/v1/jwks",
            "capabilities": ["urn:openid:authzen:capability:access-request"],
            "supported_obligations": ["cap", "custom", "log", "notification", "redact", "step-up"],
            "specification": "https://github.com/openid/authzen/tree/e287920",
        }

    def test_describes_a_tenant_without_saying_whether_it_exists(self):
        told = machine.get("/.well-known/authzen-configuration/acme", None)
        assert told.json["policy_decision_point"] == "http://testserver/acme"
        assert machine.get("/.well-known/authzen-configuration/a/b", None).status == 404
        assert machine.get("/.well-known/authzen-configurationx", None).status == 404


@pytest.mark.urls("enforcement.urls")
class TestDjangoView:
    def test_answers_like_the_hot_path(self, acme):
        client = Client(headers={"authorization": f"Bearer {acme.pep_key}"})
        reply = client.post(EVALUATION, question(), content_type="application/json")
        assert (reply.status_code, reply.json()["decision"]) == (200, True)
        assert reply["x-request-id"]

    def test_abuse_018_refuses_a_body_over_the_limit(self, acme):
        client = Client(headers={"authorization": f"Bearer {acme.pep_key}"})
        began = time.monotonic()
        reply = client.post(EVALUATION, b"x" * 10_000_000, content_type="application/json")
        assert reply.status_code == 413
        assert time.monotonic() - began < 5


class TestPath:
    @pytest.mark.parametrize("rest", ["a\0", "a\0/cancel"])
    def test_abuse_008_a_name_with_nul_is_of_nothing(self, acme, rest):
        method = "POST" if rest.endswith("cancel") else "GET"
        assert run(send(method, f"/access/v1/requests/{rest}", acme.pep_key, {})).status == 404
