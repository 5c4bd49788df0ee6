"""The whole way of one request: asked by a machine, told on the board, answered, used, run; the board tells each step."""

from collections.abc import Iterator

import pytest

from connectors.models import Delivery
from enforcement import executions
from enforcement.models import Custody
from evidence import clock
from tests.connectors.board import Board, board, channel, connect
from tests.connectors.test_deliver import pumped
from tests.enforcement.machine import OUTCOMES, ask, post
from tests.enforcement.test_requests import approved, fresh, using
from tests.worlds import World, world


@pytest.fixture
def here() -> Iterator[Board]:
    with board() as made:
        yield made


@pytest.fixture
def ours(here: Board) -> World:
    made = world(quorum=1, step_up="none", change={"channels": []})
    connect(made.tenant, here.url)
    channel(made.tenant)
    return made


def outcome(ours: World, here: Board) -> str:
    pumped()
    (message,) = here.about(Delivery.objects.get(tenant=ours.tenant).request_id)
    return str(message["outcome"])


def used(ours: World, here: Board) -> str:
    """An approved call that was allowed; its evaluation."""
    body = fresh()
    approval = approved(ours, body)
    assert "Not used yet" in outcome(ours, here)
    evaluation_id = str(ask(ours.pep_key, using(approval, body)).context["evaluation_id"])
    assert "The call has not started yet." in outcome(ours, here)
    return evaluation_id


class TestLoop:
    @pytest.mark.parametrize(
        ("status", "words"),
        [("committed", "The call ran, and its effect is committed."), ("failed", "The call ran and failed.")],
    )
    def test_tells_where_it_was_asked_what_became_of_the_call(self, ours, here, status, words):
        evaluation_id = used(ours, here)
        post(OUTCOMES, ours.pep_key, {"evaluation_id": evaluation_id, "status": "executing"})
        assert "The call is running." in outcome(ours, here)
        post(OUTCOMES, ours.pep_key, {"evaluation_id": evaluation_id, "status": status})
        assert words in outcome(ours, here)

    def test_tells_of_a_call_that_nobody_reported_on(self, ours, here):
        evaluation_id = used(ours, here)
        executions.Execution.objects.filter(pk=evaluation_id).update(deadline=clock.now())
        executions.overdue(evaluation_id, Custody.RESERVED, now=clock.now())
        assert "The approval was used, but the call was never started." in outcome(ours, here)
