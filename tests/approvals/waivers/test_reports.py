"""What a PEP did with a call that a waiver let through is in custody like any other, and told in the waiver's thread."""

from datetime import timedelta

import pytest

from approvals.models import Waiver
from enforcement import executions
from enforcement.models import Custody, Execution
from evidence import clock
from evidence.models import Record
from tests.approvals.waivers.excepting import call, easy, granted
from tests.enforcement.machine import OUTCOMES, Reply, post
from tests.worlds import World


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def told(own: World, evaluation: str, status: str) -> Reply:
    return post(OUTCOMES, own.pep_key, {"evaluation_id": evaluation, "status": status})


def executed(waiver: Waiver) -> list[str]:
    rows = Record.objects.filter(thread=waiver.request_id, event__startswith="execution.").order_by("n")
    return list(rows.values_list("event", flat=True))


class TestReports:
    def test_run_once_and_are_told_in_the_waivers_thread(self, ours: World) -> None:
        waiver = granted(ours)
        evaluation = call(ours).context["evaluation_id"]
        assert told(ours, evaluation, "executing").status == 200
        assert told(ours, evaluation, "executing").status == 409
        assert told(ours, evaluation, "committed").status == 200
        assert executed(waiver) == ["execution.reported"] * 2
        assert Execution.objects.get(pk=evaluation).request_id == waiver.request_id

    def test_silence_leaves_it_unknown(self, ours: World) -> None:
        waiver = granted(ours)
        evaluation = call(ours).context["evaluation_id"]
        told(ours, evaluation, "executing")
        executions.overdue(evaluation, Custody.EXECUTING, now=clock.now() + timedelta(days=1))
        assert Execution.objects.get(pk=evaluation).status == Custody.INDETERMINATE
        assert executed(waiver) == ["execution.reported", "execution.indeterminate"]
