"""The rounds of waivers: many end at once, controls are looked at in time, and neither a kill nor a second pump harms."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from approvals.models import Control, Waiver
from approvals.waivers import ending, jobs, looking, moving
from approvals.waivers.controls import InTransaction
from approvals.waivers.models import State
from approvals.waivers.signals import WaiverChange, waiver_changed
from countersign.proof.events import Event
from evidence import clock, ledger
from outbox.models import Job
from outbox.pump import Later
from outbox.queue import handler_of, interval_of
from tests.approvals.waivers.checking import (
    DOWN,
    UP,
    attestation,
    attested,
    check,
    control,
    events,
    mitigated,
    private,
    state,
)
from tests.approvals.waivers.excepting import at, call, easy, granted
from tests.connectors.webhook.receiver import Receiver, receiver
from tests.races.crowd import at_once
from tests.worlds import World

LONG_AGO = timedelta(minutes=5)


@pytest.fixture
def ours(database: None, monkeypatch: pytest.MonkeyPatch) -> World:
    private(monkeypatch)
    return easy()


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as made:
        made.say(UP)
        yield made


def over(waiver: Waiver) -> Waiver:
    """The same, its time over for five minutes."""
    now = clock.now()
    Waiver.objects.filter(pk=waiver.pk).update(not_before=now - 2 * LONG_AGO, expires_at=now - LONG_AGO)
    waiver.refresh_from_db()
    return waiver


def due(waiver: Waiver) -> Waiver:
    """The same, all its controls to be looked at now."""
    Control.objects.filter(waiver=waiver, next_at__isnull=False).update(next_at=clock.now())
    return waiver


def look(waiver: Waiver) -> str:
    looking.look_due(waiver_id=waiver.pk)
    return state(waiver)


def expire_all() -> None:
    """Also what other tests left."""
    while ending.expire_due(now=clock.now()):
        pass


def kills(work: Callable[[], Any]) -> Iterator[int]:
    """Do it again and again, killed before its first statement, its second, … until it comes to its end."""
    for before in range(1000):
        left = before

        def statement(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal left
            if not left:
                raise Killed
            left -= 1
            return execute(sql, params, many, context)

        try:
            with connection.execute_wrapper(statement):
                work()
        except Killed:
            yield before
        else:
            return


class Killed(BaseException):
    """No handler of ours may catch it, as none catches SIGKILL; the transaction is rolled back all the same."""


class TestExpire:
    def test_comes_round_each_second(self) -> None:
        assert interval_of(jobs.EXPIRE) == timedelta(seconds=1)
        assert interval_of(jobs.LOOK) == timedelta(seconds=15)

    def test_ends_all_that_are_over_and_tells_of_each_once(self, ours: World) -> None:
        told: list[str] = []

        def hear(waiver: Waiver, change: WaiverChange, **_: Any) -> None:
            if change is WaiverChange.EXPIRED:
                assert connection.in_atomic_block
                assert waiver.state == State.EXPIRED
                told.append(waiver.pk)

        waivers = [over(granted(ours)) for _ in range(3)]
        suspended = over(mitigated(ours, attestation(ours)))
        alive = granted(ours)
        waiver_changed.connect(hear)
        try:
            expire_all()
            expire_all()
        finally:
            waiver_changed.disconnect(hear)
        for waiver in (*waivers, suspended):
            assert told.count(waiver.pk) == 1
            assert state(waiver) == State.EXPIRED
            assert (waiver.ended_by, waiver.ended_at is not None) == ("waivers", True)
            assert events(waiver)[-1] == "waiver.expired"
            assert events(waiver).count("waiver.expired") == 1
        assert state(alive) == State.ACTIVE

    def test_continues_the_thread_of_each(self, ours: World) -> None:
        """What another way to write would have written, chained to what came before."""
        waiver = granted(ours)
        call(ours)
        over(waiver)
        expire_all()
        last, before, *_ = (one["predicate"] for one in ledger.history(ours.slug, waiver.request_id, limit=None))
        assert (last["event"], before["event"]) == ("waiver.expired", "decision.made")
        assert last["thread"]["n"] == before["thread"]["n"] + 1
        assert last["waiver"] == {**moving.member(waiver), "state": "expired"}
        assert last["request"] == {"id": waiver.request_id}
        granted_by = ledger.history(ours.slug, waiver.request_id, limit=1, events={Event.WAIVER_GRANTED})[0][
            "predicate"
        ]
        assert last["action"] == granted_by["action"]
        assert last.keys() == granted_by.keys()

    @pytest.mark.postgres
    def test_leaves_one_that_somebody_holds_for_the_next_round(self, ours: World) -> None:
        held, free = over(granted(ours)), over(granted(ours))

        def expire() -> None:
            expire_all()
            assert state(free) == State.EXPIRED

        with transaction.atomic():
            moving.locked(held.pk, tenant_id=ours.tenant.pk)
            assert at_once([expire]) == [None]
        assert state(held) == State.ACTIVE
        expire_all()
        assert state(held) == State.EXPIRED

    @pytest.mark.postgres
    def test_two_pumps_end_each_once(self, ours: World) -> None:
        waivers = [over(granted(ours)) for _ in range(4)]
        assert at_once([expire_all] * 3) == [None] * 3
        for waiver in waivers:
            assert events(waiver).count("waiver.expired") == 1

    def test_killed_before_any_statement_it_has_done_nothing_by_halves(self, ours: World) -> None:
        expire_all()
        waivers = [over(granted(ours)) for _ in range(2)]
        killed = 0
        for _ in kills(lambda: ending.expire_due(now=clock.now())):
            killed += 1
            for waiver in waivers:
                assert (state(waiver) == State.EXPIRED) == ("waiver.expired" in events(waiver))
        assert killed > 3
        for waiver in waivers:
            assert state(waiver) == State.EXPIRED
            assert events(waiver).count("waiver.expired") == 1

    def test_lets_other_work_have_its_turn(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jobs, "_BATCHES", 1)
        over(granted(ours))
        with pytest.raises(Later):
            jobs.expire()


class TestFirst:
    def test_one_just_granted_need_not_wait_for_the_round(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        (job,) = Job.objects.filter(kind=jobs.FIRST, payload={"waiver": waiver.pk})
        handler_of(job.kind)(job.payload)
        assert state(waiver) == State.ACTIVE
        assert here.connections == 1

    def test_one_without_a_check_asks_for_nothing(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        assert not Job.objects.filter(kind=jobs.FIRST, payload={"waiver": waiver.pk}).exists()


class TestLook:
    def test_refuses_to_use_the_network_in_a_transaction(self, ours: World) -> None:
        with transaction.atomic(), pytest.raises(InTransaction):
            looking.look_due()

    def test_the_round_looks_at_what_is_due_and_at_nothing_else(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        while state(waiver) != State.ACTIVE:  # others' controls may be due as well
            try:
                jobs.look()
            except Later:
                continue
        assert here.connections == 1
        assert look(waiver) == State.ACTIVE
        assert here.connections == 1
        here.say(DOWN)
        assert look(due(waiver)) == State.SUSPENDED
        here.say(UP)
        assert look(due(waiver)) == State.ACTIVE

    def test_the_next_round_is_when_something_is_due(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        Control.objects.filter(next_at__lte=clock.now() + LONG_AGO).exclude(waiver=waiver).update(next_at=None)
        Control.objects.filter(waiver=waiver).update(next_at=clock.now() + timedelta(seconds=6))
        with pytest.raises(Later) as later:
            jobs.look()
        assert timedelta(0) < later.value.after <= timedelta(seconds=6)
        Control.objects.filter(waiver=waiver).update(next_at=clock.now() + LONG_AGO)
        jobs.look()

    def test_a_confirmation_that_is_over_suspends_by_itself(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours, valid_until=at(timedelta(seconds=4))))
        attested(ours, waiver)
        assert look(waiver) == State.ACTIVE
        until = control(waiver).good_until
        assert until is not None
        while clock.now() < until:
            time.sleep(0.01)
        assert look(waiver) == State.SUSPENDED
        assert control(waiver).next_at is None
        assert events(waiver)[-1] == "waiver.suspended"

    def test_one_that_was_taken_back_meanwhile_is_not_due(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        ending.revoke(waiver.pk, tenant_id=ours.tenant.pk, by=ours.dana, why="no", now=clock.now())
        assert look(due(waiver)) == State.REVOKED
        assert here.connections == 0
        looking.forget()
        assert control(waiver).next_at is None

    def test_one_that_waits_to_be_granted_stays_due(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        Waiver.objects.filter(pk=waiver.pk).update(state=State.PENDING)
        assert look(due(waiver)) == State.PENDING
        looking.forget()
        assert control(waiver).next_at is not None
        assert here.connections == 0

    def test_slow_ones_are_asked_side_by_side(self, ours: World) -> None:
        def slow(peer: Any) -> None:
            time.sleep(1)
            peer.sendall(UP)

        with receiver() as here:
            here.answer = slow
            waiver = mitigated(ours, *[check(here) for _ in range(8)])
            began = time.monotonic()
            assert look(waiver) == State.ACTIVE
            assert time.monotonic() - began < 8, "one after the other they take longer than all of them together"

    def test_one_that_cannot_be_settled_stops_no_other(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        Control.objects.create(
            tenant=ours.tenant, waiver=waiver, place=7, kind="check", said={}, next_at=clock.now() - LONG_AGO
        )
        looking.look_due(waiver_id=waiver.pk)
        assert control(waiver).good_until is not None

    @pytest.mark.postgres
    def test_two_pumps_look_once(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        assert sorted(at_once([lambda: looking.look_due(waiver_id=waiver.pk)] * 4)) == [0, 0, 0, 1]  # type: ignore[type-var]
        assert here.connections == 1
        assert events(waiver).count("control.checked") == events(waiver).count("waiver.resumed") == 1

    def test_who_dies_over_it_leaves_it_to_the_next_round(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        killed = 0
        for _ in kills(lambda: looking.look_due(waiver_id=waiver.pk)):
            killed += 1
            told = events(waiver)
            assert (state(waiver) == State.ACTIVE) == ("waiver.resumed" in told)
            assert ("control.checked" in told) == (control(waiver).good_until is not None)
            if told.count("waiver.resumed"):
                break
            again = control(waiver).next_at
            assert again is not None
            assert again <= clock.now() + looking.CLAIMED
            due(waiver)
        assert killed > 5
        assert look(waiver) == State.ACTIVE
        assert events(waiver).count("waiver.resumed") == 1
