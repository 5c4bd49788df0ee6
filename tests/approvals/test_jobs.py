"""The timer of a request."""

from datetime import timedelta

import pytest

from approvals import jobs
from approvals.models import AccessRequest, Status
from evidence import clock
from outbox.pump import Later
from outbox.queue import handler_of
from tests.approvals.asking import DENY, events, opened, vote
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
