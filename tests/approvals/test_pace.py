"""How fast one human may approve: the same on pages, over the API and for waivers, whatever their accounts."""

from datetime import timedelta
from functools import partial

import pytest

from approvals import pace
from approvals.models import AccessRequest, Status, Vote
from approvals.votes import TooFast
from config.environment import Environment
from evidence import clock
from evidence.models import Record
from registry import people
from registry.models import Membership
from tests.approvals import asking, browsing
from tests.approvals.asking import DENY, TOTP, enrolled, events, opened, proven, requirement, unchanged, vote
from tests.approvals.browsing import by_key, post, signed_in, text
from tests.approvals.waivers import excepting
from tests.races.crowd import at_once
from tests.worlds import SETUP, World, world

MOST = 2


@pytest.fixture
def ours(database: None) -> World:
    return world()


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    asking.pace(monkeypatch, MOST)


@pytest.fixture
def hurried(ours: World) -> World:
    """Erin has approved as much as she may just now."""
    for _ in range(MOST):
        vote(opened(ours), ours.erin)
    return ours


def a_minute_later(member: Membership) -> None:
    for one in Vote.objects.filter(membership=member):
        Vote.objects.filter(pk=one.pk).update(cast_at=one.cast_at - pace.WITHIN)


class TestTheNextApproval:
    def test_abuse_058_is_refused_and_recorded(self, hurried: World) -> None:
        request = opened(hurried)
        with unchanged(request), pytest.raises(TooFast):
            vote(request, hurried.erin)
        assert events(request) == ["request.opened", "vote.refused"]
        assert Record.objects.filter(thread=request.pk).count() == 2

    def test_counts_once_the_first_is_a_minute_old(self, hurried: World) -> None:
        request = opened(hurried)
        with pytest.raises(TooFast) as refused:
            vote(request, hurried.erin)
        first = Vote.objects.filter(membership=hurried.erin).earliest("cast_at")
        assert refused.value.until == first.cast_at + timedelta(minutes=1)
        a_minute_later(hurried.erin)
        vote(request, hurried.erin)
        assert request.votes.count() == 1

    def test_is_refused_with_a_step_up_too_which_is_not_used_up(self, hurried: World) -> None:
        request = opened(hurried, requirements=[requirement(step_up=TOTP, quorum=1)])
        proof = proven(request, hurried.erin, enrolled(hurried.erin))
        with unchanged(request), pytest.raises(TooFast):
            vote(request, hurried.erin, step_up=proof)
        a_minute_later(hurried.erin)
        assert vote(request, hurried.erin, step_up=proof).status == Status.APPROVED

    def test_of_somebody_else_counts(self, hurried: World) -> None:
        assert vote(opened(hurried, requirements=[requirement(quorum=1)]), hurried.frank).status == Status.APPROVED

    def test_of_another_account_or_in_another_tenant_is_the_same_humans(self, hurried: World) -> None:
        local, domain = hurried.erin.user.email.split("@")
        other = people.add(
            f"erin2-{hurried.suffix}", email=f"{local}+two@{domain}", tenant=hurried.tenant, teams=["finance"],
            actor=SETUP, now=clock.now(),
        )  # fmt: skip
        elsewhere = world()
        there = people.add(
            hurried.erin.user.username, email=hurried.erin.user.email, tenant=elsewhere.tenant, teams=["finance"],
            actor=SETUP, now=clock.now(),
        )  # fmt: skip
        for request, member in ((opened(hurried), other), (opened(elsewhere), there)):
            with unchanged(request), pytest.raises(TooFast):
                vote(request, member)

    def test_said_again_is_the_vote_that_stands(self, hurried: World) -> None:
        request = AccessRequest.objects.filter(tenant=hurried.tenant).latest("opened_at")
        assert vote(request, hurried.erin).pk == request.pk


class TestDenials:
    def test_are_never_slowed_and_slow_nothing(self, ours: World) -> None:
        for _ in range(MOST + 1):
            assert vote(opened(ours), ours.erin, DENY).status == Status.DENIED
        vote(opened(ours), ours.erin)

    def test_count_after_too_many_approvals(self, hurried: World) -> None:
        assert vote(opened(hurried), hurried.erin, DENY).status == Status.DENIED


class TestSurfaces:
    def test_abuse_058_the_api_says_when_to_try_again(self, hurried: World) -> None:
        request = opened(hurried)
        body = {"decision": "approve", "seen": request.display_hash}
        with unchanged(request):
            response = post(by_key(hurried, "erin", "vote"), f"/api/v1/requests/{request.pk}/votes", body)
        assert (response.status_code, response.json()["type"]) == (429, "urn:countersign:problem:too-fast")
        assert 1 <= int(response["Retry-After"]) <= 61

    def test_abuse_058_the_page_says_it_in_words(self, hurried: World) -> None:
        request = opened(hurried)
        with unchanged(request):
            response = browsing.vote(signed_in(hurried.erin), request)
        assert response.status_code == 429
        assert "You approved as many requests in one minute as anybody reads" in text(response)

    def test_abuse_058_a_waiver_is_no_way_around_it(self, database: None) -> None:
        own = excepting.easy()
        for _ in range(MOST):
            vote(opened(own), own.erin)
        asked = excepting.asked(own)
        body = {"decision": "approve", "seen": asked.request.display_hash}
        with unchanged(asked.request):
            response = post(by_key(own, "erin", "vote"), f"/api/v1/waivers/{asked.pk}/votes", body)
        assert (response.status_code, response.json()["type"]) == (429, "urn:countersign:problem:too-fast")


class TestManyAtOnce:
    @pytest.mark.postgres
    def test_abuse_058_no_more_than_the_pace_count_however_they_are_sent(self, ours: World) -> None:
        requests = [opened(ours, requirements=[requirement(quorum=1)]) for _ in range(8)]
        outcomes = at_once([partial(vote, request, ours.erin) for request in requests])
        assert sum(isinstance(one, TooFast) for one in outcomes) == len(requests) - MOST, outcomes
        assert Vote.objects.filter(membership=ours.erin).count() == MOST


class TestSetting:
    def test_is_twenty_a_minute_unless_said_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("COUNTERSIGN_APPROVALS_PER_MINUTE")
        assert Environment().approvals_per_minute == 20
