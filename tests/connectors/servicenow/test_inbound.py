"""What calls `/servicenow/webhook`: refused unless signed now, understood strictly, taken once."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from connectors import accounts
from connectors.port import Account
from connectors.servicenow import inbound
from connectors.servicenow.inbound import LOOK
from evidence import clock
from examples.lookalikes.servicenow.rule import signature
from outbox.models import Job
from tests.worlds import SETUP, World, world

SECRET = "a-secret-of-the-tests"
GIVEN = {"url": "http://127.0.0.1:1", "user": "countersign", "password": "x", "webhook_secret": SECRET}


@pytest.fixture(scope="module")
def acme(database: None) -> Iterator[World]:
    made = world()
    accounts.save(made.tenant, "servicenow", GIVEN, actor=SETUP, now=clock.now())
    yield made
    accounts.forget(made.tenant, "servicenow", actor=SETUP, now=clock.now())


def hint(**changes: Any) -> dict[str, Any]:
    return {"sys_id": secrets.token_hex(16), "mod_count": "1", "updated_by": "erin", **changes}


def call(body: bytes | dict[str, Any], *, secret: str = SECRET, at: str | None = None, **headers: str) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = str(int(time.time())) if at is None else at
    sent = {"x-countersign-timestamp": stamp, "x-countersign-signature": signature(secret, stamp, raw), **headers}
    answer = Client(raise_request_exception=False).post(
        "/servicenow/webhook", raw, content_type="application/json", headers=sent
    )
    return answer.status_code


def jobs(acme: World) -> int:
    return Job.objects.filter(kind=LOOK, tenant=acme.slug).count()


class TestWebhook:
    def test_abuse_076_refuses_what_has_no_signature(self, acme):
        before = jobs(acme)
        assert call(hint(), **{"x-countersign-signature": ""}) == 401
        answer = Client().post("/servicenow/webhook", json.dumps(hint()), content_type="application/json")
        assert answer.status_code == 401
        assert jobs(acme) == before

    def test_abuse_077_refuses_another_secret(self, acme):
        before = jobs(acme)
        assert call(hint(), secret="another") == 401
        assert jobs(acme) == before

    @pytest.mark.parametrize("late", [-301, 301])
    def test_abuse_078_refuses_a_signature_of_another_time(self, acme, late):
        assert call(hint(), at=str(int(time.time()) + late)) == 401

    def test_abuse_079_takes_an_exact_replay_once(self, acme):
        before, told, at = jobs(acme), hint(), str(int(time.time()))
        assert [call(told, at=at), call(told, at=at), call(told)] == [202, 202, 202]
        assert jobs(acme) == before + 1

    @pytest.mark.parametrize("stamp", ["abc", "", "1.0", "-1", "９" * 10, "1" * 11, "0" * 10])
    def test_abuse_080_answers_nonsense_in_the_timestamp_with_401(self, acme, stamp):
        assert call(hint(), **{"x-countersign-timestamp": stamp.encode("utf-8").decode("latin-1")}) == 401

    @pytest.mark.parametrize(
        "mark", ["v1=", "v1=é", "v1=" + "A" * 43, "v0=" + "A" * 43 + "=", "v1=" + "=" * 44, "\x80"]
    )
    def test_abuse_080_answers_nonsense_in_the_signature_with_401(self, acme, mark):
        assert call(hint(), **{"x-countersign-signature": mark}) == 401

    @pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"[]", b"null", b"{" * 5000, b'{"sys_id": 1}', b"1e999"])
    def test_abuse_080_answers_a_signed_body_that_says_nothing_with_400(self, acme, body):
        assert call(body) == 400

    def test_abuse_081_refuses_a_body_that_was_written_anew(self, acme):
        told, at = hint(), str(int(time.time()))
        mark = signature(SECRET, at, json.dumps(told).encode())
        anew = json.dumps(told, separators=(",", ":")).encode()
        assert call(anew, at=at, **{"x-countersign-signature": mark}) == 401

    def test_abuse_092_an_empty_secret_signs_nothing(self, acme):
        assert call(hint(), secret="") == 401
        for settings in ({"webhook_secret": ""}, {}):
            stamp, account = str(int(time.time())), Account("acme", 1, "servicenow", settings)
            mac = inbound.mac_of(stamp=stamp, signature=signature("", stamp, b"{}"))
            with pytest.raises(inbound.NotSigned):
                inbound.senders([account], mac=mac, stamp=stamp, body=b"{}")

    @pytest.mark.parametrize(
        ("changes", "queries"),
        [
            ({"x-countersign-signature": "v1="}, 0),
            ({"x-countersign-signature": "v1=" + "A" * 43}, 0),
            ({"x-countersign-timestamp": "abc"}, 0),
            ({"x-countersign-timestamp": "1000000000"}, 1),  # what time it is
        ],
    )
    def test_opens_nobodys_credentials_for_what_can_be_no_signature(self, acme, changes, queries):
        with CaptureQueriesContext(connection) as asked:
            assert call(hint(), **changes) == 401
        assert len(asked) == queries

    @pytest.mark.parametrize(
        "changes",
        [
            {"sys_id": "../x"}, {"sys_id": "A" * 32}, {"sys_id": None}, {"mod_count": "-1"}, {"mod_count": "1e3"},
            {"mod_count": 2**40}, {"mod_count": []}, {"updated_by": "a\nb"}, {"updated_by": 5}, {"updated_by": "x" * 300},
        ],
    )  # fmt: skip
    def test_understands_what_the_documented_rule_sends_and_nothing_else(self, acme, changes):
        before = jobs(acme)
        assert call(hint(**changes)) == 400
        assert jobs(acme) == before

    def test_takes_each_change_of_an_approval(self, acme):
        before, told = jobs(acme), hint()
        assert [call(told), call({**told, "mod_count": "2"})] == [202, 202]
        assert jobs(acme) == before + 2

    def test_reads_no_more_than_such_a_call_is_long(self, acme):
        assert call(b"x" * 16_385) == 413

    def test_answers_a_get_with_405_and_changes_nothing(self, acme):
        assert Client().get("/servicenow/webhook").status_code == 405

    def test_abuse_082_a_call_is_the_tenants_whose_secret_signed_it(self, acme):
        other = world()
        accounts.save(other.tenant, "servicenow", {**GIVEN, "webhook_secret": "other"}, actor=SETUP, now=clock.now())
        before = jobs(acme)
        assert call(hint(), secret="other") == 202
        assert (jobs(acme), jobs(other)) == (before, 1)
        accounts.forget(other.tenant, "servicenow", actor=SETUP, now=clock.now())
