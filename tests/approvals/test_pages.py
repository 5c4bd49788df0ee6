"""The request page and its form: who may vote, on what, with which code, and what is shown."""

import html
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client

from approvals import shown, totp
from approvals.models import AccessRequest, Status, Vote
from countersign.policy.values import Principal
from evidence import clock
from evidence.models import Record
from registry import people
from registry.models import Membership
from tests.approvals import asking
from tests.approvals.asking import DENY, TOTP, call, enrolled, opened, requirement, unchanged
from tests.approvals.browsing import by_key, fresh_code, post, signed_in, text, vote
from tests.worlds import SETUP, World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def theirs(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def secret(ours: World) -> str:
    return enrolled(ours.erin)


@pytest.fixture
def alone(database: None) -> World:
    """For tests that change people."""
    return world()


def with_code(ours: World) -> AccessRequest:
    return opened(ours, requirements=[requirement(step_up=TOTP)])


def without_token(response: HttpResponse) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text(response))


def second_account(ours: World) -> Membership:
    local, domain = ours.erin.user.email.split("@")
    name = f"erin2-{ours.suffix}"
    return people.add(
        name, email=f"{local}+two@{domain}", tenant=ours.tenant, teams=["finance"], actor=SETUP, now=clock.now()
    )  # fmt: skip


class TestWhoMayVote:
    def test_abuse_037_who_asked_is_refused_with_words(self, ours: World) -> None:
        request = opened(ours, token=ours.person_key("erin", "read"))
        with unchanged(request):
            response = vote(signed_in(ours.erin), request)
        assert response.status_code == 403
        assert "others decide" in text(response)

    def test_abuse_038_the_agents_owner_is_refused(self, alone: World) -> None:
        people.put_in_teams(alone.dana, ["finance"])
        request = opened(alone)
        with unchanged(request):
            assert vote(signed_in(alone.dana), request).status_code == 403

    def test_abuse_039_one_human_on_web_and_api_is_one_vote(self, ours: World) -> None:
        request = opened(ours)
        assert vote(signed_in(ours.erin), request).status_code == 302
        body = {"decision": "approve", "seen": request.display_hash}
        assert post(by_key(ours, "erin", "vote"), f"/api/v1/requests/{request.pk}/votes", body).status_code == 201
        request.refresh_from_db()
        assert (request.votes.count(), request.status) == (1, Status.PENDING)

    def test_abuse_040_a_second_account_of_the_human_adds_nothing(self, alone: World) -> None:
        request = opened(alone)
        vote(signed_in(alone.erin), request)
        vote(signed_in(second_account(alone)), request)
        request.refresh_from_db()
        assert (request.votes.count(), request.status) == (1, Status.PENDING)

    def test_abuse_045_who_was_deactivated_since_the_page_is_signed_out(self, alone: World) -> None:
        request = opened(alone)
        client = signed_in(alone.erin)
        assert client.get(f"/requests/{request.pk}/").status_code == 200
        user = alone.erin.user
        user.is_active = False
        user.save()
        with unchanged(request):
            response = vote(client, request)
        assert response["Location"].startswith("/sign-in/")

    def test_abuse_045_who_is_no_member_any_more_is_told_so(self, alone: World) -> None:
        request = opened(alone)
        client = signed_in(alone.erin)
        Membership.objects.filter(pk=alone.erin.pk).update(active=False)
        with unchanged(request):
            assert vote(client, request).status_code == 403

    def test_abuse_046_who_left_the_team_since_the_page_is_refused(self, alone: World) -> None:
        request = opened(alone)
        client = signed_in(alone.erin)
        assert "Approve</button>" in text(client.get(f"/requests/{request.pk}/"))
        people.put_in_teams(alone.erin, [])
        with unchanged(request):
            assert vote(client, request).status_code == 403

    def test_who_may_not_vote_sees_why_and_no_form(self, ours: World) -> None:
        page = text(signed_in(ours.ada).get(f"/requests/{opened(ours).pk}/"))
        assert "Only members of the teams" in page
        assert "Approve</button>" not in page


class TestWhatIsVotedOn:
    def test_abuse_041_after_its_end_nothing_counts(self, ours: World) -> None:
        request = opened(ours, now=clock.now() - timedelta(hours=1))
        client = signed_in(ours.erin)
        page = text(client.get(f"/requests/{request.pk}/"))
        assert "Expired" in page
        assert "Approve</button>" not in page
        with unchanged(request):
            assert vote(client, request).status_code == 409

    def test_abuse_042_a_denied_request_stays_denied(self, ours: World) -> None:
        request = opened(ours)
        vote(signed_in(ours.frank), request, "deny")
        with unchanged(request):
            response = vote(signed_in(ours.erin), request)
        assert response.status_code == 409
        assert "decided or closed" in text(response)

    def test_abuse_043_approve_after_deny_leaves_one_state(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(quorum=1)])
        assert vote(signed_in(ours.frank), request, "deny").status_code == 302
        assert vote(signed_in(ours.carol), request, "approve").status_code == 409
        request.refresh_from_db()
        assert request.status == Status.DENIED
        assert not hasattr(request, "approval")

    def test_abuse_044_a_double_click_is_one_vote(self, ours: World) -> None:
        request = opened(ours)
        client = signed_in(ours.erin)
        assert [vote(client, request).status_code for _ in range(2)] == [302, 302]
        assert request.votes.count() == 1

    def test_a_changed_mind_is_told_that_a_vote_stands(self, ours: World) -> None:
        request = opened(ours)
        client = signed_in(ours.erin)
        vote(client, request)
        response = vote(client, request, "deny")
        assert response.status_code == 409
        assert "a vote stands" in text(response)

    @pytest.mark.parametrize("seen", ["", "sha256:" + "0" * 64])
    def test_abuse_150_another_display_than_was_shown_is_refused(self, ours: World, seen: str) -> None:
        request = opened(ours)
        with unchanged(request):
            response = vote(signed_in(ours.erin), request, seen=seen)
        assert response.status_code == 409
        assert "Read it again" in text(response)

    def test_abuse_150_the_display_of_one_request_does_not_approve_another(self, ours: World) -> None:
        shown, other = opened(ours), opened(ours)
        with unchanged(other):
            assert vote(signed_in(ours.erin), other, seen=shown.display_hash).status_code == 409

    def test_a_decision_that_is_none_is_refused(self, ours: World) -> None:
        request = opened(ours)
        with unchanged(request):
            assert vote(signed_in(ours.erin), request, "maybe").status_code == 400


class TestCodes:
    def test_without_a_code_the_vote_does_not_count(self, ours: World, secret: str) -> None:
        request = with_code(ours)
        with unchanged(request):
            response = vote(signed_in(ours.erin), request, reason="half typed")
        assert response.status_code == 401
        assert "half typed" in text(response)
        assert 'aria-invalid="true"' in text(response)

    def test_abuse_060_a_code_counts_once(self, ours: World, secret: str) -> None:
        first, second = with_code(ours), with_code(ours)
        client = signed_in(ours.erin)
        code = fresh_code(ours.erin, secret)
        assert vote(client, first, code=code).status_code == 302
        with unchanged(second):
            response = vote(client, second, code=code)
        assert response.status_code == 401
        assert "used already" in text(response)

    def test_abuse_062_the_code_may_be_spaced_as_people_type_it(self, ours: World, secret: str) -> None:
        code = fresh_code(ours.erin, secret)
        assert vote(signed_in(ours.erin), with_code(ours), code=f" {code[:3]} {code[3:]} ").status_code == 302

    def test_abuse_064_two_hundred_wrong_codes_from_many_addresses_are_one_persons(self, alone: World) -> None:
        seed = enrolled(alone.erin)
        request = with_code(alone)
        client = signed_in(alone.erin)
        statuses = []
        for n in range(200):
            client.defaults.update(HTTP_X_FORWARDED_FOR=f"10.0.{n // 250}.{n % 250}", REMOTE_ADDR=f"10.1.0.{n % 250}")
            statuses.append(vote(client, request, code="000000").status_code)
        assert statuses[:5] == [401] * 5
        assert statuses.count(401) < 15
        assert statuses[-1] == 429
        with unchanged(request):
            response = vote(client, request, code=asking.code(seed, clock.now()))
        assert response.status_code == 429
        assert "Too many wrong codes. Use a new one after" in text(response)

    def test_to_deny_needs_the_code_too(self, ours: World, secret: str) -> None:
        request = with_code(ours)
        client = signed_in(ours.erin)
        with unchanged(request):
            assert vote(client, request, "deny").status_code == 401
        assert vote(client, request, "deny", code=fresh_code(ours.erin, secret)).status_code == 302
        request.refresh_from_db()
        assert request.status == Status.DENIED

    def test_abuse_071_one_enrolled_just_now_is_told_from_when_it_counts(self, alone: World) -> None:
        seed = enrolled(alone.erin, ago=timedelta(0))
        request = with_code(alone)
        client = signed_in(alone.erin)
        at = totp.counts_from(alone.erin.user, now=clock.now())
        assert f"{at:%H:%M:%S} UTC</time>" in text(client.get(f"/requests/{request.pk}/"))
        with unchanged(request):
            response = vote(client, request, code=asking.code(seed, clock.now()))
        assert response.status_code == 401
        assert f"It counts from {at:%H:%M:%S} UTC." in text(response)

    def test_one_that_counts_needs_no_such_word(self, ours: World, secret: str) -> None:
        assert "a new one waits" not in text(signed_in(ours.erin).get(f"/requests/{with_code(ours).pk}/"))

    def test_who_has_no_authenticator_is_led_to_one(self, ours: World) -> None:
        page = text(signed_in(ours.carol).get(f"/requests/{with_code(ours).pk}/"))
        assert "Set up an authenticator" in page
        assert "Approve</button>" not in page


class TestOutsiders:
    @pytest.mark.parametrize("path", ["", "live/", "vote/"])
    def test_abuse_057_another_tenants_request_is_not_there(self, ours: World, theirs: World, path: str) -> None:
        client = signed_in(ours.erin)
        request = opened(theirs)
        absent = client.get(f"/requests/arq_{'0' * 26}/{path}")
        found = client.get(f"/requests/{request.pk}/{path}")
        assert found.status_code == absent.status_code == 404
        assert without_token(found) == without_token(absent)

    def test_abuse_057_another_tenants_request_takes_no_vote(self, ours: World, theirs: World) -> None:
        request = opened(theirs)
        with unchanged(request):
            assert vote(signed_in(ours.erin), request).status_code == 404

    def test_a_stranger_is_asked_to_sign_in_and_comes_back(self, ours: World) -> None:
        request = opened(ours)
        response = Client().get(f"/requests/{request.pk}/")
        assert response["Location"] == f"/sign-in/?next=/requests/{request.pk}/"

    def test_an_open_page_whose_session_ended_leads_to_signing_in(self, ours: World) -> None:
        path = f"/requests/{opened(ours).pk}/"
        told = {"HX-Request": "true", "HX-Current-URL": f"https://evil.test{path}"}
        response = Client(headers=told).get(f"{path}live/")
        assert (response.status_code, response["HX-Redirect"]) == (204, f"/sign-in/?next={path}")

    def test_who_returns_to_the_form_by_get_is_shown_the_request(self, ours: World) -> None:
        request = opened(ours)
        with unchanged(request):
            response = signed_in(ours.erin).get(f"/requests/{request.pk}/vote/?decision=approve")
        assert response["Location"] == f"/requests/{request.pk}/"


HOSTILE = {
    "to": "pay\u202eeeb@acme.test", "zw": "bob\u200b@acme.test", "html": "</dd><script>alert(1)</script>",
    "note": "x" * 3000, "ansi": "\x1b[2K\rall fine", "lines": "one\nArguments: none", "k\u202e": [1, None, {"a": {}}],
    **{f"number_{n}": n for n in range(40)},
}  # fmt: skip
TRICKS = "\u202e\u200b\x1b\r"


@pytest.fixture
def hostile(alone: World) -> AccessRequest:
    asked = call(alone, HOSTILE, principal=Principal("user", "\u202eevil@acme.test"), transaction="case\u202e",
                 subject_id="bot\u200b", action_name="create\u202e", session="s\u200b")  # fmt: skip
    return opened(alone, made=asked, justification="harmless\u202e<b>")


class TestShown:
    def test_abuse_016_every_line_is_there_whole_and_nothing_hides(self, alone: World, hostile: AccessRequest) -> None:
        page = text(signed_in(alone.frank).get(f"/requests/{hostile.pk}/"))
        for line in shown.lines_of(hostile):
            assert line["value"] in html.unescape(page), line
        assert "<script>alert" not in page
        assert not set(TRICKS) & set(page)

    def test_abuse_016_lists_show_it_escaped_too(self, alone: World, hostile: AccessRequest) -> None:
        client = signed_in(alone.frank)
        for path in ("/", "/inbox/", "/inbox/rows/", "/inbox/?agent=bot%E2%80%8B"):
            page = text(client.get(path))
            assert hostile.pk in page, path
            assert not set(TRICKS) & set(page), path

    def test_abuse_022_the_agents_words_come_after_the_arguments_and_are_called_unchecked(
        self, alone: World, hostile: AccessRequest
    ) -> None:
        page = text(signed_in(alone.frank).get(f"/requests/{hostile.pk}/"))
        assert page.index("What would happen") < page.index("arguments.") < page.index("Nobody checked this")
        assert page.index("Nobody checked this") < page.index("harmless")

    def test_a_voters_reason_cannot_hide_anything_either(self, ours: World) -> None:
        request = opened(ours)
        vote(signed_in(ours.erin), request, reason="fine \u202eenif <b>")
        page = text(signed_in(ours.frank).get(f"/requests/{request.pk}/"))
        assert "\u202e" not in page
        assert "fine ⟨U+202E⟩enif &lt;b&gt;" in page

    def test_after_the_approval_the_page_says_until_when_it_may_be_used(self, ours: World) -> None:
        request = opened(ours)
        vote(signed_in(ours.erin), request)
        vote(signed_in(ours.frank), request)
        page = text(signed_in(ours.frank).get(f"/requests/{request.pk}/"))
        assert "Approved, and not used yet." in page

    def test_after_the_use_the_page_says_so(self, ours: World) -> None:
        approval = asking.approved(ours)
        asking.use(approval, ours)
        page = text(signed_in(ours.frank).get(f"/requests/{approval.request_id}/"))
        assert "The approval was used." in page


class TestLive:
    def version(self, page: str) -> str:
        return page.split("was=")[1].split('"', maxsplit=1)[0]

    def test_tells_nothing_where_nothing_changed(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(expires_in=timedelta(days=3))])
        client = signed_in(ours.frank)
        was = self.version(text(client.get(f"/requests/{request.pk}/")))
        path = f"/requests/{request.pk}/live/?state=pending&was={was}"
        assert client.get(path).status_code == 204
        vote(signed_in(ours.erin), request)
        response = client.get(path)
        assert ours.username("erin") in text(response)
        assert 'name="code"' not in text(response)

    def test_takes_the_form_away_when_others_decided(self, ours: World) -> None:
        request = opened(ours)
        asking.vote(request, ours.erin, DENY)
        response = signed_in(ours.frank).get(f"/requests/{request.pk}/live/?state=pending")
        assert (response.status_code, response["HX-Refresh"]) == (204, "true")


class TestNoChangeOnGet:
    @pytest.fixture
    def state(self, ours: World) -> Iterator[AccessRequest]:
        request = opened(ours)
        before = Record.objects.filter(log=ours.slug).count()
        with unchanged(request):
            yield request
        assert Record.objects.filter(log=ours.slug).count() == before

    @pytest.mark.parametrize("path", ["", "live/", "vote/?decision=approve", "vote/?decision=deny"])
    @pytest.mark.parametrize("method", ["get", "head"])
    def test_abuse_054_a_preview_or_prefetch_changes_nothing(
        self, ours: World, state: AccessRequest, path: str, method: str
    ) -> None:
        client = signed_in(ours.erin, headers={"Sec-Purpose": "prefetch"})
        getattr(client, method)(f"/requests/{state.pk}/{path}")
        assert not Vote.objects.filter(request=state).exists()


class TestForgery:
    @pytest.mark.parametrize(
        "path",
        ["vote/", "/sign-out/", "/account/authenticator/", "/account/authenticator/confirm/", "/account/tenant/"],
    )
    def test_abuse_055_a_form_of_another_site_is_refused(self, ours: World, path: str) -> None:
        request = opened(ours)
        client = signed_in(ours.erin, enforce_csrf_checks=True)
        whole = path if path.startswith("/") else f"/requests/{request.pk}/{path}"
        with unchanged(request):
            response = client.post(whole, {"decision": "approve", "seen": request.display_hash})
        assert response.status_code == 403
        assert "This form is too old" in text(response)

    def test_abuse_055_a_session_alone_does_not_vote_by_api(self, ours: World) -> None:
        request = opened(ours)
        client = signed_in(ours.erin, enforce_csrf_checks=True)
        body = {"decision": "approve", "seen": request.display_hash}
        with unchanged(request):
            assert post(client, f"/api/v1/requests/{request.pk}/votes", body).status_code == 403

    @pytest.mark.parametrize(
        "path",
        ["/", "/inbox/", "/requests/{}/", "/decisions/", "/account/", "/sign-in/", "/nothing", "/admin/", "/api/docs/"],
    )
    def test_abuse_056_no_page_lets_itself_be_framed(self, ours: World, path: str) -> None:
        response = signed_in(ours.erin).get(path.format(opened(ours).pk))
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
        assert response["X-Frame-Options"] == "DENY"

    def test_pages_of_one_person_are_kept_by_nobody(self, ours: World) -> None:
        client = signed_in(ours.erin)
        for path in ("/", "/inbox/", f"/requests/{opened(ours).pk}/", "/account/"):
            assert "no-store" in client.get(path)["Cache-Control"]
