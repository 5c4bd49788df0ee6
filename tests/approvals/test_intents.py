"""Votes begun in a chat: confirmed on our page by the same person, with their number and a fresh code, once."""

import re
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.test import Client

from approvals import intents, story
from approvals.models import AccessRequest, Decision, Intent, Status, Vote
from evidence import clock
from evidence.models import Record
from registry.models import Membership
from tests.approvals.asking import APPROVE, DENY, TOTP, enrolled, events, opened, requirement, unchanged
from tests.approvals.browsing import fresh_code, signed_in, text
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def secret(ours: World) -> str:
    return enrolled(ours.erin)


@pytest.fixture
def asked(ours: World) -> AccessRequest:
    return opened(ours, requirements=[requirement(step_up=TOTP, quorum=1)])


def begun(request: AccessRequest, member: Membership, decision: Decision = APPROVE, reason: str = "") -> Intent:
    return intents.begin(
        request, membership=member, decision=decision, reason=reason, surface="slack", now=clock.now()
    )  # fmt: skip


def path(intent: Intent) -> str:
    return f"/requests/{intent.request_id}/confirm/?intent={intent.pk}"


def confirm(client: Client, intent: Intent, **fields: str) -> HttpResponse:
    """What the form sends, as the page showed it."""
    sent = {"intent": intent.pk, "number": str(intent.number), "seen": intent.request.display_hash, "code": ""}
    return client.post(f"/requests/{intent.request_id}/confirm/", sent | fields)


def wrong(intent: Intent) -> str:
    return str(intent.number + 1 if intent.number < 99 else 10)


class TestRefusals:
    def test_another_persons_intent_is_as_absent_as_none(self, ours: World, asked: AccessRequest) -> None:
        intent = begun(asked, ours.erin)
        stranger = signed_in(ours.frank)
        assert stranger.get(path(intent)).status_code == 404
        with unchanged(asked):
            assert confirm(stranger, intent).status_code == 404
        assert signed_in(world().erin).get(path(intent)).status_code == 404
        assert signed_in(ours.erin).get(f"/requests/{asked.pk}/confirm/?intent=int_none").status_code == 404

    def test_an_intent_about_another_request_is_none_about_this(
        self, ours: World, secret: str, asked: AccessRequest
    ) -> None:
        other = opened(ours, requirements=[requirement(step_up=TOTP)])
        intent, client = begun(other, ours.erin), signed_in(ours.erin)
        sent = {"intent": intent.pk, "number": str(intent.number), "code": fresh_code(ours.erin, secret)}
        with unchanged(asked):
            refused = client.post(f"/requests/{asked.pk}/confirm/", sent | {"seen": asked.display_hash})
        assert refused.status_code == 404

    def test_three_wrong_numbers_burn_it(self, ours: World, secret: str, asked: AccessRequest) -> None:
        intent, client = begun(asked, ours.erin), signed_in(ours.erin)
        with unchanged(asked):
            for _ in range(3):
                refused = confirm(client, intent, number=wrong(intent), code=fresh_code(ours.erin, secret))
                assert refused.status_code == 401
            burned = confirm(client, intent, code=fresh_code(ours.erin, secret))
        assert burned.status_code == 410
        assert "Press the button again" in text(burned)
        assert events(asked) == ["request.opened", *["stepup.failed"] * 3]

    def test_a_wrong_number_burns_no_code(self, ours: World, secret: str, asked: AccessRequest) -> None:
        intent, client, code = begun(asked, ours.erin), signed_in(ours.erin), fresh_code(ours.erin, secret)
        assert confirm(client, intent, number=wrong(intent), code=code).status_code == 401
        assert confirm(client, intent, code=code).status_code == 302
        told = [moment.text for moment in story.story(asked, now=clock.now()).timeline]
        assert f"{ours.username('erin')} entered a number that was not the one shown" in told

    @pytest.mark.parametrize("code", ["", "000000", "not a code at all"])
    def test_the_number_alone_is_not_enough(self, ours: World, asked: AccessRequest, secret: str, code: str) -> None:
        intent = begun(asked, ours.erin)
        fresh_code(ours.erin, secret)
        with unchanged(asked):
            assert confirm(signed_in(ours.erin), intent, code=code).status_code == 401
        assert intents.is_open(intent, now=clock.now())

    def test_it_runs_out_after_five_minutes(self, ours: World, secret: str, asked: AccessRequest) -> None:
        intent, client = begun(asked, ours.erin), signed_in(ours.erin)
        Intent.objects.filter(pk=intent.pk).update(expires_at=clock.now())
        assert client.get(path(intent)).status_code == 410
        with unchanged(asked):
            assert confirm(client, intent, code=fresh_code(ours.erin, secret)).status_code == 410
        assert intent.expires_at - intent.created_at == timedelta(minutes=5)

    def test_a_newer_one_takes_its_place(self, ours: World, secret: str, asked: AccessRequest) -> None:
        older, newer = begun(asked, ours.erin), begun(asked, ours.erin)
        client = signed_in(ours.erin)
        with unchanged(asked):
            assert confirm(client, older, code=fresh_code(ours.erin, secret)).status_code == 410
        assert confirm(client, newer, code=fresh_code(ours.erin, secret)).status_code == 302

    def test_abuse_150_what_was_not_shown_is_refused(self, ours: World, secret: str, asked: AccessRequest) -> None:
        intent = begun(asked, ours.erin)
        with unchanged(asked):
            refused = confirm(
                signed_in(ours.erin), intent, seen="sha256:" + "0" * 64, code=fresh_code(ours.erin, secret)
            )
        assert refused.status_code == 409

    def test_abuse_054_opening_the_link_votes_nothing(self, ours: World, asked: AccessRequest) -> None:
        intent, client = begun(asked, ours.erin), signed_in(ours.erin)
        with unchanged(asked):
            assert client.get(path(intent)).status_code == 200
            assert client.head(path(intent)).status_code == 200
        assert intents.is_open(intent, now=clock.now())

    def test_abuse_055_a_form_without_its_token_is_refused(self, ours: World, asked: AccessRequest) -> None:
        intent = begun(asked, ours.erin)
        with unchanged(asked):
            assert confirm(signed_in(ours.erin, enforce_csrf_checks=True), intent).status_code == 403

    def test_abuse_038_the_agents_owner_is_refused(self, ours: World, asked: AccessRequest) -> None:
        intent, client = begun(asked, ours.dana), signed_in(ours.dana)
        assert "others decide" in text(client.get(path(intent)))
        with unchanged(asked):
            assert confirm(client, intent).status_code == 403

    def test_who_was_deactivated_since_finds_nothing(self, asked: AccessRequest) -> None:
        alone = world()
        intent, client = begun(opened(alone), alone.erin), signed_in(alone.erin)
        alone.tenant.memberships.filter(pk=alone.erin.pk).update(active=False)
        assert client.get(path(intent)).status_code == 403

    def test_the_database_keeps_it_within_a_tenant(self, ours: World, asked: AccessRequest) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            begun(asked, world().erin)


class TestConfirming:
    def test_casts_the_vote_that_was_begun(self, ours: World, secret: str, asked: AccessRequest) -> None:
        intent = begun(asked, ours.erin)
        done = confirm(signed_in(ours.erin), intent, code=fresh_code(ours.erin, secret))
        assert (done.status_code, done["Location"]) == (302, f"/requests/{asked.pk}/")
        vote = Vote.objects.get(request=asked)
        assert (vote.decision, vote.surface, vote.assurance) == ("approve", "slack+web", "totp")
        asked.refresh_from_db()
        assert asked.status == Status.APPROVED

    def test_a_denial_keeps_the_reason_given_there(self, ours: World, secret: str, asked: AccessRequest) -> None:
        intent = begun(asked, ours.erin, DENY, reason="Wrong account.")
        client = signed_in(ours.erin)
        assert "Wrong account." in text(client.get(path(intent)))
        confirm(client, intent, code=fresh_code(ours.erin, secret))
        assert Vote.objects.get(request=asked).reason == "Wrong account."
        asked.refresh_from_db()
        assert asked.status == Status.DENIED

    def test_abuse_044_a_second_press_votes_nothing_more(self, ours: World, secret: str, asked: AccessRequest) -> None:
        intent, client, code = begun(asked, ours.erin), signed_in(ours.erin), fresh_code(ours.erin, secret)
        assert confirm(client, intent, code=code).status_code == 302
        again = confirm(client, intent, code=code)
        assert again.status_code == 410
        assert "You voted: <strong>approve</strong>" in text(again)
        assert Vote.objects.filter(request=asked).count() == 1

    @pytest.mark.parametrize("typed", [" {} ", "{}\n", "full"])
    def test_a_number_is_read_as_people_type_it(
        self, ours: World, secret: str, asked: AccessRequest, typed: str
    ) -> None:
        intent = begun(asked, ours.erin)
        wide = str(intent.number).translate({code: code + 0xFEE0 for code in range(0x30, 0x3A)})
        number = wide if typed == "full" else typed.format(intent.number)
        assert (
            confirm(signed_in(ours.erin), intent, number=number, code=fresh_code(ours.erin, secret)).status_code == 302
        )

    def test_evidence_says_where_the_code_was_typed(self, ours: World, secret: str, asked: AccessRequest) -> None:
        confirm(signed_in(ours.erin), begun(asked, ours.erin), code=fresh_code(ours.erin, secret))
        passed = Record.objects.get(thread=asked.pk, event="stepup.passed")
        assert b'"surface":"web"' in bytes(passed.body)


class TestPage:
    def test_shows_the_request_in_full_and_never_the_number(
        self, ours: World, secret: str, asked: AccessRequest
    ) -> None:
        intent = begun(asked, ours.erin)
        response = signed_in(ours.erin).get(path(intent))
        page = text(response)
        assert "&quot;250.00&quot;" in page
        assert f'name="seen" value="{asked.display_hash}"' in page
        visible = re.sub(r"<input[^>]*>|<code>[^<]*</code>|\d\d:\d\d:\d\d|datetime=\"[^\"]*\"|sha256:\w+", "", page)
        assert f">{intent.number}<" not in visible
        assert "script-src 'self'" in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
        assert not re.search(r"<script>|style=|onclick", page)

    def test_leads_a_stranger_to_sign_in_and_back(self, ours: World, asked: AccessRequest) -> None:
        intent = begun(asked, ours.erin)
        away = Client().get(path(intent))
        assert away.status_code == 302
        assert away["Location"] == f"/sign-in/?next=/requests/{asked.pk}/confirm/%3Fintent%3D{intent.pk}"

    def test_says_where_to_get_an_authenticator(self, ours: World, asked: AccessRequest) -> None:
        assert "Set up an authenticator" in text(signed_in(ours.frank).get(path(begun(asked, ours.frank))))

    def test_a_decided_request_has_no_form(self, ours: World, secret: str, asked: AccessRequest) -> None:
        late = begun(asked, ours.frank)
        confirm(signed_in(ours.erin), begun(asked, ours.erin), code=fresh_code(ours.erin, secret))
        response = signed_in(ours.frank).get(path(late))
        assert response.status_code == 410
        assert "nothing left to decide" in text(response)
        assert 'id="confirm"' not in text(response)
