"""An exception's life by keyboard alone, at the width of a phone: asked for, granted, used, revoked."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Waiver
from approvals.waivers.models import State
from tests.approvals.waivers.asking_page import local
from tests.approvals.waivers.excepting import call, easy
from tests.browser.conftest import PHONE, Sit
from tests.browser.test_deciding import tab_to
from tests.browser.test_pages import CHECK
from tests.worlds import World

pytestmark = pytest.mark.browser
SLOW = 30_000  # ms that a whole page may take on a busy machine


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def write(page: Page, field: str, text: str) -> None:
    tab_to(page, field)
    page.keyboard.type(text)


def press(page: Page, button: str) -> None:
    tab_to(page, button)
    page.keyboard.press("Enter")


def test_an_exception_is_asked_for_granted_used_and_revoked(ours: World, sit: Sit) -> None:
    page = sit(ours.dana, PHONE).go("/waivers/")
    press(page, "Ask for one")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ask for a waiver", timeout=SLOW)
    write(page, "Agents", "support-bot")
    write(page, "Tools", "payments.refund")
    write(page, "Methods", "create")
    tab_to(page, "refunds-over-100")
    page.keyboard.press("Space")
    page.get_by_label("Until").fill(local(timedelta(days=2)))  # how a browser types a time is its own affair
    write(page, "Reason", "The migration.")
    press(page, "Look at it in words")
    expect(page.get_by_text("support-bot calling create of payments.refund")).to_be_visible(timeout=SLOW)
    assert page.evaluate(CHECK) == []
    press(page, "Ask for it")
    expect(page.get_by_text("Waits for its grant")).to_be_visible(timeout=SLOW)
    waiver = Waiver.objects.get(tenant=ours.tenant)
    assert call(ours).told == (False, "escalate", "approval_required")

    page = sit(ours.erin, PHONE).go("/inbox/")
    press(page, "Exception from refunds-over-100")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Exception from refunds-over-100 for support-bot", timeout=SLOW
    )
    assert page.evaluate(CHECK) == []
    press(page, "Approve")
    expect(page.get_by_text("The exception is in force.")).to_be_visible(timeout=SLOW)
    assert call(ours).told == (True, "allow", "waiver")

    page = sit(ours.carol, PHONE).go(f"/waivers/{waiver.pk}/")
    expect(page.get_by_role("img", name="Uses by day, 1 on the busiest")).to_be_visible(timeout=SLOW)
    assert page.evaluate(CHECK) == []
    press(page, "Revoke it now")
    write(page, "Why", "The migration is done.")
    press(page, "Revoke")
    expect(page.get_by_text("Revoked. The next call is judged without it.")).to_be_visible(timeout=SLOW)
    waiver.refresh_from_db()
    assert waiver.state == State.REVOKED
    assert not call(ours).told[0]
