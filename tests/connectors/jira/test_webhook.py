"""What comes in at `/jira/webhook`: signed by an administrator's secret, taken once, believed never."""

import json
from collections.abc import Callable

import httpx2
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from connectors.jira import inbound
from connectors.port import Account
from examples.lookalikes.jira.hooks import signature
from outbox.models import Job
from tests.connectors.jira.world import SECRET, Desk

NewDesk = Callable[..., Desk]


def body(desk: Desk, issue_id: str = "") -> bytes:
    return json.dumps({"webhookEvent": "comment_created", "issue": {"id": issue_id or "1"}}).encode()


def told(desk: Desk) -> bytes:
    """About a real issue."""
    return body(desk, desk.issue(desk.opened()).id)


def post(hook: str, content: bytes, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.post(hook, content=content, headers={"Content-Type": "application/json", **given}).status_code


def looks(desk: Desk) -> int:
    return Job.objects.filter(tenant=desk.acme.slug, kind=inbound.LOOK).count()


class TestSignature:
    def test_lets_in_what_is_signed(self, desk: Desk, hook: str):
        content = told(desk)
        before = looks(desk)
        assert post(hook, content, X_Hub_Signature=signature(SECRET, content)) == 200
        assert looks(desk) == before + 1

    def test_abuse_086_an_unsigned_hook(self, desk: Desk, hook: str):
        content = told(desk)
        before = looks(desk)
        assert post(hook, content) == 401
        assert looks(desk) == before

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "sha256=",
            "sha256=" + "0" * 64,
            "sha256=" + "0" * 63,
            "sha1=" + "0" * 40,
            "sha256=" + "ü" * 64,
            "sha256=" + "٠" * 64,
        ],
    )
    def test_abuse_086_a_signature_that_is_none(self, desk: Desk, hook: str, given: str):
        content = told(desk)
        headers = {"X-Hub-Signature": given.encode("utf-8"), "Content-Type": "application/json"}
        assert httpx2.post(hook, content=content, headers=headers).status_code == 401

    def test_abuse_086_with_a_wrong_secret_or_an_empty_one(self, desk: Desk, hook: str):
        content = told(desk)
        for secret in ("wrong", "", SECRET.upper()):
            assert post(hook, content, X_Hub_Signature=signature(secret, content)) == 401
        empty = Account("acme", 1, "jira", {"webhook_secret": ""})
        with pytest.raises(inbound.NotSigned):
            inbound.senders([empty], mac=inbound.mac_of(signature("", content)), body=content)

    @pytest.mark.parametrize("given", ["", "sha256=", "sha1=" + "0" * 40, "sha256=" + "0" * 65])
    def test_opens_nobodys_credentials_for_what_can_be_no_signature(self, desk: Desk, given: str):
        with CaptureQueriesContext(connection) as asked:
            answer = Client().post("/jira/webhook", b"{}", "application/json", headers={"X-Hub-Signature": given})
        assert (answer.status_code, len(asked)) == (401, 0)

    def test_abuse_081_a_body_that_was_written_anew(self, desk: Desk, hook: str):
        content = told(desk)
        again = json.dumps(json.loads(content), indent=1).encode()
        assert post(hook, again, X_Hub_Signature=signature(SECRET, content)) == 401

    def test_finds_the_tenant_by_whose_secret_it_is(self, new_desk: NewDesk, hook: str):
        one, two = new_desk(), new_desk(secret="another-secret")
        content = told(one)
        before = looks(one)
        assert post(hook, content, X_Hub_Signature=signature("another-secret", content)) == 200
        assert (looks(one), looks(two)) == (before, 0)


class TestShape:
    @pytest.mark.parametrize("content", [b"", b"x", b"[]", b"\xff", b'{"issue": 1}', b'{"issue": {}}', b"[" * 100_000])
    def test_refuses_what_is_no_hook(self, desk: Desk, hook: str, content: bytes):
        assert post(hook, content, X_Hub_Signature=signature(SECRET, content)) == 400

    @pytest.mark.parametrize(
        "content", [b"{}", b'{"issue": null}', b'{"issue": {"id": "x"}}', b'{"issue": {"id": "7"}}']
    )
    def test_takes_no_notice_of_what_is_no_issue_of_ours(self, desk: Desk, hook: str, content: bytes):
        assert post(hook, content, X_Hub_Signature=signature(SECRET, content)) == 200
        assert looks(desk) == 0

    def test_refuses_to_be_read_and_what_is_too_long(self, desk: Desk, hook: str):
        assert httpx2.get(hook).status_code == 405
        content = b'{"x": "' + b"y" * 3_000_000 + b'"}'
        assert post(hook, content, X_Hub_Signature=signature(SECRET, content)) == 413


class TestRepetition:
    def test_abuse_087_a_redelivery_half_an_hour_later(self, desk: Desk):
        request = desk.opened()
        desk.says(desk.erin, request, "/approve")
        before = looks(desk)
        (delivery,) = [
            one for one in desk.server.hooks.delivered if one.event == "comment_created" and b"/approve" in one.body
        ]
        assert desk.server.hooks.redeliver(delivery) == 200
        assert looks(desk) == before
        assert len(desk.votes(request)) == 1

    def test_abuse_087_nor_under_another_name_or_none(self, desk: Desk):
        request = desk.opened()
        desk.says(desk.erin, request, "/approve")
        said = desk.said(request)
        for delivery in list(desk.server.hooks.delivered):
            assert desk.server.hooks.redeliver(delivery, identifier="replayed-by-somebody") == 200
        desk.settle()
        assert len(desk.votes(request)) == 1
        assert desk.said(request) == said

    def test_abuse_087_has_us_read_once_however_it_is_named(self, desk: Desk, hook: str):
        content = told(desk)
        before = looks(desk)
        for name in ("first", "second", "third"):
            headers = {"X_Hub_Signature": signature(SECRET, content), "X_Atlassian_Webhook_Identifier": name}
            assert post(hook, content, **headers) == 200
        assert looks(desk) == before + 1

    def test_takes_the_bytes_for_a_name_where_jira_gives_none(self, desk: Desk, hook: str):
        content = told(desk)
        before = looks(desk)
        for _ in range(2):
            assert post(hook, content, X_Hub_Signature=signature(SECRET, content)) == 200
        assert looks(desk) == before + 1


class TestWhatIsNotOffered:
    def test_abuse_090_a_token_in_the_place_of_a_signature(self, desk: Desk, hook: str):
        jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhY21lIn0.c2lnbmF0dXJl"
        content = told(desk)
        assert post(hook, content, Authorization=f"JWT {jwt}") == 401
        assert post(f"{hook}?jwt={jwt}", content) == 401

    @pytest.mark.parametrize(
        "path",
        ["/jira/installed", "/jira/install", "/jira/uninstalled", "/jira/connect", "/jira", "/atlassian-connect.json"],
    )
    def test_abuse_091_an_install_callback(self, hook: str, path: str, database: None):
        origin = hook.removesuffix("/jira/webhook")
        answer = httpx2.post(f"{origin}{path}", json={"sharedSecret": "mine", "clientKey": "x"})
        assert answer.status_code in {403, 404}  # 403: without a session nothing else is told
        assert httpx2.get(f"{origin}{path}").status_code == 404
