"""Checks that count in our own records: uses, those that failed, those a verifier saw otherwise or has not seen."""

import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals.models import Waiver
from approvals.waivers import metrics, moving
from approvals.waivers.finding import Finding
from approvals.waivers.models import State
from countersign.policy.waiver_terms import Metric
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from tests.approvals.waivers.checking import looked, mitigated
from tests.approvals.waivers.excepting import call, easy, granted
from tests.enforcement.machine import OUTCOMES, post
from tests.worlds import World

HOUR = timedelta(hours=1)


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def used(own: World) -> str:
    """One use; its evaluation's id."""
    reply = call(own, transaction=secrets.token_hex(4))
    assert reply.told[2] == "waiver"
    return str(reply.context["evaluation_id"])


def reported(own: World, evaluation: str, *statuses: str) -> None:
    for status in statuses:
        assert post(OUTCOMES, own.pep_key, {"evaluation_id": evaluation, "status": status}).status == 200


def seen(waiver: Waiver, evaluation: str, status: str, *, by: str = "verifier-1") -> None:
    """As `enforcement.verifying` records it."""
    with transaction.atomic():
        locked = moving.locked(waiver.pk, tenant_id=waiver.tenant_id)
        member = {"evaluation_id": evaluation, "status": status, "custody": "committed"}
        moving.lifecycle.record(
            Event.EXECUTION_VERIFIED, locked.request, actor=Actor("verifier", by), now=clock.now(), execution=member
        )


def measured(
    waiver: Waiver, metric: Metric, most: int, *, over: timedelta = HOUR, ahead: timedelta = timedelta()
) -> Finding:
    return metrics.measure(waiver, metric, over=over, most=most, now=clock.now() + ahead)


def verified(waiver: Waiver, last: int, *, ahead: timedelta = timedelta(minutes=1)) -> Finding:
    """As it is seen a round later."""
    return metrics.verified(waiver, last, every=timedelta(seconds=30), now=clock.now() + ahead)


class TestUses:
    def test_counts_those_of_the_time_alone(self, ours: World) -> None:
        waiver = granted(ours)
        assert measured(waiver, Metric.USES, 0).holds
        used(ours)
        used(ours)
        assert measured(waiver, Metric.USES, 2).holds
        assert measured(waiver, Metric.USES, 1) == Finding(holds=False, found="2 uses; at most 1 is agreed.")
        assert measured(waiver, Metric.USES, 1, ahead=HOUR).holds
        assert measured(waiver, Metric.USES, 1, ahead=HOUR + timedelta(hours=1)).holds

    def test_what_another_waiver_let_through_is_not_its_own(self, ours: World) -> None:
        first = granted(ours, lasts=HOUR)
        second = granted(ours)
        used(ours)
        assert not measured(first, Metric.USES, 0).holds
        assert measured(second, Metric.USES, 0).holds

    def test_as_a_control_it_suspends_what_is_used_too_much(self, ours: World) -> None:
        waiver = mitigated(ours, {"kind": "check", "metric": "uses", "over": "1h", "most": 1, "every": "30s"})
        assert looked(waiver) == State.ACTIVE
        used(ours)
        assert looked(waiver) == State.ACTIVE
        used(ours)
        assert looked(waiver) == State.SUSPENDED
        assert looked(waiver, now=clock.now() + timedelta(hours=2)) == State.ACTIVE


class TestFailedShare:
    def test_no_uses_have_no_faults(self, ours: World) -> None:
        assert measured(granted(ours), Metric.FAILED, 0).holds

    def test_is_the_share_of_the_uses_whose_last_report_is_bad(self, ours: World) -> None:
        waiver = granted(ours)
        good, bad, unknown, _untold = (used(ours) for _ in range(4))
        reported(ours, good, "executing", "committed")
        reported(ours, bad, "executing", "failed")
        reported(ours, unknown, "executing")
        assert measured(waiver, Metric.FAILED, 25).holds
        assert not measured(waiver, Metric.FAILED, 24).holds
        reported(ours, unknown, "indeterminate")
        assert measured(waiver, Metric.FAILED, 50).holds
        assert measured(waiver, Metric.FAILED, 49).found.startswith("50 percent")


class TestDiverged:
    def test_counts_uses_of_which_some_verifier_last_saw_something_else(self, ours: World) -> None:
        waiver = granted(ours)
        first, second = used(ours), used(ours)
        seen(waiver, first, "verified")
        seen(waiver, second, "unverifiable")
        assert measured(waiver, Metric.DIVERGED, 0).holds
        seen(waiver, second, "diverged")
        seen(waiver, second, "verified", by="verifier-2")
        assert not measured(waiver, Metric.DIVERGED, 0).holds
        assert measured(waiver, Metric.DIVERGED, 1).holds
        seen(waiver, second, "verified")
        assert measured(waiver, Metric.DIVERGED, 0).holds


class TestVerifiedUses:
    def test_nothing_is_missing_where_nothing_was_used(self, ours: World) -> None:
        assert verified(granted(ours), 3).holds

    def test_gives_a_verifier_one_round(self, ours: World) -> None:
        waiver = granted(ours)
        used(ours)
        assert verified(waiver, 3, ahead=timedelta()).holds
        assert verified(waiver, 3) == Finding(holds=False, found="0 of the last 1 uses were verified.")

    def test_wants_each_of_the_last_ones_seen_as_it_was_told(self, ours: World) -> None:
        waiver = granted(ours)
        first, second, third = used(ours), used(ours), used(ours)
        seen(waiver, second, "verified")
        seen(waiver, third, "unverifiable")
        assert not verified(waiver, 2).holds
        seen(waiver, third, "verified")
        assert verified(waiver, 2).holds
        assert not verified(waiver, 3).holds
        seen(waiver, first, "diverged", by="verifier-2")
        seen(waiver, first, "verified")
        assert not verified(waiver, 3).holds
        seen(waiver, first, "verified", by="verifier-2")
        assert verified(waiver, 3).holds

    def test_as_a_control_it_suspends_until_a_verifier_has_caught_up(self, ours: World) -> None:
        said: dict[str, Any] = {"kind": "check", "verified_uses": 2, "every": "30s"}
        waiver = mitigated(ours, said)
        assert looked(waiver) == State.ACTIVE
        use = used(ours)
        assert looked(waiver, now=clock.now() + timedelta(minutes=1)) == State.SUSPENDED
        seen(waiver, use, "verified")
        assert looked(waiver, now=clock.now() + timedelta(minutes=2)) == State.ACTIVE
