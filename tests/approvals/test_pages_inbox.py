"""What waits for whom: told honestly, bounded however much it is, and quiet while nothing changes."""

from datetime import timedelta

import pytest

from approvals import inbox
from approvals.models import AccessRequest
from countersign.policy.values import Principal
from evidence import clock, kept
from registry import people
from tests.approvals import asking
from tests.approvals.asking import call, opened, requirement
from tests.approvals.browsing import signed_in, text, vote
from tests.worlds import World, world


@pytest.fixture
def alone(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def flooded(database: None) -> World:
    """200 requests to one approver, three quarters of them from one agent."""
    made = world()
    for n in range(200):
        agent = "support-bot" if n % 4 else "other-bot"
        opened(made, made=call(made, subject_id=agent), requirements=[requirement(expires_in=timedelta(days=3))])
    return made


def listed(page: str) -> int:
    return page.count('id="row-arq_')


class TestWhoSeesWhat:
    def test_nothing_of_another_tenant(self, alone: World, flooded: World) -> None:
        page = text(signed_in(alone.erin).get("/inbox/"))
        assert listed(page) == 0
        assert "All clear" in page

    def test_what_may_not_be_voted_on_waits_for_others(self, alone: World) -> None:
        opened(alone, made=call(alone, principal=Principal("user", alone.username("erin"))))
        found = inbox.of(alone.erin, now=clock.now())
        assert (len(found.waiting), len(found.others)) == (0, 1)

    def test_what_one_voted_on_waits_for_others(self, alone: World) -> None:
        asking.vote(opened(alone), alone.erin)
        found = inbox.of(alone.erin, now=clock.now())
        assert (len(found.waiting), len(found.others)) == (0, 1)

    def test_who_is_in_no_team_sees_nothing(self, alone: World) -> None:
        opened(alone)
        people.put_in_teams(alone.erin, [])
        found = inbox.of(alone.erin, now=clock.now())
        assert (len(found.waiting), len(found.others)) == (0, 0)

    def test_what_ran_out_waits_for_nobody_though_its_timer_is_late(self, alone: World) -> None:
        opened(alone, now=clock.now() - timedelta(hours=1))
        assert inbox.of(alone.erin, now=clock.now()).total == 0

    def test_lately_closed_ones_are_counted_by_outcome(self, alone: World) -> None:
        asking.vote(opened(alone), alone.erin, asking.DENY)
        assert dict(inbox.of(alone.frank, now=clock.now()).outcomes) == {"Denied": 1}


class TestFlood:
    def test_abuse_059_a_page_stays_bounded_and_tells_the_rest(self, flooded: World) -> None:
        page = text(signed_in(flooded.erin).get("/inbox/"))
        assert listed(page) == inbox.LIMIT
        assert "200 waiting for your decision" in page
        assert "1 to 50 of 200" in page
        assert len(page) < 120_000

    def test_abuse_059_it_says_which_agent_asks_so_much(self, flooded: World) -> None:
        page = text(signed_in(flooded.erin).get("/inbox/"))
        assert "unusually many" in page
        assert "150 waiting" in page
        assert page.index("150 waiting") < page.index("50 waiting</span>")

    def test_abuse_059_one_agents_requests_are_listed_alone(self, flooded: World) -> None:
        page = text(signed_in(flooded.erin).get("/inbox/?agent=other-bot"))
        assert listed(page) == 50
        assert "support-bot" not in page

    def test_abuse_059_the_rest_is_on_later_pages_each_once(self, flooded: World) -> None:
        found = [inbox.of(flooded.erin, now=clock.now(), page=n) for n in range(1, 5)]
        ids = [row.asked.pk for one in found for row in one.waiting]
        assert len(ids) == len(set(ids)) == 200
        assert found[-1].following is None

    @pytest.mark.parametrize("page", ["0", "-1", "99999", "9" * 400, "x", "١"])
    def test_a_page_that_is_not_there_is_the_nearest_that_is(self, flooded: World, page: str) -> None:
        assert signed_in(flooded.erin).get("/inbox/", {"page": page}).status_code == 200

    def test_abuse_059_a_look_asks_the_database_no_more_the_longer_the_list_is(
        self, flooded: World, alone: World, django_assert_max_num_queries
    ) -> None:
        with django_assert_max_num_queries(25):
            inbox.of(flooded.erin, now=clock.now())

    def test_abuse_059_what_was_not_even_counted_is_told(self, flooded: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inbox, "SCANNED", 150)
        assert "150 or more waiting for your decision" in text(signed_in(flooded.erin).get("/inbox/"))


class TestLive:
    def test_nothing_is_sent_while_nothing_changes_and_a_new_request_is(self, alone: World) -> None:
        lasting = [requirement(expires_in=timedelta(days=3))]
        opened(alone, requirements=lasting)
        client = signed_in(alone.erin)
        was = text(client.get("/inbox/")).split("was=")[1][:16]
        assert client.get(f"/inbox/rows/?was={was}").status_code == 204
        new = opened(alone, requirements=lasting)
        response = client.get(f"/inbox/rows/?was={was}")
        assert f"row-{new.pk}" in text(response)
        assert "2 waiting for your decision" in text(response)


class TestErased:
    def test_a_request_whose_arguments_were_erased_is_listed_but_offers_no_vote(self, alone: World) -> None:
        request = opened(alone)
        kept.erase(alone.slug, request.commitment)
        client = signed_in(alone.erin)
        assert request.pk in text(client.get("/inbox/"))
        page = text(client.get(f"/requests/{request.pk}/"))
        assert "Erased" in page
        assert "Approve</button>" not in page


class TestOverview:
    def test_tells_what_waits_and_asks_for_an_authenticator(self, alone: World) -> None:
        opened(alone)
        client = signed_in(alone.erin)
        page = text(client.get("/"))
        assert "<strong>1</strong>" in page
        assert "Set up an authenticator" in page
        asking.enrolled(alone.erin)
        assert "Set up an authenticator" not in text(client.get("/"))

    def test_a_vote_empties_it(self, alone: World) -> None:
        request: AccessRequest = opened(alone)
        client = signed_in(alone.erin)
        vote(client, request)
        assert "Nothing waits for your decision" in text(client.get("/"))
