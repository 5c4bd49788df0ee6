"""Six people at one request: one state, one approval, nobody stuck, no step of the thread lost or doubled."""

import random
from collections import Counter
from functools import partial

import pytest

from approvals.models import AccessRequest, Approval, Decision, Status, Vote
from approvals.votes import NotPending
from evidence import clock
from evidence.models import Record
from registry import people
from registry.models import Membership
from tests.approvals.asking import APPROVE, DENY, approved, ask, call, events, opened, requirement, vote
from tests.approvals.test_requests import open_
from tests.races.crowd import at_once, rounds
from tests.worlds import SETUP, World, world

pytestmark = [pytest.mark.races, pytest.mark.postgres]
ROUNDS = rounds(full=150, reduced=15)
VOTERS = 6


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def voters(ours: World) -> list[Membership]:
    added = [
        people.add(
            name := f"voter{n}-{ours.suffix}", email=f"{name}@acme.test", tenant=ours.tenant, teams=["finance"],
            actor=SETUP, now=clock.now(),
        )
        for n in range(VOTERS)
    ]  # fmt: skip
    return list(Membership.objects.select_related("user", "tenant").filter(pk__in=[member.pk for member in added]))


def all_at_once(request: AccessRequest, voters: list[Membership], decisions: list[Decision]) -> list[object]:
    return at_once(
        [partial(vote, request, voter, decision) for voter, decision in zip(voters, decisions, strict=True)]
    )  # fmt: skip


def check_whole(request: AccessRequest) -> AccessRequest:
    """One end, one record of it, as many vote records as votes, a thread without a gap."""
    request.refresh_from_db()
    seen = Counter(events(request))
    assert request.status in {Status.APPROVED, Status.DENIED}
    approved = request.status == Status.APPROVED
    assert (seen["request.approved"], seen["request.denied"]) == (int(approved), int(not approved))
    assert seen["approval.issued"] == Approval.objects.filter(request=request).count() == int(approved)
    assert seen["vote.cast"] == Vote.objects.filter(request=request).count()
    numbers = list(Record.objects.filter(thread=request.pk).order_by("n").values_list("n", flat=True))
    assert numbers == list(range(len(numbers)))
    return request


class TestSixVotes:
    def test_never_two_approvals_and_never_stuck(self, ours: World, voters: list[Membership]) -> None:
        for number in range(ROUNDS):
            quorum = 2 + number % 3
            request = opened(ours, requirements=(requirement(quorum=quorum),))
            outcomes = all_at_once(request, voters, [APPROVE] * VOTERS)
            assert check_whole(request).status == Status.APPROVED
            refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            assert all(isinstance(error, NotPending) for error in refused), refused
            assert len(refused) == VOTERS - quorum

    def test_abuse_043_approve_and_deny_at_once_end_in_one_state(self, ours: World, voters: list[Membership]) -> None:
        chance = random.Random(43)
        for _ in range(ROUNDS):
            decisions = [APPROVE] * 4 + [DENY] * 2
            chance.shuffle(decisions)
            request = opened(ours, requirements=(requirement(quorum=2),))
            all_at_once(request, voters, decisions)
            check_whole(request)

    def test_abuse_044_six_clicks_of_one_human_are_one_vote(self, ours: World, voters: list[Membership]) -> None:
        for _ in range(ROUNDS):
            request = opened(ours)
            outcomes = all_at_once(request, voters[:1] * VOTERS, [APPROVE] * VOTERS)
            assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            assert events(request) == ["request.opened", "vote.cast"]


class TestSixOpeners:
    def test_one_action_is_one_task(self, ours: World) -> None:
        keys = [ours.key("pep") for _ in range(VOTERS)]
        for _ in range(ROUNDS):
            made = call(ours)
            outcomes = at_once([partial(open_, ask(ours, made, token=key)) for key in keys])
            found = [getattr(outcome, "request", outcome) for outcome in outcomes]
            assert len({getattr(request, "pk", request) for request in found}) == 1, found
            request = AccessRequest.objects.get(action_digest=made.action_digest)
            assert Counter(events(request)) == {"request.opened": 1, "request.joined": VOTERS - 1}

    def test_what_cannot_be_joined_does_not_jam_them(self, ours: World) -> None:
        """Rows that every asker looks at and none takes are locked in one order, behind the tenant."""
        for _ in range(ROUNDS):
            made = call(ours)
            approved(ours, made=made)
            asks = [ask(ours, made, requirements=(requirement(quorum=3),)) for _ in range(VOTERS)]
            outcomes = at_once([partial(open_, one) for one in asks])
            assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            assert AccessRequest.objects.filter(action_digest=made.action_digest, status="pending").count() == 1

    def test_the_limit_holds(self, database: None) -> None:
        alone = world()
        asks = [ask(alone) for _ in range(VOTERS)]
        outcomes = at_once([partial(open_, one, 2) for one in asks])
        assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 2
        assert AccessRequest.objects.filter(tenant=alone.tenant).count() == 2
