"""The register: what ends soonest first, narrowed by its filters, with its warnings; and one's calendar address."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client

from approvals.models import AccessRequest, Waiver
from approvals.waivers import ending
from approvals.waivers.models import State
from evidence import clock
from tests.approvals.asking import DENY, vote
from tests.approvals.browsing import signed_in, text
from tests.approvals.waivers.excepting import asked, call, easy, granted
from tests.worlds import World


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return easy()


@pytest.fixture(scope="module")
def four(ours: World) -> dict[str, Waiver]:
    """One that waits, two in force, one over."""
    made = {
        "late": granted(ours, lasts=timedelta(days=9), ticket="OPS-77"),
        "soon": granted(ours, lasts=timedelta(days=2), owner=ours.username("dana")),
        "waits": asked(ours, lasts=timedelta(days=5), reason="Waits \u202e<b> for finance."),
        "over": granted(ours, lasts=timedelta(days=1)),
    }
    ending.revoke(made["over"].pk, tenant_id=ours.tenant.pk, by=ours.erin, why="done", now=clock.now())
    return made


def listed(own: World, query: str = "") -> list[str]:
    """The ids on the page, in order."""
    page = text(signed_in(own.ada).get(f"/waivers/{query}"))
    return [part.split("/")[0] for part in page.split('class="row stacks" href="/waivers/')[1:]]


class TestList:
    def test_nothing_there_says_so_and_how_to_begin(self, database: None) -> None:
        page = text(signed_in(easy().ada).get("/waivers/"))
        assert "Every rule holds for every call." in page

    def test_what_ends_soonest_stands_first_and_what_has_ended_last(self, ours: World, four: dict[str, Waiver]) -> None:
        assert listed(ours) == [four[name].pk for name in ("soon", "waits", "late", "over")]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("?state=live", ["soon", "late"]), ("?state=revoked", ["over"]), ("?state=pending", ["waits"]),
            ("?q=OPS-77", ["late"]), ("?rule=refunds-over-100", ["soon", "waits", "late", "over"]), ("?rule=no-deletes", []),
            ("?tool=payments.refund&state=pending", ["waits"]), ("?state=nonsense", []), ("?page=99", []), (f"?page={10**30}", ["soon", "waits", "late", "over"]),
            ("?page=x", ["soon", "waits", "late", "over"]),
        ],
    )  # fmt: skip
    def test_is_narrowed_by_its_filters(
        self, ours: World, four: dict[str, Waiver], query: str, found: list[str]
    ) -> None:
        assert listed(ours, query) == [four[name].pk for name in found]

    def test_is_narrowed_by_owner(self, ours: World, four: dict[str, Waiver]) -> None:
        assert listed(ours, f"?owner={ours.username('dana')}") == [four["soon"].pk]

    def test_shows_words_of_others_harmless(self, ours: World, four: dict[str, Waiver]) -> None:
        page = text(signed_in(ours.ada).get("/waivers/"))
        assert "Waits ⟨U+202E⟩&lt;b&gt; for finance." in page

    def test_knows_nothing_of_other_tenants(self, ours: World, four: dict[str, Waiver]) -> None:
        assert listed(easy()) == []

    def test_pages_hold_fifty(self, database: None) -> None:
        many = easy()
        first = asked(many)
        row = Waiver.objects.get(pk=first.pk)
        assert row.state == State.PENDING
        for n in range(3):
            asked(many, reason=f"One more {n}.")
        assert len(listed(many, "?page=1")) == 4
        assert listed(many, "?page=2") == []

    def test_asks_the_database_no_more_for_many_than_for_few(
        self, ours: World, four: dict[str, Waiver], django_assert_max_num_queries: object
    ) -> None:
        client = signed_in(ours.ada)
        with django_assert_max_num_queries(14):  # type: ignore[operator]  # pytest-django's own
            client.get("/waivers/")


class TestFlags:
    def test_one_that_carries_its_rules_traffic_is_called_policy(self, database: None) -> None:
        busy = easy()
        waiver = granted(busy)
        for n in range(20):
            call(busy, transaction=f"case-{n}")
        page = text(signed_in(busy.ada).get("/waivers/"))
        assert "This is policy now" in page
        assert "20 uses" in page
        assert "This is policy now" in text(signed_in(busy.ada).get(f"/waivers/{waiver.pk}/"))

    def test_one_that_is_renewed_again_and_again_is_told(self, database: None) -> None:
        habit = easy()
        last = asked(habit)
        for _ in range(4):
            last = asked(habit, renews=last.pk)
        page = text(signed_in(habit.ada).get("/waivers/"))
        assert "Renewed 4 times: what does not end is no exception." in page
        vote(AccessRequest.objects.get(pk=last.request_id), habit.erin, DENY)
        assert "what does not end" not in text(signed_in(habit.ada).get("/waivers/"))


class TestWayAround:
    def test_leads_here_and_counts_on_the_first_page(self, ours: World, four: dict[str, Waiver]) -> None:
        page = text(signed_in(ours.erin).get("/"))
        assert '<a href="/waivers/"' in page
        assert '<strong>2</strong><a href="/waivers/?state=live">waivers granted</a>' in page


class TestCalendar:
    def test_an_address_is_shown_once_and_read_without_a_session(self, ours: World, four: dict[str, Waiver]) -> None:
        client = signed_in(ours.carol)
        response = client.post("/waivers/calendar/")
        assert "no-store" in response["Cache-Control"]
        address = text(response).split('<code class="address">')[1].split("</code>")[0]
        feed = Client().get(urlsplit(address).path)
        assert feed["Content-Type"].startswith("text/calendar")
        page = text(client.get("/waivers/"))
        assert "Make another address" in page
        assert address not in page

    def test_another_address_ends_the_first_and_stopping_ends_it(self, ours: World) -> None:
        client = signed_in(ours.frank)
        first = text(client.post("/waivers/calendar/")).split('<code class="address">')[1].split("</code>")[0]
        client.post("/waivers/calendar/")
        assert Client().get(urlsplit(first).path).status_code == 404
        client.post("/waivers/calendar/stop/")
        assert "Make an address" in text(client.get("/waivers/"))

    @pytest.mark.parametrize("path", ["/waivers/calendar/", "/waivers/calendar/stop/"])
    def test_looking_makes_none(self, ours: World, path: str) -> None:
        client = signed_in(ours.erin)
        assert client.get(path).status_code == 405
        assert "Make an address" in text(client.get("/waivers/"))
