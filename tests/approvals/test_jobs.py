"""The timers of a request and of its approval."""

from datetime import timedelta

import pytest

from approvals import jobs, requests
from approvals.models import AccessRequest, Approval, Status
from approvals.signals import Change, request_changed
from evidence import clock
from outbox.models import Job
from outbox.pump import Later
from outbox.queue import handler_of
from tests.approvals.asking import DENY, TESTS, approved, events, opened, requirement, use, vote
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def run(request: AccessRequest) -> None:
    handler_of(jobs.EXPIRE)({"request": request.pk, "tenant": request.tenant_id})


class TestExpire:
    def test_comes_again_when_it_is_too_early(self, ours: World) -> None:
        request = opened(ours)
        with pytest.raises(Later) as caught:
            run(request)
        assert timedelta(minutes=14) < caught.value.after <= timedelta(minutes=15)

    def test_leaves_a_decided_request_alone(self, ours: World) -> None:
        request = opened(ours)
        vote(request, ours.erin, DENY)
        run(request)
        request.refresh_from_db()
        assert request.status == Status.DENIED

    def test_closes_once_however_often_it_runs(self, ours: World) -> None:
        request = opened(ours, now=clock.now() - timedelta(hours=1))
        run(request)
        run(request)
        assert events(request) == ["request.opened", "request.expired"]


def lapse(approval: Approval) -> None:
    handler_of(jobs.LAPSE)({"approval": approval.pk, "tenant": approval.tenant_id})


def over(approval: Approval) -> Approval:
    """The same approval a day after its time."""
    Approval.objects.filter(pk=approval.pk).update(expires_at=clock.now() - timedelta(days=1))
    return approval


class TestLapse:
    def test_is_set_for_the_end_of_the_approval(self, ours: World) -> None:
        approval = approved(ours)
        timer = Job.objects.get(dedupe=f"{jobs.LAPSE}:{approval.pk}")
        assert (timer.run_at, timer.payload) == (
            approval.expires_at,
            {"approval": approval.pk, "tenant": ours.tenant.pk},
        )

    def test_comes_again_when_it_is_too_early(self, ours: World) -> None:
        with pytest.raises(Later) as caught:
            lapse(approved(ours))
        assert timedelta(minutes=9) < caught.value.after <= timedelta(minutes=10)

    def test_an_approval_that_nobody_used_lapses_once(self, ours: World) -> None:
        approval = over(approved(ours))
        lapse(approval)
        lapse(approval)
        assert events(approval.request)[-2:] == ["approval.issued", "approval.lapsed"]

    def test_who_listens_is_told(self, ours: World) -> None:
        approval, heard = over(approved(ours)), []
        listen = lambda change, **_: heard.append(change)  # noqa: E731  kept by name, the signal holds it weakly
        request_changed.connect(listen)
        lapse(approval)
        request_changed.disconnect(listen)
        assert heard == [Change.LAPSED]

    def test_one_that_was_used_does_not(self, ours: World) -> None:
        approval = approved(ours, requirements=(requirement(uses=2),))
        use(approval, ours)
        lapse(over(approval))
        assert events(approval.request)[-1] == "approval.used"

    def test_one_that_was_taken_back_does_not(self, ours: World) -> None:
        approval = approved(ours)
        requests.revoke_approval(approval.pk, tenant_id=ours.tenant.pk, actor=TESTS, reason="", now=clock.now())
        lapse(over(approval))
        assert events(approval.request)[-1] == "approval.revoked"
