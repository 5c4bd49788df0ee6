"""A waiver is in force exactly while its controls hold: confirmed by a person, or found by a look."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import transaction

from approvals.models import AccessRequest, Control
from approvals.waivers import controls, ending, holding
from approvals.waivers.controls import InTransaction, NotYours
from approvals.waivers.models import State
from approvals.waivers.moving import NotNow, UnknownWaiver
from evidence import clock, ledger
from tests.approvals.asking import vote
from tests.approvals.waivers.checking import (
    DOWN,
    UP,
    attestation,
    attested,
    check,
    control,
    events,
    looked,
    mitigated,
    private,
    state,
)
from tests.approvals.waivers.excepting import asked, at, call, easy
from tests.connectors.webhook.receiver import Receiver, receiver
from tests.enforcement.machine import Reply
from tests.races.crowd import at_once, rounds
from tests.worlds import World, world

WAIVED = (True, "allow", "waiver")
AS_BEFORE = (False, "escalate", "approval_required")


@pytest.fixture
def ours(database: None, monkeypatch: pytest.MonkeyPatch) -> World:
    private(monkeypatch)
    return easy()


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as made:
        made.say(UP)
        yield made


def take_back(own: World, waiver, name: str = "frank"):
    return controls.take_back(waiver.pk, 0, tenant_id=own.tenant.pk, by=own.people[name], now=clock.now())


class TestAttest:
    def test_refuses_everybody_but_the_person_named(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        for name in ("dana", "carol", "erin", "ada"):
            with pytest.raises(NotYours):
                attested(ours, waiver, name=name)
        assert state(waiver) == State.SUSPENDED
        assert "control.attested" not in events(waiver)

    def test_refuses_a_person_who_left(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        ours.frank.active = False
        with pytest.raises(NotYours):
            attested(ours, waiver)

    def test_another_tenants_is_unknown(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        theirs = world()
        with pytest.raises(UnknownWaiver):
            attested(theirs, waiver)

    @pytest.mark.parametrize("place", [1, 2, -1])
    def test_what_is_no_attestation_is_unknown(self, ours: World, place: int) -> None:
        waiver = mitigated(ours, attestation(ours), {"kind": "obligation", "type": "log"})
        with pytest.raises(UnknownWaiver):
            attested(ours, waiver, place)

    def test_puts_the_waiver_in_force_with_the_next_call(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours, link="https://wiki.test/review"))
        assert call(ours).told == AS_BEFORE
        assert attested(ours, waiver).state == State.ACTIVE
        assert call(ours, transaction="after").told == WAIVED
        assert events(waiver) == [
            "waiver.requested", "waiver.granted", "waiver.suspended", "control.attested", "waiver.resumed",
        ]  # fmt: skip
        said = ledger.history(ours.slug, waiver.request_id, limit=None)
        (record,) = [one["predicate"] for one in said if one["predicate"]["event"] == "control.attested"]
        assert record["actor"] == {"type": "person", "id": ours.username("frank"), "auth": {}}
        granted_until = waiver.terms["terms"]["controls"][0]["valid_until"]
        assert record["detail"] == {"place": 0, "link": "https://wiki.test/review", "valid_until": granted_until}

    def test_a_secret_in_the_link_is_not_recorded_for_ever(self, ours: World) -> None:
        token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
        waiver = mitigated(ours, attestation(ours, link=f"https://wiki.test/review?token={token}"))
        attested(ours, waiver)
        told = [one["predicate"] for one in ledger.history(ours.slug, waiver.request_id, limit=None)]
        assert not any(token in str(one["detail"]) for one in told if one["event"] == "control.attested")

    def test_before_it_is_granted_spares_it_the_wait(self, ours: World) -> None:
        waiver = asked(ours, category="mitigated", controls=[attestation(ours)])
        attested(ours, waiver)
        assert state(waiver) == State.PENDING
        vote(AccessRequest.objects.get(pk=waiver.request_id), ours.erin)
        assert state(waiver) == State.ACTIVE

    def test_again_changes_nothing_and_moves_no_date(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        attested(ours, waiver)
        before = control(waiver).good_until
        attested(ours, waiver)
        assert control(waiver).good_until == before
        assert events(waiver).count("control.attested") == 1

    def test_counts_until_the_date_granted_to_the_millisecond(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours, valid_until=at(timedelta(seconds=4))))
        attested(ours, waiver)
        until = control(waiver).good_until
        assert until is not None
        assert until.isoformat() == waiver.terms["terms"]["controls"][0]["valid_until"]
        assert call(ours).told == WAIVED
        _wait(until)
        assert holding.why_not(waiver, now=until - timedelta(milliseconds=1)) == ""
        assert "is over" in holding.why_not(waiver, now=until)
        assert call(ours, transaction="after").told == AS_BEFORE
        with pytest.raises(NotNow):
            attested(ours, waiver)

    def test_a_later_date_written_into_the_row_does_not_count(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours, valid_until=at(timedelta(seconds=4))))
        attested(ours, waiver)
        until = control(waiver).good_until
        assert until is not None
        Control.objects.filter(waiver=waiver).update(good_until=until + timedelta(days=9))
        _wait(until)
        assert call(ours).told == AS_BEFORE

    def test_a_row_taken_out_by_hand_holds_nothing(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        attested(ours, waiver)
        Control.objects.filter(waiver=waiver).delete()
        assert call(ours).told == AS_BEFORE

    def test_a_row_made_an_obligation_by_hand_holds_nothing(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        attested(ours, waiver)
        Control.objects.filter(waiver=waiver).update(kind="obligation")
        assert call(ours).told == AS_BEFORE

    def test_one_that_is_over_cannot_be_confirmed(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        ending.revoke(waiver.pk, tenant_id=ours.tenant.pk, by=ours.dana, why="no", now=clock.now())
        with pytest.raises(NotNow):
            attested(ours, waiver)


class TestTakeBack:
    def test_refuses_what_nobody_confirmed_and_another_person(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        with pytest.raises(NotNow):
            take_back(ours, waiver)
        attested(ours, waiver)
        with pytest.raises(NotYours):
            take_back(ours, waiver, "dana")

    def test_suspends_with_the_next_call_until_it_is_confirmed_anew(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        attested(ours, waiver)
        assert call(ours).told == WAIVED
        assert take_back(ours, waiver).state == State.SUSPENDED
        assert call(ours, transaction="after").told == AS_BEFORE
        attested(ours, waiver)
        assert call(ours, transaction="again").told == WAIVED
        assert events(waiver)[3:] == [
            "control.attested", "waiver.resumed", "control.withdrawn", "waiver.suspended", "control.attested",
            "waiver.resumed",
        ]  # fmt: skip


class TestLook:
    def test_refuses_to_use_the_network_in_a_transaction(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        with transaction.atomic(), pytest.raises(InTransaction):
            looked(waiver)
        assert here.connections == 0

    def test_asks_nobody_for_a_waiver_that_is_not_granted(self, ours: World, here: Receiver) -> None:
        waiver = asked(ours, category="mitigated", controls=[check(here)])
        assert looked(waiver) == State.PENDING
        assert here.connections == 0

    def test_suspends_at_once_and_resumes_once_it_holds(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        assert looked(waiver) == State.ACTIVE
        assert call(ours).told == WAIVED
        here.say(DOWN)
        assert looked(waiver) == State.SUSPENDED
        assert call(ours, transaction="after").told == AS_BEFORE
        here.say(UP)
        assert looked(waiver) == State.ACTIVE
        assert call(ours, transaction="again").told == WAIVED
        assert events(waiver) == [
            "waiver.requested", "waiver.granted", "waiver.suspended", "control.checked", "waiver.resumed",
            "control.checked", "waiver.suspended", "control.checked", "waiver.resumed",
        ]  # fmt: skip
        said = [one["predicate"] for one in ledger.history(ours.slug, waiver.request_id, limit=None)]
        failed = next(one["detail"] for one in said if one["event"] == "waiver.suspended")
        assert failed == {"why": "Control 1: It answered 503, not 200."}

    def test_records_only_what_is_another_result(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        for answer in (UP, UP, DOWN, DOWN, b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n", UP, UP):
            here.say(answer)
            looked(waiver)
        said = [one["predicate"] for one in ledger.history(ours.slug, waiver.request_id, limit=None)][::-1]
        checked = [one["detail"]["holds"] for one in said if one["event"] == "control.checked"]
        assert checked == [True, False, True]

    def test_resumes_only_when_all_hold(self, ours: World, here: Receiver) -> None:
        with receiver() as there:
            there.say(UP)
            waiver = mitigated(ours, check(here), check(there), attestation(ours))
            assert looked(waiver, 0) == State.SUSPENDED
            assert looked(waiver, 1) == State.SUSPENDED
            assert attested(ours, waiver, 2).state == State.ACTIVE
            here.say(DOWN)
            there.say(DOWN)
            assert looked(waiver, 0) == State.SUSPENDED
            assert looked(waiver, 1) == State.SUSPENDED
            here.say(UP)
            assert looked(waiver, 0) == State.SUSPENDED
            there.say(UP)
            assert looked(waiver, 1) == State.ACTIVE

    def test_is_believed_for_two_rounds_and_a_grace_and_fails_closed_then(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here, every="1m"))
        began = clock.now()
        looked(waiver, now=began)
        row = control(waiver)
        assert row.good_until == began + timedelta(minutes=2, seconds=30)
        assert row.next_at == began + timedelta(minutes=1)
        Control.objects.filter(waiver=waiver).update(good_until=clock.now())  # the pump has been dead since
        assert call(ours).told == AS_BEFORE
        assert holding.why_not(waiver, now=clock.now()) == "Control 1: the last check is too old."

    def test_one_that_began_earlier_says_nothing_new(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        earlier = clock.now() - timedelta(milliseconds=1)  # SQLite tells no finer
        here.say(DOWN)
        assert looked(waiver) == State.SUSPENDED
        here.say(UP)
        assert looked(waiver, now=earlier) == State.SUSPENDED

    def test_what_stands_in_the_row_is_not_what_is_looked_at(self, ours: World, here: Receiver) -> None:
        here.say(DOWN)
        waiver = mitigated(ours, check(here))
        Control.objects.filter(waiver=waiver).update(said={**control(waiver).said, "expect": 503})
        assert looked(waiver) == State.SUSPENDED

    def test_a_waiver_that_is_over_stays_so(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here))
        ending.revoke(waiver.pk, tenant_id=ours.tenant.pk, by=ours.dana, why="no", now=clock.now())
        before = events(waiver)
        assert looked(waiver) == State.REVOKED
        assert events(waiver) == before

    def test_one_whose_time_is_over_is_not_resumed(self, ours: World, here: Receiver) -> None:
        waiver = mitigated(ours, check(here), lasts=timedelta(seconds=4))
        _wait(waiver.expires_at)
        assert looked(waiver) == State.SUSPENDED
        assert "waiver.resumed" not in events(waiver)


@pytest.mark.postgres
@pytest.mark.races
class TestRaces:
    def test_a_use_and_a_suspension_agree(self, ours: World, here: Receiver) -> None:
        """Whoever is first: no use is recorded after the suspension."""
        waiver = mitigated(ours, check(here))
        for number in range(rounds(full=50, reduced=5)):
            here.say(UP)
            assert looked(waiver) == State.ACTIVE
            here.say(DOWN)
            uses = [partial(call, ours, transaction=f"{number}-{n}") for n in range(4)]
            state_after, *replies = at_once([lambda: looked(waiver), *uses])
            assert state_after == State.SUSPENDED
            assert {one.told for one in replies if isinstance(one, Reply)} <= {WAIVED, AS_BEFORE}
            story = events(waiver, "waiver.", "decision.")
            assert story[-1] == "waiver.suspended"

    def test_two_confirm_at_once_and_one_record_says_so(self, ours: World) -> None:
        waiver = mitigated(ours, attestation(ours))
        at_once([lambda: attested(ours, waiver)] * 4)
        assert state(waiver) == State.ACTIVE
        assert events(waiver).count("control.attested") == events(waiver).count("waiver.resumed") == 1


def _wait(until: datetime) -> None:
    while clock.now() < until:
        time.sleep(0.001)
