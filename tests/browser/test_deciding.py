"""People decide in a real browser: by keyboard alone, on a phone, and on pages that stay current by themselves."""

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Status, Vote
from tests.approvals import asking
from tests.approvals.asking import TOTP, enrolled, opened, requirement
from tests.approvals.browsing import fresh_code
from tests.browser.conftest import PHONE, Sit
from tests.worlds import World, world

pytestmark = pytest.mark.browser


@pytest.fixture
def ours(database: None) -> World:
    return world()


def tab_to(page: Page, accessible_name: str) -> None:
    """Press Tab until the focus is on what is called so, as somebody without a mouse would."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(document.activeElement.labels?.[0] || document.activeElement).textContent.replace(/\\s+/g, ' ').trim()"
        )
        if accessible_name in focused:
            return
    pytest.fail(f"Tab never reached {accessible_name!r}")


class TestKeyboard:
    def test_a_wrong_code_is_told_at_the_field_and_the_right_one_approves(self, ours: World, sit: Sit) -> None:
        secret = enrolled(ours.erin)
        request = opened(ours, requirements=[requirement(step_up=TOTP, quorum=1)])
        seat = sit(ours.erin)
        page = seat.go("/inbox/")
        tab_to(page, "payments.refund")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("support-bot wants to run")

        tab_to(page, "Reason")
        page.keyboard.type("Receipt checked.")
        tab_to(page, "Code from your authenticator")
        page.keyboard.type("000000")
        page.keyboard.press("Tab")
        with page.expect_response(lambda response: response.request.method == "POST") as refused:
            page.keyboard.press("Enter")
        assert refused.value.status == 401
        expect(page.get_by_role("alert")).to_contain_text("That code is wrong")
        expect(page.get_by_label("Code from your authenticator")).to_be_focused()
        expect(page.get_by_label("Reason")).to_have_value("Receipt checked.")

        seat.complaints.clear()  # Chromium reports each 4xx, and this one was meant
        page.keyboard.type(fresh_code(ours.erin, secret))
        tab_to(page, "Approve")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Your vote is recorded: approve.")).to_be_visible()
        expect(page.get_by_text("Approved, and not used yet.")).to_be_visible()
        vote = Vote.objects.get(request=request)
        assert (vote.decision, vote.reason, vote.assurance) == ("approve", "Receipt checked.", "totp")

    def test_the_skip_link_leads_past_the_navigation(self, ours: World, sit: Sit) -> None:
        page = sit(ours.erin).go("/inbox/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**#content")


class TestPhone:
    def test_a_request_is_denied_with_the_thumb(self, ours: World, sit: Sit) -> None:
        request = opened(ours)
        page = sit(ours.erin, PHONE, has_touch=True, is_mobile=True).go(f"/requests/{request.pk}/")
        deny = page.get_by_role("button", name="Deny")
        expect(deny).to_be_in_viewport()  # before any scrolling
        box = deny.bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= PHONE["height"]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.get_by_label("Reason").fill("No receipt.")
        deny.tap()
        expect(page.get_by_text("Your vote is recorded: deny.")).to_be_visible()
        request.refresh_from_db()
        assert request.status == Status.DENIED
        assert request.votes.get().reason == "No receipt."

    def test_approving_without_the_code_leads_to_its_field(self, ours: World, sit: Sit) -> None:
        enrolled(ours.erin)
        request = opened(ours, requirements=[requirement(step_up=TOTP)])
        page = sit(ours.erin, PHONE).go(f"/requests/{request.pk}/")
        page.get_by_role("button", name="Approve").click()
        field = page.get_by_label("Code from your authenticator")
        expect(field).to_be_focused()
        expect(field).to_be_in_viewport()
        assert not request.votes.exists()


class TestLive:
    def test_a_new_request_appears_without_a_reload_and_the_focus_stays(self, ours: World, sit: Sit) -> None:
        first = opened(ours)
        page = sit(ours.erin).go("/inbox/")
        page.evaluate("window.stayed = true")
        tab_to(page, "payments.refund")
        second = opened(ours)
        expect(page.locator(f"#row-{second.pk}")).to_be_visible(timeout=10_000)
        expect(page.get_by_role("status").first).to_contain_text("2 waiting for your decision")
        expect(page.locator(f"#row-{first.pk}")).to_be_focused()
        assert page.evaluate("window.stayed")

    def test_a_vote_of_another_appears_and_what_is_being_written_stays(self, ours: World, sit: Sit) -> None:
        request = opened(ours)
        page = sit(ours.erin).go(f"/requests/{request.pk}/")
        page.get_by_label("Reason").fill("half a sent")
        asking.vote(request, ours.frank)
        expect(page.get_by_text("1 of 2 approved")).to_be_visible(timeout=10_000)
        expect(page.get_by_label("Reason")).to_have_value("half a sent")

    def test_the_form_goes_when_others_have_decided(self, ours: World, sit: Sit) -> None:
        request = opened(ours)
        page = sit(ours.erin).go(f"/requests/{request.pk}/")
        asking.vote(request, ours.frank, asking.DENY)
        expect(page.get_by_text("The call does not run.")).to_be_visible(timeout=10_000)
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)

    def test_an_open_page_leads_to_signing_in_when_the_session_ended(self, ours: World, sit: Sit) -> None:
        page = sit(ours.erin).go("/inbox/")
        page.context.clear_cookies()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=10_000)
        assert page.url.endswith("/sign-in/?next=/inbox/")
