"""A vote that is only meant, where it cannot be proven; and what of a vote the rooms above are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from approvals import requests, votes
from approvals.models import AccessRequest
from approvals.signals import Change, request_changed
from approvals.votes import NotEligible, NotPending, SelfApproval, StepUpFirst, TooLate
from countersign.policy.values import Principal
from evidence import clock
from tests.approvals.asking import NONE, TESTS, TOTP, call, events, opened, requirement, unchanged, vote
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@contextmanager
def told(request: AccessRequest) -> Iterator[list[Change]]:
    heard: list[Change] = []

    def listen(request: AccessRequest, change: Change, **_: Any) -> None:
        if request.pk == wanted:
            heard.append(change)

    wanted = request.pk
    request_changed.connect(listen)
    try:
        yield heard
    finally:
        request_changed.disconnect(listen)


class TestMeant:
    def test_needs_its_step_up_first_and_leaves_no_record(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(step_up=TOTP)])
        for seen in (request.display_hash, "sha256:" + "0" * 64):
            with unchanged(request), pytest.raises(StepUpFirst) as needed:
                vote(request, ours.erin, meant_at=clock.now(), seen=seen)
            assert (needed.value.needed, needed.value.request) == (TOTP, request)
        assert events(request) == ["request.opened"]

    def test_counts_where_none_is_needed(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(step_up=NONE, quorum=1)])
        assert vote(request, ours.erin, meant_at=clock.now()).status == "approved"

    def test_counts_no_more_five_minutes_after_it_was_meant(self, ours: World) -> None:
        long_ago = clock.now() - votes.MEANT_FOR
        for step_up in (NONE, TOTP):
            request = opened(ours, requirements=[requirement(step_up=step_up, quorum=1)])
            with unchanged(request), pytest.raises(TooLate):
                vote(request, ours.erin, meant_at=long_ago)
            assert events(request) == ["request.opened", "vote.refused"]

    def test_heard_again_much_later_is_the_vote_that_stands(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(step_up=NONE, quorum=2)])
        vote(request, ours.erin, meant_at=clock.now())
        assert vote(request, ours.erin, meant_at=clock.now() - votes.MEANT_FOR).pk == request.pk
        assert events(request) == ["request.opened", "vote.cast"]

    def test_abuse_038_of_whoever_may_not_vote_is_refused_on_record(self, ours: World) -> None:
        asked = call(ours, principal=Principal("user", ours.username("erin")))
        request = opened(ours, made=asked, requirements=[requirement(step_up=TOTP)])
        for member, why in ((ours.erin, SelfApproval), (ours.ada, NotEligible)):
            with pytest.raises(why):
                vote(request, member, meant_at=clock.now())
        assert events(request) == ["request.opened", "vote.refused", "vote.refused"]

    def test_abuse_042_on_a_closed_request_is_told_that_it_is_closed(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(step_up=TOTP)])
        requests.cancel(request.pk, tenant_id=ours.tenant.pk, actor=TESTS, reason="", now=clock.now())
        with unchanged(request), pytest.raises(NotPending):
            vote(request, ours.erin, meant_at=clock.now())


class TestTold:
    def test_a_vote_that_leaves_the_request_open(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(quorum=2)])
        with told(request) as heard:
            vote(request, ours.erin)
        assert heard == [Change.VOTED]

    @pytest.mark.parametrize(("decision", "end"), [("approve", Change.APPROVED), ("deny", Change.DENIED)])
    def test_a_vote_that_ends_it_by_its_end_alone(self, ours: World, decision: str, end: Change) -> None:
        request = opened(ours, requirements=[requirement(quorum=1)])
        with told(request) as heard:
            vote(request, ours.erin, decision)
        assert heard == [end]
