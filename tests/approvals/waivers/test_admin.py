"""The administrators' page of waivers: found, read and revoked there; nothing an agent or an asker typed, nothing else."""

from datetime import timedelta

import pytest
from django.test import Client

from approvals.models import Waiver
from approvals.waivers.models import State
from tests.approvals.browsing import signed_in, text
from tests.approvals.waivers.excepting import call, easy, granted
from tests.worlds import World

PATH = "/admin/approvals/waiver/"


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def revoke(client: Client, waiver: Waiver, **more: str) -> str:
    return text(client.post(PATH, {"action": "revoke", "_selected_action": waiver.pk, **more}, follow=True))


class TestRead:
    def test_shows_no_word_of_an_agent_or_an_asker(self, ours: World) -> None:
        waiver = granted(ours, reason="typed-reason", ticket="typed-ticket", when='arguments.order != "typed-order"')
        client = signed_in(ours.dana)
        for path in (PATH, f"{PATH}{waiver.pk}/change/", f"{PATH}{waiver.pk}/history/"):
            page = text(client.get(path))
            assert waiver.pk in page
            assert "refunds-over-100" in page
            assert "typed-" not in page

    def test_finds_by_id_and_by_name(self, ours: World) -> None:
        waiver, other = granted(ours), granted(ours, owner=ours.username("frank"), lasts=timedelta(days=2))
        client = signed_in(ours.dana)
        page = text(client.get(f"{PATH}?q={ours.username('frank')}"))
        assert other.pk in page
        assert waiver.pk not in page
        assert waiver.pk not in text(client.get(f"{PATH}?state__exact=pending"))

    def test_abuse_057_shows_none_of_another_tenant(self, ours: World) -> None:
        waiver = granted(easy())
        client = signed_in(ours.dana)
        assert waiver.pk not in text(client.get(PATH))
        assert client.get(f"{PATH}{waiver.pk}/change/").status_code == 302
        revoke(client, waiver, reason="x")
        waiver.refresh_from_db()
        assert waiver.state == State.ACTIVE

    def test_changes_nothing_and_is_for_administrators(self, ours: World) -> None:
        waiver = granted(ours)
        client = signed_in(ours.dana)
        assert client.post(f"{PATH}{waiver.pk}/change/", {"state": "revoked"}).status_code == 403
        assert client.get(f"{PATH}add/").status_code == 403
        assert client.post(f"{PATH}{waiver.pk}/delete/", {"post": "yes"}).status_code == 403
        assert signed_in(ours.erin).get(PATH).status_code in {302, 403}


class TestRevoke:
    def test_asks_why_and_then_ends_it(self, ours: World) -> None:
        waiver = granted(ours)
        client = signed_in(ours.dana)
        assert 'name="reason"' in revoke(client, waiver)
        assert 'name="reason"' in revoke(client, waiver, reason="  ")
        waiver.refresh_from_db()
        assert waiver.state == State.ACTIVE
        assert "is revoked" in revoke(client, waiver, reason="no more")
        waiver.refresh_from_db()
        assert (waiver.state, waiver.ended_by, waiver.ended_why) == (State.REVOKED, ours.username("dana"), "no more")
        assert not call(ours).told[0]

    def test_says_what_is_over_already(self, ours: World) -> None:
        waiver = granted(ours)
        client = signed_in(ours.dana)
        revoke(client, waiver, reason="no more")
        assert "Not revoked" in revoke(client, waiver, reason="again")
