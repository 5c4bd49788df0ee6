"""What takes pictures of a demo's pages, and the ones of README and docs/slack.md. `python -m tests.browser` takes all."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pyotp
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from examples.demo.approvers import approve
from examples.demo.house import Approver, House

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
LARGEST = 120_000  # bytes
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PHONE: Mapping[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "color_scheme": "dark",
    "device_scale_factor": 2,
}
REFUNDS = (("A-1001", "250.00", "case-4711"), ("A-1017", "640.00", "case-4716"), ("A-0988", "119.90", "case-4698"))
WHY = "The kettle arrived broken; the customer sent photos and asks for the money back."


class Desk:
    """The shop's enforcement point, asking."""

    def __init__(self, built: House) -> None:
        self.client = httpx2.Client(base_url=built.url, headers={"Authorization": f"Bearer {built.key()}"})

    def ask(self, tool: str, method: str, arguments: Mapping[str, str], **context: object) -> dict[str, object]:
        asked = {
            "subject": {"type": "agent", "id": "support-bot"},
            "action": {"name": method},
            "resource": {"type": "tool", "id": tool},
            "context": {
                "arguments": arguments, "intent": "customer-refund",
                "principal": {"type": "user", "id": "customer-desk@acme.test"}, **context,
            },
        }  # fmt: skip
        answer = self.client.post("/access/v1/evaluation", json=asked)
        answer.raise_for_status()
        told: dict[str, object] = answer.json()["context"]
        return told

    def refund(self, order: str, amount: str, case: str) -> str:
        told = self.ask(
            "payments.refund", "create", {"order": order, "amount": amount},
            transaction=case, open_request=True, justification=WHY,
        )  # fmt: skip
        return str(told["access_request"]["task"]["id"])  # type: ignore[index]  # as the profile writes it


def enter(browser: Browser, built: House, person: Approver, **options: object) -> BrowserContext:
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(person.link)
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/inbox/")
    return context


def take(context: BrowserContext, address: str, name: str) -> None:
    page = context.new_page()
    page.goto(address)
    keep(page, name)
    page.close()


def keep(page: Page, name: str) -> None:
    page.wait_for_timeout(300)
    target = IMAGES / f"{name}.png"
    page.screenshot(path=target)
    if shutil.which("pngquant"):  # a fourth of the size; without it they must do as they are
        subprocess.run(["pngquant", "--force", "--ext", ".png", "--quality", "80-98", "--strip", target], check=True)
    if target.stat().st_size > LARGEST:
        raise SystemExit(f"{target} has {target.stat().st_size} bytes; at most {LARGEST} are wanted in a README")


def link(built: House, username: str) -> Approver:
    """Somebody who signs in and votes on nothing."""
    return Approver(username, built.manage("sign_in_link", username).split()[-1], "")


def play(built: House, browser: Browser) -> None:
    desk = Desk(built)
    desk.ask("crm.lookup", "get", {"customer": "C-7"}, intent="lookup")
    desk.ask("payments.refund", "create", {"order": "A-0871", "amount": "19.90"})
    desk.ask("crm.delete", "delete", {"customer": "C-7"})
    asked = [desk.refund(*one) for one in REFUNDS]
    frank = built.approver("frank")
    erin = built.approver("erin")
    page = enter(browser, built, frank).new_page()
    page.goto(f"{built.url}/requests/{asked[0]}/")
    page.get_by_label("Reason").fill("Photos and receipt checked.")
    page.get_by_label("Code").fill(pyotp.TOTP(frank.secret).now())
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("1 of 2 approved").wait_for()

    desktop = enter(browser, built, erin, viewport={"width": 1120, "height": 860})
    take(desktop, f"{built.url}/requests/{asked[0]}/", "request-desktop")
    take(desktop, f"{built.url}/inbox/", "inbox")
    phone = browser.new_context(**PHONE)
    phone.add_cookies(desktop.cookies())  # type: ignore[arg-type]  # what one context gives, another takes
    take(phone, f"{built.url}/requests/{asked[0]}/", "request-phone")
    auditor = enter(browser, built, link(built, "ada"), viewport={"width": 1120, "height": 760})
    take(auditor, f"{built.url}/decisions/", "decisions")


def chat(built: House, browser: Browser) -> None:
    """One request answered in chat: its card, why not, the page where a vote is confirmed, what became of it."""
    asked = Desk(built).refund("A-1042", "480.00", "case-4720")
    frank, erin = built.approver("frank"), built.approver("erin")
    approve(built, erin, asked, "Receipt and photos checked.")
    context = enter(browser, built, frank, viewport={"width": 1040, "height": 1180})
    page = context.new_page()
    page.goto(built.chat.address("frank"))
    card = page.locator("article", has=page.get_by_text(asked))
    expect(card).to_contain_text("1 of 2")
    keep(page, "slack-card")
    page.set_viewport_size({"width": 1040, "height": 760})
    card.get_by_role("button", name="Deny").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("The receipt is another customer's.")
    keep(page, "slack-deny")
    page.get_by_role("dialog").get_by_role("button", name="Back").click()
    confirmed(page, card, frank)
    page.goto(built.chat.address("frank"))
    expect(page.locator("article", has=page.get_by_text(asked))).to_contain_text("Approved")
    page.set_viewport_size({"width": 1040, "height": 1060})
    card.evaluate("card => card.scrollIntoView()")
    keep(page, "slack-outcome")


def confirmed(page: Page, card: Locator, person: Approver) -> None:
    """Approve on the card, then on our own page with the number that the chat shows and a fresh code."""
    card.get_by_role("button", name="Approve").click()
    number = re.search(r"number is (\d\d)", page.get_by_text(re.compile(r"number is \d\d")).last.inner_text())
    assert number
    with page.expect_popup() as opening:
        page.get_by_role("button", name="Confirm").last.click()
    ours = opening.value
    ours.set_viewport_size({"width": 1120, "height": 1000})
    ours.get_by_label("Number shown in Slack").fill(number[1])
    ours.get_by_label("Code from your authenticator").fill(pyotp.TOTP(person.secret).now())
    keep(ours, "slack-step-up")
    ours.get_by_role("button", name="Approve").click()
    ours.get_by_text("Your vote is recorded").wait_for()
