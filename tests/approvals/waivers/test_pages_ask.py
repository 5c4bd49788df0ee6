"""The form that asks for a waiver, its preview, and the one press that asks."""

import re
from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client

from approvals.models import AccessRequest, Waiver
from evidence import seal
from registry.models import Membership
from tests.approvals.asking import DENY, vote
from tests.approvals.browsing import signed_in, text
from tests.approvals.waivers.asking_page import local, made, press, typed
from tests.approvals.waivers.excepting import asked, call, easy, granted
from tests.worlds import World


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return easy()


@pytest.fixture(scope="module")
def theirs(database: None) -> World:
    return easy()


@pytest.fixture(scope="module")
def plain(database: None) -> World:
    """In which dana has no role: she neither grants nor reads decisions."""
    made = easy()
    Membership.objects.filter(pk=made.dana.pk).update(roles=[])
    return made


def waivers(own: World) -> int:
    return Waiver.objects.filter(tenant=own.tenant).count()


def wrong(response: HttpResponse, name: str) -> str:
    """What the page says is wrong with a field, which must be tied to it."""
    page = text(response)
    found = re.search(rf'id="f-{name}-wrong">(.*?)</div>', page, re.DOTALL)
    assert found, f"nothing is wrong with {name}"
    assert re.search(rf'name="{name}"[^>]*aria-describedby="[^"]*f-{name}-wrong"[^>]*aria-invalid', page)
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


class TestNothingHappensBefore:
    @pytest.mark.parametrize("button", ["preview", "add", "remove-0", "edit", ""])
    def test_no_button_but_one_asks(self, ours: World, button: str) -> None:
        before = waivers(ours)
        assert press(signed_in(ours.dana), button, typed(ours)).status_code == 200
        assert waivers(ours) == before

    def test_looking_asks_for_nothing(self, ours: World) -> None:
        before = waivers(ours)
        assert signed_in(ours.dana).get("/waivers/new/", typed(ours)).status_code == 200
        assert waivers(ours) == before

    def test_abuse_055_a_form_of_another_site_is_refused(self, ours: World) -> None:
        before = waivers(ours)
        assert press(signed_in(ours.dana, enforce_csrf_checks=True), "ask", typed(ours)).status_code == 403
        assert waivers(ours) == before

    def test_a_stranger_signs_in_first(self) -> None:
        assert Client().get("/waivers/new/")["Location"] == "/sign-in/?next=/waivers/new/"


class TestFaults:
    def test_each_stands_beside_its_field_and_what_was_typed_stays(self, ours: World) -> None:
        fields = typed(ours, agents="nobot", when="1 +", owner="nobody", max_uses="many", reason="Kept <b>")
        response = press(signed_in(ours.dana), "preview", fields)
        assert response.status_code == 422
        assert "line 1, column" in wrong(response, "when")
        assert "whole number" in wrong(response, "max_uses")
        assert "Kept &lt;b&gt;</textarea>" in text(response)
        assert "1 +</textarea>" in text(response)
        assert 'value="refunds-over-100" checked' in text(response)

    def test_what_the_registry_does_not_know_is_told_next(self, ours: World) -> None:
        client = signed_in(ours.dana)
        assert "no registered agent" in wrong(press(client, "ask", typed(ours, agents="nobot")), "agents").lower()
        assert "nobody here is called" in wrong(press(client, "ask", typed(ours, owner="nobody")), "owner").lower()

    def test_what_is_left_out_is_asked_for_in_words(self, ours: World) -> None:
        response = press(signed_in(ours.dana), "ask", {"category": "waiver"})
        assert wrong(response, "agents") == "✗ Name at least one agent."
        assert wrong(response, "expires_at") == "✗ Say until when."
        assert "Choose at least one rule." in text(response)

    def test_a_time_beyond_the_ceiling_names_it(self, ours: World) -> None:
        late = typed(ours, expires_at=local(timedelta(days=200)))
        assert "within 90 days" in wrong(press(signed_in(ours.dana), "ask", late), "expires_at")

    def test_a_control_tells_its_own(self, ours: World) -> None:
        fields = typed(ours, **{"control-0-kind": "probe", "control-1-kind": "attestation", "control-1-person": "x"})
        response = press(signed_in(ours.dana), "ask", fields)
        assert wrong(response, "control-0-url") == "✗ Fill this in."
        assert wrong(response, "control-1-valid_until") == "✗ Fill this in."
        assert 'href="#f-control-1"' in text(response)

    def test_an_obligation_of_no_form_is_told_at_the_field_that_lacks_it(self, ours: World) -> None:
        fields = typed(
            ours,
            **{"control-0-kind": "obligation", "control-0-type": "notfication", "control-1-kind": "obligation"},
            **{"control-1-type": "cap", "control-1-properties": "bytes: few"},
        )
        response = press(signed_in(ours.dana), "ask", fields)
        assert "did you mean &#x27;notification&#x27;" in wrong(response, "control-0-type")
        assert "xpected a whole number" in wrong(response, "control-1-properties")

    def test_mitigated_without_a_control_says_so(self, ours: World) -> None:
        response = press(signed_in(ours.dana), "ask", typed(ours, category="mitigated"))
        assert "at least one compensating control" in text(response)

    @pytest.mark.parametrize(
        "properties", ["no colon", "n: NaN", "n: 99999999999999999999", ": x", 'n: {"a": 1, "a": 2}']
    )
    def test_what_no_record_could_hold_is_no_fault_of_ours(self, ours: World, properties: str) -> None:
        fields = typed(
            ours, **{"control-0-kind": "obligation", "control-0-type": "log", "control-0-properties": properties}
        )
        assert press(signed_in(ours.dana), "preview", fields).status_code in {200, 422}

    def test_who_is_too_few_to_grant_it_is_told_at_the_calls(self, ours: World) -> None:
        fields = typed(ours, principals="\n".join(ours.username(name) for name in ("erin", "frank", "carol")))
        response = press(signed_in(ours.dana), "ask", fields)
        assert response.status_code == 422
        assert 'id="f-match"' in text(response)


class TestControls:
    def test_are_added_and_taken_away_without_a_script(self, ours: World) -> None:
        client = signed_in(ours.dana)
        page = text(press(client, "add", typed(ours, add="probe", **{"control-0-kind": "obligation"})))
        assert "One of cap, custom, log, notification, redact, step-up." in page
        assert 'name="control-1-url"' in page
        kept = {
            "control-0-kind": "obligation",
            "control-0-type": "log",
            "control-1-kind": "probe",
            "control-1-url": "u",
        }
        page = text(press(client, "remove-0", typed(ours, **kept)))
        assert 'name="control-0-url" value="u"' in page
        assert "control-1" not in page


class TestPreview:
    def test_says_in_words_what_would_be_excepted_and_who_must_grant_it(self, ours: World) -> None:
        page = text(press(signed_in(ours.dana), "preview", typed(ours, when="double(arguments.amount) < 500.0")))
        assert "support-bot calling create of payments.refund" in page
        assert "double(arguments.amount) &lt; 500.0" in page
        assert "1 of finance" in page
        assert f"Not {ours.username('dana')}" in page
        assert "risk tier 3 or lower" in page

    def test_shows_calls_to_those_who_may_see_them(self, ours: World) -> None:
        call(ours)
        seal.seal_due(ours.slug)
        assert "What it would have let through" in text(press(signed_in(ours.erin), "preview", typed(ours)))

    def test_tells_no_calls_to_who_neither_decides_nor_reads_decisions(self, plain: World) -> None:
        page = text(press(signed_in(plain.dana), "preview", typed(plain)))
        assert "Who has to grant it is shown" in page
        assert "What it would have let through" not in page


class TestAsk:
    def test_keeps_every_word_of_the_preview(self, ours: World) -> None:
        client = signed_in(ours.dana)
        fields = typed(
            ours, ticket="OPS-1", max_uses="5", not_before=local(timedelta(hours=1)), category="mitigated",
            intents="customer-refund\n", principals="desk@acme.test",
            **{"control-0-kind": "obligation", "control-0-type": "notification", "control-0-properties": "to: #x\nafter: 5"},
        )  # fmt: skip
        preview = text(press(client, "preview", fields))
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', preview.split('id="ask"')[1])
        waiver = made(press(client, "ask", dict(hidden)))
        said = waiver.terms["terms"]
        assert said["controls"] == [
            {"kind": "obligation", "type": "notification", "properties": {"to": "#x", "after": 5}}
        ]
        assert (said["ticket"], said["max_uses"], said["category"]) == ("OPS-1", 5, "mitigated")
        assert said["match"]["intents"] == ["customer-refund"]
        assert waiver.asked_by_id == ours.dana.pk

    def test_a_double_click_asks_once(self, ours: World) -> None:
        client, fields = signed_in(ours.dana), typed(ours, reason="Twice.")
        first = made(press(client, "ask", fields))
        assert made(press(client, "ask", fields)) == first
        assert made(press(signed_in(ours.ada), "ask", fields)) != first, "another person asks for themselves"
        vote(AccessRequest.objects.get(pk=first.request_id), ours.erin, DENY)
        assert made(press(client, "ask", fields)) != first, "what was refused may be asked for anew"

    def test_another_tenants_people_and_tools_are_unknown(self, ours: World, theirs: World) -> None:
        response = press(signed_in(theirs.dana), "ask", typed(theirs, owner=ours.username("carol")))
        assert "nobody here is called" in wrong(response, "owner").lower()


class TestRenew:
    def test_begins_with_what_was_said_but_for_its_times(self, ours: World) -> None:
        controls = [{"kind": "obligation", "type": "log", "properties": {"n": "5", "to": ["a"]}}]
        earlier = granted(ours, max_uses=7, controls=controls)
        page = text(signed_in(ours.dana).get(f"/waivers/new/?renews={earlier.pk}"))
        assert f'name="renews" value="{earlier.pk}"' in page
        assert "The migration of last year&#x27;s orders.</textarea>" in page
        assert "n: &quot;5&quot;" in page
        assert re.search(r'name="expires_at" value=""', page)

    def test_is_counted_and_names_what_came_before(self, ours: World) -> None:
        earlier = granted(ours)
        later = made(press(signed_in(ours.dana), "ask", typed(ours, renews=earlier.pk)))
        assert (later.renews_id, later.renewal) == (earlier.pk, 1)

    def test_another_tenants_waiver_is_absent(self, ours: World, theirs: World) -> None:
        earlier = asked(theirs)
        assert signed_in(ours.dana).get(f"/waivers/new/?renews={earlier.pk}").status_code == 404


class TestGrant:
    """The request by which it is granted, read by people and not by machines."""

    def test_is_named_by_what_it_lifts_and_for_whom(self, ours: World) -> None:
        waiver = asked(ours)
        title = "Exception from refunds-over-100 for support-bot"
        erin = signed_in(ours.erin)
        page = text(erin.get(f"/requests/{waiver.request_id}/"))
        assert f"<h1>{title}</h1>" in page
        assert "wants to run" not in page
        assert title in text(erin.get("/inbox/"))

    def test_shows_the_words_above_every_bound_line(self, ours: World) -> None:
        waiver = asked(ours, when="double(arguments.amount) < 500.0", max_uses=3)
        request = AccessRequest.objects.get(pk=waiver.request_id)
        page = text(signed_in(ours.erin).get(f"/requests/{request.pk}/"))
        assert page.index("In words") < page.index("The terms, line by line") < page.index("What it is pinned to")
        assert "3 times at most" in page
        assert request.display_hash in page

    def test_tells_no_calls_to_who_may_not_decide(self, ours: World, plain: World) -> None:
        seal.seal_due(ours.slug)
        waiver = asked(ours)
        assert "What it would have let through" in text(signed_in(ours.frank).get(f"/requests/{waiver.request_id}/"))
        other = asked(plain)
        assert "What it would have" not in text(signed_in(plain.dana).get(f"/requests/{other.request_id}/"))

    def test_a_granted_one_says_what_became_of_it(self, ours: World) -> None:
        waiver = granted(ours)
        page = text(signed_in(ours.erin).get(f"/requests/{waiver.request_id}/"))
        assert f'href="/waivers/{waiver.pk}/"' in page
        assert "may be used" not in page
        assert "What it would have" not in page
