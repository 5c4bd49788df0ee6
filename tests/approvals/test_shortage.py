"""A request that too few people can answer is told so, and only such a one."""

import pytest

from approvals import handle, shortage
from countersign.policy.values import Principal
from evidence import clock
from registry import people
from registry.models import Agent, Membership, User
from tests.approvals.asking import call, opened, requirement, vote
from tests.approvals.browsing import signed_in, text
from tests.worlds import World, world

ALL_THREE = [requirement(quorum=3)]  # finance is erin, frank and carol


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture
def alone(database: None) -> World:
    """For tests that change people."""
    return world()


class TestOf:
    def test_counts_everybody_whose_vote_would_count(self, ours: World) -> None:
        assert shortage.of(opened(ours, requirements=ALL_THREE)) is None

    def test_leaves_out_who_asks(self, ours: World) -> None:
        request = opened(ours, requirements=ALL_THREE, token=ours.person_key("erin", "read"))
        found = shortage.of(request)
        assert found is not None
        assert (found.could, found.requirement.quorum) == (2, 3)

    def test_leaves_out_whom_it_is_asked_for(self, ours: World) -> None:
        asked = call(ours, principal=Principal("user", ours.username("erin")))
        assert shortage.of(opened(ours, made=asked, requirements=ALL_THREE)) is not None

    def test_leaves_out_the_agents_owner(self, alone: World) -> None:
        Agent.objects.filter(tenant=alone.tenant).update(owner=alone.carol)
        assert shortage.of(opened(alone, requirements=ALL_THREE)) is not None
        assert shortage.of(opened(alone, requirements=[requirement(quorum=2)])) is None

    def test_leaves_out_who_is_not_active_or_no_person_and_asks_anew_each_time(self, alone: World) -> None:
        request = opened(alone, requirements=ALL_THREE)
        assert shortage.of(request) is None
        for rows, change in (
            (Membership.objects.filter(pk=alone.erin.pk), {"active": False}),
            (User.objects.filter(pk=alone.erin.user.pk), {"is_active": False}),
            (User.objects.filter(pk=alone.erin.user.pk), {"is_service": True}),
        ):
            rows.update(**change)
            assert shortage.of(request) is not None, change
            rows.update(**{name: not value for name, value in change.items()})
            assert shortage.of(request) is None, change

    def test_counts_one_human_of_two_teams_once(self, alone: World) -> None:
        people.put_in_teams(alone.erin, ["finance", "support"])
        people.put_in_teams(alone.dana, [])
        request = opened(alone, requirements=[requirement(teams=("finance", "support"), quorum=4)])
        found = shortage.of(request)
        assert found is not None
        assert found.could == 3

    def test_looks_at_every_requirement_by_itself(self, ours: World) -> None:
        wanted = [requirement(quorum=1), requirement(source="tool", teams=("support",), quorum=1)]
        found = shortage.of(opened(ours, requirements=wanted))  # support is dana, who owns the agent
        assert found is not None
        assert found.words.startswith("Nobody of support can answer this and 1 must")

    def test_of_many_tells_which(self, ours: World) -> None:
        fine, short = opened(ours), opened(ours, requirements=[requirement(quorum=4)])
        assert set(shortage.of_each([fine, short])) == {short.pk}


class TestPage:
    WORDS = "Only 2 people of finance can answer this and 3 must: it cannot be approved as things stand."

    def test_tells_it_before_anybody_votes_in_vain(self, ours: World) -> None:
        request = opened(ours, requirements=ALL_THREE, token=ours.person_key("erin", "read"))
        assert self.WORDS in text(signed_in(ours.frank).get(f"/requests/{request.pk}/"))

    def test_tells_it_as_soon_as_it_is_so_and_no_longer(self, alone: World) -> None:
        request, client = opened(alone, requirements=ALL_THREE), signed_in(alone.frank)
        path = f"/requests/{request.pk}/live/?state=pending"
        assert self.WORDS not in text(client.get(path))
        people.put_in_teams(alone.carol, [])
        assert self.WORDS in text(client.get(path))
        people.put_in_teams(alone.carol, ["finance"])
        assert self.WORDS not in text(client.get(path))

    def test_says_nothing_of_it_once_it_is_over(self, ours: World) -> None:
        request = opened(ours, requirements=ALL_THREE, token=ours.person_key("erin", "read"))
        vote(request, ours.frank, "deny")
        assert "as things stand" not in text(signed_in(ours.frank).get(f"/requests/{request.pk}/"))


class TestHandle:
    @pytest.mark.parametrize("brief", [False, True])
    def test_does_not_say_that_people_will_agree_who_cannot(self, ours: World, brief: bool) -> None:
        fine = opened(ours, requirements=ALL_THREE)
        short = opened(ours, requirements=ALL_THREE, token=ours.person_key("erin", "read"))
        told = [handle.document(one, brief=brief, now=clock.now())["task"] for one in (fine, short)]
        assert told[0]["display"]["description"] == "People have been asked. The call may run once they agree."
        assert told[1]["display"]["title"] == "Waiting for approval"
        assert told[1]["display"]["description"].startswith("Too few people can answer this")
        assert "finance" not in str(told[1])  # whom it asks is not the caller's to know
        assert told[1]["status"] == "pending"

    def test_tells_only_what_became_of_it_once_it_is_over(self, ours: World) -> None:
        request = opened(ours, requirements=ALL_THREE, token=ours.person_key("erin", "read"))
        denied = vote(request, ours.frank, "deny")
        assert handle.document(denied, brief=True, now=clock.now())["task"]["display"]["title"] == "Denied"
        assert "Too few" not in str(handle.document(denied, brief=True, now=clock.now()))
