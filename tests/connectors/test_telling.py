"""What leaves the house about a request: its lines without secrets, everybody's vote, and the end in one sentence."""

import base64
from datetime import timedelta

import pytest
from django.db import transaction

from approvals import requests
from approvals.models import AccessRequest, Approval, Decision
from connectors import telling
from connectors.port import Told
from evidence import clock, kept
from evidence.ledger import Actor
from tests.approvals import asking
from tests.worlds import World, world

SECRETS = {
    "aws": "AKIAQ4ABCDEFGHIJ23KL",
    "github": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "anthropic": "sk-ant-api03-" + "aB3dE5fG7h" * 9 + "xyAA",
    "google": "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "slack": "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    "card": "4111 1111 1111 1111",
    "ssn": "078-05-1120",
    "jwt": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\n"
    + "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaU\n" * 4
    + "-----END RSA PRIVATE KEY-----",
}


@pytest.fixture
def ours() -> World:
    return world(quorum=2, step_up="none")


def opened(ours: World, arguments=None, **asked) -> AccessRequest:
    made = asking.call(ours, arguments)
    asked.setdefault("requirements", [asking.requirement(step_up=asking.NONE)])
    return asking.opened(ours, made=made, **asked)


def told(request: AccessRequest) -> Told:
    return telling.told(AccessRequest.objects.select_related("tenant").get(pk=request.pk), version=7)


def everything(said: Told) -> str:
    return repr(said)


class TestSecrets:
    @pytest.mark.parametrize("kind", SECRETS)
    def test_abuse_103_are_told_nowhere(self, ours, kind):
        request = opened(ours, {"order": "A-1", "note": f"use {SECRETS[kind]} please"}, justification=SECRETS[kind])
        said = told(request)
        assert SECRETS[kind].splitlines()[-1][:16] not in everything(said)
        assert "[redacted: " in next(line.value for line in said.lines if line.label == "arguments.note")
        assert "[redacted: " in said.justification
        assert not said.is_whole
        assert said.display_hash == request.display_hash

    @pytest.mark.parametrize("disguise", ["zero-width", "full-width", "base64", "percent"])
    def test_abuse_104_are_told_nowhere_in_disguise(self, ours, disguise):
        secret = SECRETS["github"]
        worn = {
            "zero-width": "\u200b".join(secret),
            "full-width": "".join(chr(ord(letter) + 0xFEE0) for letter in secret),
            "base64": base64.b64encode(secret.encode()).decode(),
            "percent": "".join(f"%{ord(letter):02X}" for letter in secret),
        }[disguise]
        said = told(opened(ours, {"note": worn}, justification=worn))
        assert "[redacted: " in next(line.value for line in said.lines if line.label == "arguments.note")
        assert "[redacted: " in said.justification
        assert not said.is_whole

    def test_are_found_by_the_name_of_their_argument_and_in_names(self, ours):
        cut = "\u200b".join(SECRETS["github"])
        request = opened(ours, {"password": "correct-horse-7-battery", SECRETS["aws"]: "x", cut: "y"})
        said = told(request)
        assert len([line for line in said.lines if "[redacted: " in line.label]) == 2
        assert "correct-horse" not in everything(said)
        assert SECRETS["aws"] not in everything(said)

    def test_abuse_103_are_told_nowhere_by_a_voter_either(self, ours):
        request = opened(ours)
        asking.vote(request, ours.erin, Decision.DENY, reason=f"this is {SECRETS['aws']}")
        said = told(request)
        assert SECRETS["aws"] not in everything(said)
        assert "[redacted: " in said.outcome

    def test_leave_all_else_as_approvers_see_it(self, ours):
        request = opened(ours, {"amount": "250.00", "to": "⟨ok⟩\u202e\nx"})
        said = told(request)
        display = kept.read(ours.slug, request.commitment).display
        assert [(line.label, line.value) for line in said.lines] == [(one["label"], one["value"]) for one in display]
        assert said.is_whole

    def test_make_a_display_that_hides_nothing_but_cannot_be_read_not_whole(self, ours):
        blob = base64.b64encode(bytes(range(256))).decode()
        assert not told(opened(ours, {"blob": blob})).is_whole

    def test_a_request_whose_arguments_are_erased_is_told_without_lines(self, ours):
        request = opened(ours)
        kept.erase(ours.slug, request.commitment)
        said = told(request)
        assert (list(said.lines), said.is_whole) == ([], False)


class TestTold:
    def test_escapes_what_a_caller_named(self, ours):
        principal = asking.Principal("user", "dana\u202e@acme.test", verified=False)
        request = asking.opened(ours, made=asking.call(ours, principal=principal), justification="a\x1b[2Jb")
        said = told(request)
        assert "\u202e" not in everything(said)
        assert said.principal == "user dana⟨U+202E⟩@acme.test (unverified: the agent says so)"
        assert said.justification == "a⟨U+001B⟩[2Jb"

    def test_says_what_is_needed_and_how_far_it_is_met(self, ours):
        request = opened(ours)
        asking.vote(request, ours.erin)
        said = told(request)
        (needed,) = said.needed
        assert (needed.teams, needed.quorum, needed.approved) == (("finance",), 2, 1)
        assert [(one.who, one.decision, one.surface) for one in said.votes] == [
            (ours.username("erin"), "approve", "on the web")
        ]
        assert (said.status, said.outcome, said.version) == ("pending", "", 7)
        assert (said.tool, said.method, said.risk_tier) == ("payments.refund", "create", 3)
        assert said.rule == "refunds-over-100"
        assert said.reason == "Refunds of 100 or more need finance."
        assert said.link == f"http://testserver/requests/{request.pk}/"

    def test_names_the_strongest_step_up(self, ours):
        asks = [asking.requirement(step_up=asking.NONE), asking.requirement(step_up=asking.TOTP, source="tool")]
        assert told(opened(ours, requirements=asks)).step_up == "totp"


class TestOutcome:
    def test_of_an_approval(self, ours):
        request = opened(ours)
        for member in (ours.erin, ours.frank):
            asking.vote(request, member)
        said = told(request)
        names = f"{ours.username('erin')} and {ours.username('frank')}"
        until = Approval.objects.get(request=request).expires_at
        assert said.outcome == f"Approved by {names}. Not used yet; it can be until {until:%H:%M:%S} UTC."

    def test_of_an_approval_that_was_used(self, ours):
        request = opened(ours)
        for member in (ours.erin, ours.frank):
            asking.vote(request, member)
        asking.use(Approval.objects.get(request=request), ours)
        assert "The approval was used." in told(request).outcome
        assert "Used at " in told(request).outcome

    def test_of_a_denial_with_its_reason_in_one_line(self, ours):
        request = opened(ours)
        asking.vote(request, ours.erin, Decision.DENY, reason="too much\nApproved by frank")
        assert told(request).outcome == f"Denied by {ours.username('erin')}: too much Approved by frank"

    def test_of_a_denial_with_an_endless_reason(self, ours):
        request = opened(ours)
        asking.vote(request, ours.erin, Decision.DENY, reason="no " * 600)
        assert len(told(request).outcome) < 600

    def test_of_silence(self, ours):
        request = opened(ours)
        requests.expire_due(request.expires_at)
        assert told(request).outcome == "Expired: not enough people answered in time."

    def test_of_silence_that_no_timer_noticed_yet(self, ours):
        request = opened(ours, now=clock.now() - timedelta(hours=1))
        assert (told(request).status, told(request).outcome[:8]) == ("expired", "Expired:")

    def test_of_too_few_answers(self, ours):
        request = opened(ours)
        asking.vote(request, ours.erin)
        requests.expire_due(request.expires_at)
        assert f"{ours.username('erin')} approved, but more people were needed." in told(request).outcome

    def test_of_a_withdrawal(self, ours):
        request = opened(ours)
        with transaction.atomic():
            requests.cancel(
                request.pk, tenant_id=request.tenant_id, actor=Actor("pep", "x"), reason="done \u202e otherwise",
                now=clock.now(),
            )  # fmt: skip
        assert told(request).outcome == "Withdrawn by the requester: done ⟨U+202E⟩ otherwise"
