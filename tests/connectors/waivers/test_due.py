"""Before something ends its people hear of it once: not too early, not twice, and not of what they were just told."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from approvals.models import Waiver
from approvals.waivers import ending, register
from approvals.waivers.models import State
from connectors import waivers_due
from connectors.models import Notice
from evidence import clock
from tests.approvals.waivers import excepting
from tests.connectors.waivers.world import Floor, aged, confirmed, floor

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def here(database: None) -> Iterator[Floor]:
    with floor() as made:
        yield made


def notices(waiver: Waiver, *prefixes: str) -> list[str]:
    """What was told of it beside changes of its state, oldest first."""
    rows = Notice.objects.filter(waiver=waiver).order_by("pk").values_list("about", flat=True)
    return [one for one in rows if one.startswith(prefixes or ("ends.", "confirmed.", "flag."))]


class TestEnd:
    @pytest.mark.parametrize(
        ("left", "told"),
        [(8 * DAY, []), (7 * DAY - HOUR, ["ends.7d"]), (2 * DAY, ["ends.7d"]), (DAY - HOUR, ["ends.1d"]), (-HOUR, [])],
        ids=str,
    )
    def test_is_told_of_at_its_time_to_owner_and_asker(self, here: Floor, left: timedelta, told: list[str]) -> None:
        waiver = aged(here.granted(), left=left)
        waivers_due.remind()
        waivers_due.remind()
        assert notices(waiver) == told * 2

    def test_says_how_long_is_left_and_what_to_do(self, here: Floor) -> None:
        waiver = aged(here.granted(max_uses=9), left=7 * DAY - HOUR)
        here.settle()
        waivers_due.remind()
        words = here.slack("dana")[-1]
        assert "It ends in 7 days, on " in words
        assert "; 0 of 9 uses are taken." in words
        assert "ask for a renewal now" in words
        assert f"/waivers/{waiver.pk}/" in here.mail("carol")[-1]

    def test_is_told_twice_of_a_long_one_and_once_of_a_short_one(self, here: Floor) -> None:
        long, short = here.granted(), here.granted()
        for left in (6 * DAY, 20 * HOUR):
            aged(long, left=left)
            aged(short, left=left, lived=4 * DAY - left + 20 * HOUR if left < DAY else HOUR)
            waivers_due.remind()
        assert notices(long) == ["ends.7d"] * 2 + ["ends.1d"] * 2
        assert notices(short) == ["ends.1d"] * 2

    def test_of_one_that_lasts_hours_is_not_told(self, here: Floor) -> None:
        waiver = here.granted()
        waivers_due.remind()
        assert notices(waiver) == []

    def test_of_one_that_began_later_than_that_is_not_told(self, here: Floor) -> None:
        waiver = aged(here.granted(), left=6 * DAY)
        Waiver.objects.filter(pk=waiver.pk).update(not_before=clock.now() - HOUR)
        waivers_due.remind()
        assert notices(waiver) == []

    def test_that_was_brought_forward_is_not_told_right_after(self, here: Floor) -> None:
        waiver = aged(here.granted(), left=40 * DAY)
        by = here.crowd.acme.frank
        ending.shorten(
            waiver.pk, tenant_id=waiver.tenant_id, by=by, expires_at=clock.now() + 5 * DAY, why="", now=clock.now()
        )  # fmt: skip
        here.settle()
        waivers_due.remind()
        assert notices(waiver) == []
        assert "Shortened" in here.slack("dana")[-1]
        Waiver.objects.filter(pk=waiver.pk).update(expires_at=clock.now() + 20 * HOUR)
        Notice.objects.filter(waiver=waiver).update(made_at=clock.now() - 4 * DAY)
        waivers_due.remind()
        assert notices(waiver) == ["ends.1d"] * 2

    def test_of_one_that_is_over_or_pending_is_not_told(self, here: Floor) -> None:
        over, pending = aged(here.granted(), left=2 * DAY), here.asked()
        ending.revoke(over.pk, tenant_id=over.tenant_id, by=here.crowd.acme.frank, why="", now=clock.now())
        waivers_due.remind()
        assert notices(over) == notices(pending) == []

    def test_of_a_suspended_one_is_told_too(self, here: Floor) -> None:
        waiver = aged(here.granted(), left=2 * DAY)
        Waiver.objects.filter(pk=waiver.pk).update(state=State.SUSPENDED)
        waivers_due.remind()
        assert notices(waiver) == ["ends.7d"] * 2


class TestConfirmation:
    def granted(self, here: Floor) -> Waiver:
        control = {"kind": "attestation", "person": here.crowd.acme.username("erin"), "link": "https://acme.test/c1",
                   "valid_until": excepting.at(20 * HOUR)}  # fmt: skip
        return aged(here.granted(category="mitigated", controls=[control]), left=20 * DAY)

    @pytest.mark.parametrize(
        ("since", "left", "is_told"),
        [(30 * DAY, 4 * DAY, False), (30 * DAY, 3 * DAY - HOUR, True), (30 * DAY, -HOUR, False), (HOUR, 2 * DAY, False),
         (DAY, 20 * HOUR, True), (30 * DAY, 21 * DAY, False)],
        ids=str,
    )  # fmt: skip
    def test_is_told_of_to_who_gave_it(self, here: Floor, since: timedelta, left: timedelta, is_told: bool) -> None:
        waiver = self.granted(here)
        confirmed(waiver, since=since, left=left)
        waivers_due.remind()
        waivers_due.remind()
        assert len(notices(waiver, "confirmed.")) == is_told
        if is_told:
            assert "Your confirmation of control 1 ends in" in here.slack("erin")[-1]

    def test_given_anew_is_told_of_anew(self, here: Floor) -> None:
        waiver = self.granted(here)
        for left in (2 * DAY, 2 * DAY + HOUR):
            confirmed(waiver, since=30 * DAY, left=left)
            waivers_due.remind()
        assert len(notices(waiver, "confirmed.")) == 2

    def test_of_a_waiver_that_is_over_is_not_told_of(self, here: Floor) -> None:
        waiver = self.granted(here)
        confirmed(waiver, since=30 * DAY, left=2 * DAY)
        ending.revoke(waiver.pk, tenant_id=waiver.tenant_id, by=here.crowd.acme.frank, why="x", now=clock.now())
        waivers_due.remind()
        assert notices(waiver, "confirmed.") == []

    def test_that_outlives_its_waiver_is_not_told_of(self, here: Floor) -> None:
        waiver = self.granted(here)
        Waiver.objects.filter(pk=waiver.pk).update(expires_at=clock.now() + DAY)
        confirmed(waiver, since=30 * DAY, left=2 * DAY)
        waivers_due.remind()
        assert notices(waiver, "confirmed.") == []


class TestFlag:
    def test_is_told_the_owner_once_in_its_life(self, here: Floor) -> None:
        waiver = here.granted()
        here.settle()
        Waiver.objects.filter(pk=waiver.pk).update(renewal=register.RENEWALS + 1)
        waivers_due.flag()
        Waiver.objects.filter(pk=waiver.pk).update(version=2)
        waivers_due.flag()
        assert notices(waiver) == ["flag.renewed_often"]
        assert "Renewed 4 times" in here.mail("carol")[-1]
        assert all("Renewed" not in one for one in here.slack("dana"))

    def test_of_nothing_to_warn_of_is_not_told(self, here: Floor) -> None:
        waiver = here.granted()
        waivers_due.flag()
        assert notices(waiver) == []
