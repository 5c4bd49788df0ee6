"""The pictures of docs/waivers.md: one exception as it is asked for, granted, suspended and listed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Browser, BrowserContext, Page

from examples.demo.approvers import approve
from examples.demo.house import House
from tests.browser.screenshots import PHONE, REFUNDS, Desk, enter, keep, link

DESK = {"width": 1120, "height": 1000}
WHY = "Last year's orders move to the new ledger; each refund there is one we promised already."


def waivers(built: House, browser: Browser) -> None:
    desk = Desk(built)
    for one in REFUNDS:
        desk.refund(*one)
    carol = enter(browser, built, link(built, "carol"), viewport=DESK)
    page = pictures(browser, carol, f"{built.url}/waivers/new/", "waivers-ask", fill)
    page.get_by_role("button", name="Look at it in words").last.click()
    page.get_by_role("button", name="Ask for it").wait_for()
    keep(page, "waivers-preview")
    page.get_by_role("button", name="Ask for it").click()
    page.wait_for_url("**/waivers/wvr_*/")
    waiver = page.url
    request = str(page.locator("main a[href^='/requests/']").first.get_attribute("href"))
    asked = request.strip("/").split("/")[-1]

    frank, erin = built.approver("frank"), built.approver("erin")
    approve(built, frank, asked, "Bounded, and carol watches it.")
    team = enter(browser, built, link(built, "erin"), viewport=DESK)
    pictures(browser, team, built.url + request, "waivers-grant")
    approve(built, erin, asked, "Agreed.")
    pictures(browser, team, f"{built.url}/waivers/", "waivers-register")
    pictures(browser, carol, waiver, "waivers-suspended")


def pictures(
    browser: Browser, context: BrowserContext, address: str, name: str, before: Callable[[Page], None] | None = None
) -> Page:
    """On a desk, and on a phone in the dark. The page on the desk stays open."""
    phone = browser.new_context(**PHONE)
    phone.add_cookies(context.cookies())  # type: ignore[arg-type]  # what one context gives, another takes
    for of, suffix in ((phone, "-phone"), (context, "")):
        page = of.new_page()
        page.goto(address)
        if before:
            before(page)
        page.evaluate("scrollTo(0, 0)")
        keep(page, name + suffix)
    phone.close()
    return page


def fill(page: Page) -> None:
    later = f"{datetime.now(UTC) + timedelta(days=14):%Y-%m-%dT%H:%M}"
    page.get_by_label("Something else is done instead").check()
    page.get_by_label("One more").select_option("attestation")
    page.get_by_role("button", name="Add control").click()
    for label, text in {
        "Agents": "support-bot", "Tools": "payments.refund", "Methods": "create",
        "Only if": "double(arguments.amount) <= 500.0", "Until": later, "Uses at most": "50", "Reason": WHY,
        "Business owner": "carol", "Ticket": "OPS-2291", "Who confirms": "carol", "Their word counts until": later,
    }.items():  # fmt: skip
        page.get_by_label(label).first.fill(text)
    page.get_by_label("refunds-over-100").check()
