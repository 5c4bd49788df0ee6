"""Who has to do with a waiver hears of each change where they are, once, with what to do."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction

from approvals.models import AccessRequest, Waiver
from approvals.waivers import ending, moving
from approvals.waivers.models import Control, State
from approvals.waivers.moving import SYSTEM
from connectors import reaching, waivers
from connectors.models import Notice
from evidence import clock
from outbox.models import Job
from registry.models import Membership, TeamMember
from tests.approvals.asking import DENY, vote
from tests.approvals.waivers import excepting
from tests.connectors.waivers.world import Floor, aged, floor

NEEDLE = "AKIA" + "QWERTYUIOPASDFGH"


@pytest.fixture
def here(database: None) -> Iterator[Floor]:
    with floor() as made:
        yield made


def suspend(waiver: Waiver, why: str = "a probe failed") -> None:
    _move(waiver, State.SUSPENDED, why)


def resume(waiver: Waiver) -> None:
    with transaction.atomic():
        moving.activate(moving.locked(waiver.pk, tenant_id=waiver.tenant_id), actor=SYSTEM, now=clock.now())


def _move(waiver: Waiver, to: State, why: str = "") -> None:
    with transaction.atomic():
        locked = moving.locked(waiver.pk, tenant_id=waiver.tenant_id)
        moving.move(locked, to, actor=SYSTEM, now=clock.now(), why=why)


class TestGranted:
    def test_is_told_who_asked_in_slack_and_the_owner_by_mail(self, here: Floor) -> None:
        waiver = here.granted(max_uses=3)
        (told,) = here.slack("dana")
        (letter,) = here.mail("carol")
        for words in (told, letter):
            assert "Exception from refunds-over-100 for support-bot on payments.refund" in words
            assert "Granted. It is in force until" in words
            assert "0 of 3 uses" in words
            assert f"/waivers/{waiver.pk}/" in words
        assert not here.mail("dana"), "one place is enough"

    def test_is_told_once_however_often_the_job_runs(self, here: Floor) -> None:
        here.granted()
        here.settle()
        (job,) = Job.objects.filter(tenant=here.crowd.acme.slug, kind=waivers.TELL)
        waivers.tell_change(job.payload)
        assert len(here.slack("dana")) == len(here.mail("carol")) == 1

    def test_asking_tells_only_those_who_may_grant(self, here: Floor) -> None:
        here.asked()
        assert here.slack("dana") == []
        assert not Notice.objects.filter(tenant=here.crowd.acme.tenant).exists()

    def test_one_person_with_two_parts_is_told_once(self, here: Floor) -> None:
        here.granted(owner=here.crowd.acme.username("dana"))
        assert len(here.slack("dana")) == 1

    def test_nobody_who_has_left_is_told(self, here: Floor) -> None:
        waiver = here.granted()
        here.settle()
        TeamMember.objects.filter(membership=waiver.owner).delete()
        Membership.objects.filter(pk=waiver.owner_id).update(active=False)
        ending.revoke(
            waiver.pk, tenant_id=waiver.tenant_id, by=here.crowd.acme.dana, why="no more", now=clock.now()
        )  # fmt: skip
        assert len(here.slack("dana")) == 2
        assert len(here.mail("carol")) == 1

    def test_mail_comes_beside_slack_to_who_wishes_for_it(self, here: Floor) -> None:
        dana = here.crowd.acme.dana
        dana.refresh_from_db()
        dana.identities = {**dana.identities, "email": "yes"}
        assert [one.kind for one in reaching.places_of(dana)] == ["slack", "email"]


class TestRefused:
    def test_is_told_and_that_nothing_changes(self, here: Floor) -> None:
        waiver = here.asked()
        vote(AccessRequest.objects.get(pk=waiver.request_id), here.crowd.acme.erin, DENY)
        assert "Not granted: Denied." in here.slack("dana")[0]
        assert "Its rules hold as before." in here.mail("carol")[0]


class TestSuspended:
    def test_at_its_grant_asks_who_must_confirm(self, here: Floor) -> None:
        ends = excepting.at(timedelta(hours=20))
        control = {"kind": "attestation", "person": here.crowd.acme.username("erin"), "link": "https://acme.test/c1",
                   "valid_until": ends}  # fmt: skip
        waiver = here.granted(category="mitigated", controls=[control])
        assert waiver.state == State.SUSPENDED
        (letter,) = here.mail("carol")
        assert "Granted, and not in force yet." in letter
        assert f"Control 1: {here.crowd.acme.username('erin')}" in letter
        (asked,) = here.slack("erin")
        assert "Control 1 is yours to confirm (see https://acme.test/c1)." in asked

    def test_who_cannot_confirm_any_more_is_not_asked_to(self, here: Floor) -> None:
        control = {"kind": "attestation", "person": here.crowd.acme.username("erin"),
                   "link": f"https://acme.test/?key={NEEDLE}", "valid_until": excepting.at(timedelta(hours=20))}  # fmt: skip
        waiver = here.granted(category="mitigated", controls=[control])
        (asked,) = here.slack("erin")
        assert NEEDLE not in asked
        resume(waiver)
        Notice.objects.filter(waiver=waiver).update(made_at=clock.now() - waivers.CALM)
        here.settle()
        Control.objects.filter(waiver=waiver).update(good_until=clock.now() - timedelta(hours=1))
        suspend(waiver)
        Notice.objects.filter(waiver=waiver).update(made_at=clock.now() - waivers.CALM)
        assert len(here.slack("erin")) == 1
        assert "Ask for a renewal" in here.slack("dana")[-1]

    def test_says_why_and_what_to_do(self, here: Floor) -> None:
        waiver = here.granted()
        here.settle()
        Control.objects.create(
            tenant_id=waiver.tenant_id, waiver=waiver, place=0, kind="check", said={}, looked_at=clock.now(),
            found=f"answered 500 with {NEEDLE}",
        )  # fmt: skip
        suspend(waiver)
        words = here.slack("dana")[-1]
        assert "Suspended: nothing is let through meanwhile." in words
        assert "Control 1: answered 500 with [redacted" in words
        assert NEEDLE not in words
        assert "looked at again by itself" in words

    def test_a_control_that_comes_and_goes_is_not_told_each_time(self, here: Floor) -> None:
        """One word that it is suspended; that it came back waits, and is told if it still is so then."""
        waiver = here.granted()
        here.settle()
        suspend(waiver)
        here.settle()
        for _ in range(5):
            resume(waiver)
            suspend(waiver)
        told = here.slack("dana")
        assert [("Suspended" in one) for one in told] == [False, True]
        Notice.objects.filter(waiver=waiver).update(made_at=clock.now() - waivers.CALM)
        assert len(here.slack("dana")) == 2, "that it came back is not so any more"
        Notice.objects.filter(waiver=waiver).update(made_at=clock.now())
        resume(waiver)
        assert len(here.slack("dana")) == 2
        Notice.objects.filter(waiver=waiver).update(made_at=clock.now() - waivers.CALM)
        assert "In force again" in here.slack("dana")[-1]
        assert len(here.slack("dana")) == 3


class TestOver:
    def test_revoked_says_who_and_why_without_secrets(self, here: Floor) -> None:
        waiver = here.granted()
        here.settle()
        by = here.crowd.acme.frank
        ending.revoke(waiver.pk, tenant_id=waiver.tenant_id, by=by, why=f"see {NEEDLE}\nnow", now=clock.now())
        words = here.mail("carol")[-1]
        assert f"Revoked by {by.user.username}: see [redacted" in words
        assert NEEDLE not in words

    def test_shortened_used_up_and_expired_are_told(self, here: Floor) -> None:
        waiver = here.granted(max_uses=1)
        ending.shorten(
            waiver.pk, tenant_id=waiver.tenant_id, by=here.crowd.acme.frank, now=clock.now(), why="sooner",
            expires_at=clock.now() + timedelta(hours=2),
        )  # fmt: skip
        excepting.call(here.crowd.acme)
        other = aged(here.granted(), left=timedelta(0))
        ending.expire_due(now=clock.now())
        said = "\n".join(here.slack("dana"))
        assert "Shortened: it now ends on" in said
        assert "Ended: all 1 uses are taken." in said
        assert "Ended: its time is over" in said
        other.refresh_from_db()
        assert other.state == State.EXPIRED

    def test_all_that_end_at_once_are_told_in_one_message_and_on_their_cards(self, here: Floor) -> None:
        mine = here.granted(owner=here.crowd.acme.username("dana"))
        both = [aged(waiver, left=timedelta(0)) for waiver in (mine, here.granted())]
        before = len(here.slack("dana"))
        ending.expire_due(now=clock.now())
        (job,) = Job.objects.filter(kind=waivers.TELL_ENDS, tenant=here.crowd.acme.slug)
        (words,) = here.slack("dana")[before:]
        assert words.startswith("2 exceptions ended: their time is over.")
        assert all(f"/waivers/{waiver.pk}/" in words for waiver in both)
        assert words.count(f"/waivers/{mine.pk}/") == 1
        assert "Ended: its time is over" in here.mail("carol")[-1], "one of them is hers"
        assert all("The exception ended on" in str(card.blocks) for card in here.crowd.cards())
        waivers.tell_ends(job.payload)
        assert len(here.slack("dana")) == before + 1, "who runs it again tells nobody twice"

    def test_brings_the_card_of_its_request_up_to_date(self, here: Floor) -> None:
        waiver = here.granted()
        here.settle()
        (card,) = here.crowd.cards()
        assert "The exception is in force until" in str(card.blocks)
        ending.revoke(
            waiver.pk, tenant_id=waiver.tenant_id, by=here.crowd.acme.frank, why="", now=clock.now()
        )  # fmt: skip
        here.settle()
        (card,) = here.crowd.cards()
        assert "was revoked by" in str(card.blocks)
