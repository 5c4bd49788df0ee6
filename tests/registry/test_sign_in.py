"""One-time links: once, for minutes, for whoever they were made for."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from countersign.proof.events import Event
from evidence import clock, ledger
from registry import sign_in
from registry.models import SignInLink, User
from tests.worlds import SETUP, World, world


@pytest.fixture
def ours(database: None) -> World:
    return world()


class TestRedeem:
    def test_refuses_a_second_time(self, ours: World) -> None:
        token = sign_in.issue(ours.erin.user, actor=SETUP, now=clock.now())
        assert sign_in.redeem(token, now=clock.now()) == ours.erin.user
        assert sign_in.redeem(token, now=clock.now()) is None

    def test_of_many_clicks_at_once_one_signs_in(self, ours: World) -> None:
        token = sign_in.issue(ours.erin.user, actor=SETUP, now=clock.now())
        found: list[User | None] = []

        def work() -> None:
            found.append(sign_in.redeem(token, now=clock.now()))
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(user is not None for user in found) == [False] * 5 + [True]

    def test_refuses_it_from_the_moment_it_ends(self, ours: World) -> None:
        now = clock.now()
        token = sign_in.issue(ours.erin.user, actor=SETUP, now=now)
        assert sign_in.redeem(token, now=now + sign_in.LIFETIME) is None
        assert sign_in.redeem(token, now=now + sign_in.LIFETIME - timedelta(milliseconds=1))

    @pytest.mark.parametrize("change", [{"is_active": False}, {"is_service": True}])
    def test_refuses_who_may_not_sign_in_any_more(self, ours: World, change: dict[str, bool]) -> None:
        token = sign_in.issue(ours.erin.user, actor=SETUP, now=clock.now())
        User.objects.filter(pk=ours.erin.user_id).update(**change)
        assert sign_in.redeem(token, now=clock.now()) is None

    @pytest.mark.parametrize("token", ["", "x", "\0", "é" * 5000])
    def test_knows_no_other_token(self, database: None, token: str) -> None:
        assert sign_in.redeem(token, now=clock.now()) is None


class TestIssue:
    @pytest.mark.parametrize("lifetime", [timedelta(minutes=15, seconds=1), timedelta(0), timedelta(seconds=-1)])
    def test_refuses_to_make_one_that_lasts(self, ours: World, lifetime: timedelta) -> None:
        with pytest.raises(sign_in.TooLong):
            sign_in.issue(ours.erin.user, actor=SETUP, now=clock.now(), lifetime=lifetime)

    def test_keeps_a_hash_and_a_record_and_no_token(self, ours: World) -> None:
        token = sign_in.issue(ours.erin.user, actor=SETUP, now=clock.now())
        row = SignInLink.objects.get(user=ours.erin.user)
        assert token.encode() not in bytes(row.token_hash)
        history = ledger.history(ours.slug, f"registry:person:{ours.username('erin')}", limit=1)
        assert history[0]["predicate"]["event"] == Event.CREDENTIAL_ISSUED
        assert token not in str(history)
        assert sign_in.address(token) == f"http://testserver/sign-in/link/{token}"
