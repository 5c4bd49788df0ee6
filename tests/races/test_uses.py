"""Sixteen callers with one approval: exactly one gets through."""

from functools import partial

import pytest

from approvals.models import Approval
from approvals.requests import NotUsable
from countersign.policy.values import Reason
from tests.approvals.asking import approved, events, requirement, use
from tests.races.crowd import at_once, rounds
from tests.worlds import World, world

pytestmark = [pytest.mark.races, pytest.mark.postgres]
ROUNDS = rounds(full=200, reduced=20)
CALLERS = 16


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


class TestSixteenUses:
    def test_abuse_027_exactly_one_succeeds(self, ours: World) -> None:
        for _ in range(ROUNDS):
            approval = approved(ours)
            outcomes = at_once([partial(use, approval, ours)] * CALLERS)
            refused = [outcome for outcome in outcomes if isinstance(outcome, NotUsable)]
            assert len(refused) == CALLERS - 1, outcomes
            assert {error.reason for error in refused} == {Reason.APPROVAL_USED}
            assert Approval.objects.get(pk=approval.pk).uses == 1
            assert events(approval.request).count("approval.used") == 1

    def test_three_uses_are_three(self, ours: World) -> None:
        for _ in range(max(1, ROUNDS // 10)):
            approval = approved(ours, requirements=(requirement(uses=3),))
            outcomes = at_once([partial(use, approval, ours)] * CALLERS)
            assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 3
            assert Approval.objects.get(pk=approval.pk).uses == 3
