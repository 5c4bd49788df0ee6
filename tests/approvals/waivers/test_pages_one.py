"""The page of one waiver: what it says, who may end it from here, and that looking changes nothing."""

from datetime import timedelta

import pytest

from approvals.models import Waiver
from approvals.waivers import ending
from approvals.waivers.models import State
from evidence import clock
from tests.approvals.browsing import signed_in, text
from tests.approvals.waivers.asking_page import local
from tests.approvals.waivers.excepting import asked, at, call, easy, granted
from tests.worlds import World


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return easy()


def shown(own: World, waiver: Waiver, who: str = "ada") -> str:
    return text(signed_in(own.people[who]).get(f"/waivers/{waiver.pk}/"))


class TestPage:
    def test_another_tenants_is_as_absent_as_none(self, ours: World) -> None:
        other = easy()
        waiver = asked(other)
        client = signed_in(ours.dana)
        for path in (f"/waivers/{waiver.pk}/", "/waivers/wvr_none/"):
            assert client.get(path).status_code == 404
        for act in ("revoke", "shorten"):
            assert client.post(f"/waivers/{waiver.pk}/{act}/", {"why": "x", "expires_at": "y"}).status_code == 404

    def test_tells_terms_pins_votes_and_timeline(self, database: None) -> None:
        own = easy()
        waiver = granted(own, when="double(arguments.amount) < 500.0", ticket="OPS-1 <b>")
        call(own)
        page = shown(own, waiver)
        assert "support-bot calling create of payments.refund" in page
        assert "OPS-1 &lt;b&gt;" in page
        assert "risk tier 3 or lower" in page
        assert "✓ Approved" in page
        assert "A call was let through" in page
        assert f'href="/requests/{waiver.request_id}/"' in page

    def test_draws_its_uses_and_tells_them_in_a_table(self, database: None) -> None:
        own = easy()
        waiver = granted(own, max_uses=3)
        call(own)
        page = shown(own, waiver)
        assert "<rect" in page
        assert '<caption class="visually-hidden">Uses by day' in page
        assert "1 of 3" in page

    def test_a_suspended_one_says_what_lacks(self, ours: World) -> None:
        until = at(timedelta(days=2))
        controls = [{"kind": "attestation", "person": ours.username("carol"), "valid_until": until}]
        waiver = granted(ours, category="mitigated", controls=controls)
        page = shown(ours, waiver)
        assert "Suspended: it lets nothing through." in page
        assert f"{ours.username('carol')} has not confirmed it." in page

    def test_one_past_its_time_has_ended_whatever_the_row_says(self, ours: World) -> None:
        waiver = granted(ours, lasts=timedelta(seconds=3))
        while clock.now() < waiver.expires_at:
            pass
        page = shown(ours, waiver, "carol")
        assert "◌</span> Ended" in page
        assert "End it early" not in page

    def test_one_that_begins_later_says_so(self, ours: World) -> None:
        waiver = granted(ours, not_before=at(timedelta(hours=2)))
        assert "Granted, begins later" in shown(ours, waiver)

    def test_leads_along_its_renewals(self, ours: World) -> None:
        first = granted(ours)
        second = asked(ours, renews=first.pk)
        assert f'href="/waivers/{second.pk}/"' in shown(ours, first)
        assert f'href="/waivers/{first.pk}/"' in shown(ours, second)

    def test_tells_auditors_how_to_take_its_evidence_away(self, ours: World) -> None:
        waiver = asked(ours)
        command = f"export_evidence --tenant {ours.slug} --out pack --waiver {waiver.pk}"
        assert command in shown(ours, waiver, "ada")
        assert command not in shown(ours, waiver, "erin")


class TestConfirm:
    @pytest.fixture
    def waits(self, ours: World) -> Waiver:
        until = at(timedelta(days=2))
        controls = [{"kind": "attestation", "person": ours.username("carol"), "valid_until": until}]
        return granted(ours, category="mitigated", controls=controls)

    def test_only_the_person_named_does(self, ours: World, waits: Waiver) -> None:
        assert "I confirm this" not in shown(ours, waits, "erin")
        response = signed_in(ours.erin).post(f"/waivers/{waits.pk}/confirm/", {"place": "0"})
        assert response.status_code == 403
        assert "Only the person whom the exception names" in text(response)
        assert Waiver.objects.get(pk=waits.pk).state == State.SUSPENDED

    def test_puts_it_in_force_and_taking_it_back_suspends_it(self, ours: World, waits: Waiver) -> None:
        client = signed_in(ours.carol)
        assert "I confirm this" in shown(ours, waits, "carol")
        assert client.post(f"/waivers/{waits.pk}/confirm/", {"place": "0"}).status_code == 302
        assert Waiver.objects.get(pk=waits.pk).state == State.ACTIVE
        page = shown(ours, waits, "carol")
        assert "Holds until" in page
        assert client.post(f"/waivers/{waits.pk}/take-back/", {"place": "0"}).status_code == 302
        assert Waiver.objects.get(pk=waits.pk).state == State.SUSPENDED
        assert "took a confirmation back" in shown(ours, waits)

    @pytest.mark.parametrize("act", ["confirm", "take-back"])
    def test_looking_says_nothing_and_no_place_is_none(self, ours: World, waits: Waiver, act: str) -> None:
        client = signed_in(ours.carol)
        assert client.get(f"/waivers/{waits.pk}/{act}/", {"place": "0"}).status_code == 405
        for place in ("", "9", "x", "99999999999"):
            assert client.post(f"/waivers/{waits.pk}/{act}/", {"place": place}).status_code == 404
        assert Waiver.objects.get(pk=waits.pk).state == State.SUSPENDED


class TestRevoke:
    @pytest.mark.parametrize("why", [" ", "x" * 2001])
    def test_needs_a_reason_and_keeps_nothing_without(self, ours: World, why: str) -> None:
        waiver = granted(ours)
        response = signed_in(ours.carol).post(f"/waivers/{waiver.pk}/revoke/", {"why": why})
        assert response.status_code == 422
        assert "Say why" in text(response)
        assert Waiver.objects.get(pk=waiver.pk).state == State.ACTIVE

    def test_refuses_who_has_nothing_to_do_with_it(self, ours: World) -> None:
        waiver = granted(ours)
        assert "Revoke it now" not in shown(ours, waiver, "ada")
        response = signed_in(ours.ada).post(f"/waivers/{waiver.pk}/revoke/", {"why": "Mine. <b>"})
        assert response.status_code == 403
        assert "Mine. &lt;b&gt;</textarea>" in text(response)
        assert Waiver.objects.get(pk=waiver.pk).state == State.ACTIVE

    def test_one_person_ends_it_for_the_next_call(self, ours: World) -> None:
        waiver = granted(ours)
        client = signed_in(ours.frank)
        assert client.post(f"/waivers/{waiver.pk}/revoke/", {"why": "Enough."}).status_code == 302
        page = shown(ours, waiver)
        assert "Revoked" in page
        assert "Enough." in page
        assert "End it early" not in shown(ours, waiver, "frank")
        again = client.post(f"/waivers/{waiver.pk}/revoke/", {"why": "Enough."})
        assert again.status_code == 409

    @pytest.mark.parametrize("act", ["revoke", "shorten"])
    def test_looking_ends_nothing(self, ours: World, act: str) -> None:
        waiver = granted(ours)
        assert signed_in(ours.carol).get(f"/waivers/{waiver.pk}/{act}/", {"why": "x"}).status_code == 405
        assert Waiver.objects.get(pk=waiver.pk).state == State.ACTIVE

    def test_abuse_055_a_form_of_another_site_is_refused(self, ours: World) -> None:
        waiver = granted(ours)
        client = signed_in(ours.carol, enforce_csrf_checks=True)
        assert client.post(f"/waivers/{waiver.pk}/revoke/", {"why": "x"}).status_code == 403
        assert Waiver.objects.get(pk=waiver.pk).state == State.ACTIVE


class TestShorten:
    @pytest.mark.parametrize("when", ["", "tomorrow", "2020-01-01T00:00", "9999-12-31T23:59"])
    def test_refuses_what_is_no_earlier_time_to_come(self, ours: World, when: str) -> None:
        waiver = granted(ours)
        response = signed_in(ours.carol).post(f"/waivers/{waiver.pk}/shorten/", {"why": "Kept.", "expires_at": when})
        assert response.status_code == 409
        assert "Kept.</textarea>" in text(response)
        assert Waiver.objects.get(pk=waiver.pk).expires_at == waiver.expires_at

    def test_brings_the_end_forward(self, ours: World) -> None:
        waiver = granted(ours, lasts=timedelta(days=3))
        soon = local(timedelta(hours=5))
        client = signed_in(ours.carol)
        assert client.post(f"/waivers/{waiver.pk}/shorten/", {"why": "x", "expires_at": soon}).status_code == 302
        later = Waiver.objects.get(pk=waiver.pk)
        assert f"{later.expires_at:%Y-%m-%dT%H:%M}" == soon
        assert "Since shortened" in shown(ours, waiver)


class TestDecision:
    def test_a_waived_one_says_so_and_what_would_have_happened(self, database: None) -> None:
        own = easy()
        waiver = granted(own)
        evaluation = call(own).context["evaluation_id"]
        ending.revoke(waiver.pk, tenant_id=own.tenant.pk, by=own.carol, why="x", now=clock.now())
        page = text(signed_in(own.ada).get(f"/decisions/{evaluation}/"))
        assert "Let through by a waiver" in page
        assert "<strong>escalate</strong>, by <strong>refunds-over-100</strong>" in page
        assert f'href="/waivers/{waiver.pk}/"' in page
