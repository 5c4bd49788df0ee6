"""Signing in by password or link, working in one of several tenants, and one's own authenticator."""

import re
from datetime import timedelta

import pyotp
import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client

from approvals import totp
from evidence import clock
from registry import people, sign_in, throttle
from registry.models import PasswordTries, SignInLink, User
from registry.throttle import Tried
from tests.approvals.asking import enrolled
from tests.approvals.browsing import fresh_code, signed_in, text
from tests.races.crowd import at_once
from tests.worlds import SETUP, World, world

PASSWORD = "correct horse battery staple"


@pytest.fixture
def ours(database: None) -> World:
    return world()


@pytest.fixture
def erin(ours: World) -> User:
    user = ours.erin.user
    user.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    user.save()
    return user


def try_password(username: str, password: str, **headers: str):
    return Client().post("/sign-in/", {"username": username, "password": password}, headers=headers)


def prolong_waits() -> None:
    """What has to wait at all waits long enough for a slow machine to see it."""
    PasswordTries.objects.filter(locked_until__isnull=False).update(locked_until=clock.now() + timedelta(minutes=5))


class TestPassword:
    def test_a_wrong_one_and_an_unknown_name_read_the_same(self, erin: User) -> None:
        wrong, unknown = try_password(erin.username, "no"), try_password(f"nobody-{erin.pk}", "no")
        pages = [re.sub(r'value="\w+"', "", text(one)) for one in (wrong, unknown)]
        assert pages[0] == pages[1]
        assert "is wrong" in pages[0]

    @pytest.mark.parametrize("exists", [True, False])
    def test_after_five_wrong_ones_the_name_waits_whoever_asks(self, erin: User, exists: bool) -> None:
        name = erin.username if exists else f"ghost-{erin.pk}"
        pages = [text(try_password(name, "no", **{"X-Forwarded-For": f"10.0.0.{n}"})) for n in range(5)]
        prolong_waits()
        pages += [text(try_password(name, "no", **{"X-Forwarded-For": f"10.0.1.{n}"})) for n in range(2)]
        assert ["Too many wrong passwords" in page for page in pages] == [False] * 5 + [True, True]

    def test_the_right_one_is_not_looked_at_while_the_name_waits(self, erin: User) -> None:
        for _ in range(throttle.FREE_FAILURES):
            throttle.admit(erin.username, now=clock.now())
        prolong_waits()
        response = try_password(erin.username, PASSWORD)
        assert response.status_code == 200
        assert "Too many wrong passwords" in text(response)

    def test_the_right_one_signs_in_and_what_was_counted_is_forgotten(self, erin: User) -> None:
        for _ in range(4):
            try_password(erin.username, "no")
        assert try_password(erin.username, PASSWORD)["Location"] == "/inbox/"
        assert "is wrong" in text(try_password(erin.username, "no"))

    def test_spellings_of_one_name_are_counted_together(self, erin: User) -> None:
        for name in (erin.username, erin.username.upper(), f" {erin.username} ", erin.username.title(), erin.username):
            throttle.admit(name, now=clock.now())
        with pytest.raises(throttle.Waiting):
            throttle.admit(erin.username, now=clock.now())

    def test_what_is_tried_elsewhere_under_the_same_name_is_counted_apart(self, erin: User) -> None:
        """Somebody may be called like an account of another system: `slack t0acme/u0erin` is a user name like any."""
        for _ in range(throttle.FREE_FAILURES):
            throttle.admit(erin.username, now=clock.now(), tried=Tried.LINKING_CODE)
            throttle.admit(erin.username, now=clock.now())
        prolong_waits()
        throttle.clear(erin.username, tried=Tried.LINKING_CODE)
        throttle.admit(erin.username, now=clock.now(), tried=Tried.LINKING_CODE)
        with pytest.raises(throttle.Waiting):
            throttle.admit(erin.username, now=clock.now())

    def test_tries_at_once_are_each_counted(self, erin: User) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has one writer; the lock is PostgreSQL's")
        outcomes = at_once([lambda: throttle.admit(erin.username, now=clock.now())] * 8)
        assert [type(one) for one in outcomes].count(throttle.Waiting) == 8 - throttle.FREE_FAILURES
        assert outcomes.count(None) == throttle.FREE_FAILURES

    def test_names_that_were_made_up_are_forgotten_after_a_day(self, ours: World) -> None:
        then = clock.now() - timedelta(days=2)
        throttle.admit(f"made-up-{ours.suffix}", now=then)
        throttle.admit(f"another-{ours.suffix}", now=clock.now())
        assert not PasswordTries.objects.filter(last_at__lte=then).exists()

    def test_the_session_gets_another_key(self, erin: User) -> None:
        client = Client()
        client.get("/sign-in/")
        before = client.session.session_key
        client.post("/sign-in/", {"username": erin.username, "password": PASSWORD})
        assert client.session.session_key != before

    def test_who_has_none_is_sent_to_a_person_and_to_no_command_line(self, ours: World) -> None:
        for path in ("/sign-in/", f"{sign_in.PATH}{'x' * 43}"):
            page = text(Client().get(path))
            assert "sk your administrator for a" in page
            assert "manage.py" not in page

    @pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "javascript:alert(1)"])
    def test_it_leads_to_no_other_site_afterwards(self, erin: User, target: str) -> None:
        response = Client().post("/sign-in/", {"username": erin.username, "password": PASSWORD, "next": target})
        assert response["Location"] == "/inbox/"


class TestLink:
    @pytest.fixture
    def path(self, ours: World) -> str:
        return sign_in.PATH + sign_in.issue(ours.erin.user, actor=SETUP, now=clock.now())

    def test_abuse_054_a_preview_does_not_burn_it(self, ours: World, path: str) -> None:
        for _ in range(3):
            assert Client().head(path).status_code == 200
            page = Client().get(path)
        assert f"Continue as {ours.username('erin')}" in text(page)
        assert not SignInLink.objects.filter(user=ours.erin.user, used_at__isnull=False).exists()
        assert Client().post(path)["Location"] == "/inbox/"

    def test_it_works_once(self, path: str) -> None:
        assert Client().post(path).status_code == 302
        assert [Client().get(path).status_code, Client().post(path).status_code] == [410, 410]

    def test_abuse_055_a_form_of_another_site_does_not_use_it(self, path: str) -> None:
        assert Client(enforce_csrf_checks=True).post(path).status_code == 403
        assert Client().post(path).status_code == 302

    def test_one_that_never_was_reads_like_a_spent_one(self) -> None:
        response = Client().get(f"{sign_in.PATH}{'x' * 43}")
        assert response.status_code == 410
        assert "This link is spent" in text(response)

    def test_one_whose_end_was_lost_says_so(self) -> None:
        assert "This link is incomplete" in text(Client().get(sign_in.PATH))

    def test_who_is_somebody_else_now_is_told(self, ours: World, path: str) -> None:
        page = text(signed_in(ours.frank).get(path))
        assert f"You are signed in as {ours.username('frank')} now" in page

    def test_the_session_of_who_was_here_before_is_gone(self, ours: World, path: str) -> None:
        client = signed_in(ours.frank)
        before = client.session.session_key
        client.post(path)
        assert client.session.session_key != before
        assert ours.username("erin") in text(client.get("/"))


class TestTenants:
    def test_a_person_of_two_works_in_the_one_they_chose(self, ours: World) -> None:
        other = world()
        people.add(ours.username("erin"), email=ours.erin.user.email, tenant=other.tenant, actor=SETUP, now=clock.now())
        client = signed_in(ours.erin)
        assert f"· {ours.slug}<" in text(client.get("/"))
        client.post("/account/tenant/", {"tenant": other.slug})
        assert f"· {other.slug}<" in text(client.get("/"))

    def test_a_tenant_of_others_cannot_be_chosen(self, ours: World) -> None:
        client = signed_in(ours.erin)
        response = client.post("/account/tenant/", {"tenant": world().slug}, follow=True)
        assert "You are not an active member there." in text(response)
        assert f"· {ours.slug}<" in text(response)

    def test_who_belongs_to_none_is_told_so(self, ours: World) -> None:
        ours.erin.user.memberships.update(active=False)
        response = signed_in(ours.erin).get("/")
        assert response.status_code == 403
        assert "You belong to no tenant" in text(response)


class TestAuthenticator:
    def begin(self, client: Client) -> tuple[str, str]:
        page = text(client.post("/account/authenticator/"))
        device, seed = re.search(r'name="device" value="(\d+)"', page), re.search(r"<code>([A-Z2-7]{32})</code>", page)
        assert device
        assert seed
        assert 'src="data:image/svg+xml' in page
        return device[1], seed[1]

    def test_it_is_set_up_with_its_first_code_and_waits_before_it_counts(self, ours: World) -> None:
        client = signed_in(ours.erin)
        device, seed = self.begin(client)
        code = pyotp.TOTP(seed).at(clock.now())
        page = client.post("/account/authenticator/confirm/", {"device": device, "code": code})
        assert len(re.findall(r"<li>[0-9a-z-]{19}</li>", text(page))) == 10
        account = text(client.get("/account/"))
        assert "It counts from" in account
        assert seed not in account

    def test_a_wrong_first_code_sets_nothing_up(self, ours: World) -> None:
        client = signed_in(ours.erin)
        device, _ = self.begin(client)
        page = client.post("/account/authenticator/confirm/", {"device": device, "code": "000000"}, follow=True)
        assert "Start again" in text(page)
        assert totp.live_since(ours.erin.user) is None

    def test_another_takes_its_place_only_with_a_code_of_the_present_one(self, ours: World) -> None:
        present = enrolled(ours.erin)
        client = signed_in(ours.erin)
        for current, told in ((None, "a code of the present one"), ("000000", "a code of the present one")):
            device, seed = self.begin(client)
            sent = {"device": device, "code": pyotp.TOTP(seed).at(clock.now())}
            sent |= {"current_code": current} if current else {}
            assert told in text(client.post("/account/authenticator/confirm/", sent, follow=True))
        device, seed = self.begin(client)
        sent = {"device": device, "code": pyotp.TOTP(seed).at(clock.now())}
        sent["current_code"] = fresh_code(ours.erin, present)
        assert "is set up" in text(client.post("/account/authenticator/confirm/", sent))

    @pytest.mark.parametrize("device", ["", "0", "-1", "x", "9" * 30, "²"])
    def test_a_device_that_is_none_is_refused_in_words(self, ours: World, device: str) -> None:
        sent = {"device": device, "code": "123456"}
        response = signed_in(ours.erin).post("/account/authenticator/confirm/", sent, follow=True)
        assert response.status_code == 200


class TestErrors:
    def test_a_stranger_gets_pages_of_the_house(self) -> None:
        for path, words in (("/nothing/", "Nothing here"), ("/sign-in/link/", "incomplete")):
            page = text(Client().get(path))
            assert words in page
            assert 'class="brand"' in page

    def test_a_fault_of_ours_tells_nothing_but_that(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("secret-of-the-house")

        monkeypatch.setattr("approvals.inbox.of", broken)
        client = signed_in(ours.erin, raise_request_exception=False)
        response = client.get("/inbox/")
        assert response.status_code == 500
        assert "Something broke" in text(response)
        assert "secret-of-the-house" not in text(response)
