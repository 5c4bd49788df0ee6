"""The Slack look-alike's page in a real Chromium: what approvers without a workspace see, press and fill."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from slack_sdk import WebClient

from examples.lookalikes.slack.acme import APPROVALS
from tests.browser.conftest import DESKTOP, LOUD, PHONE, launched
from tests.browser.test_pages import CHECK
from tests.connectors.slack_world import SlackWorld
from tests.lookalikes.listening import App, listening

pytestmark = pytest.mark.browser

CONFIRM = {
    "title": {"type": "plain_text", "text": "Approve this call?"}, "text": {"type": "mrkdwn", "text": "It *runs* then."},
    "confirm": {"type": "plain_text", "text": "Yes, approve"}, "deny": {"type": "plain_text", "text": "Back"},
}  # fmt: skip
HOSTILE = (
    "<img src=x onerror=document.title='hit'> </div><script>document.title='hit'</script> <javascript:alert(1)|press me>"
    " <!channel> &lt;b&gt;bold&lt;/b&gt; ```<script>``` `<!here>` *_~"
)


@pytest.fixture(scope="module")
def chromium(database: None) -> Iterator[Browser]:
    """After the database is made: inside of Playwright, Django takes this thread for one of an event loop."""
    with sync_playwright() as playwright:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        browser = launched(playwright)
        yield browser
        browser.close()
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")


@pytest.fixture
def world() -> Iterator[SlackWorld]:
    with SlackWorld() as world:
        yield world


@pytest.fixture
def app(world: SlackWorld) -> Iterator[App]:
    with listening() as app:
        world.workspace.request_url = app.url
        yield app


@pytest.fixture
def slack(world: SlackWorld) -> WebClient:
    return WebClient(token=world.workspace.bot_token, base_url=world.api_url)


@pytest.fixture
def sit(chromium: Browser, world: SlackWorld) -> Iterator[Any]:
    """Somebody in front of the page; whatever its console says fails the test."""
    contexts, complaints = [], []

    def take(who: str, viewport: dict[str, int] = DESKTOP, **options: Any) -> Page:
        contexts.append(chromium.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in LOUD else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{world.url}/?user=U0{who.upper()}")
        expect(page.locator("#place")).to_have_text("# approvals")
        return page

    yield take
    for context in contexts:
        context.close()
    assert complaints == []


def text(words: str, kind: str = "plain_text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def card(slack: WebClient, **button: Any) -> str:
    element = {"type": "button", "action_id": "approve", "value": "arq_1", "text": text("Approve"), **button}
    blocks = [
        {"type": "header", "text": text("A request")},
        {
            "type": "section",
            "fields": [text("*Tool*\n`payments.refund`", "mrkdwn"), text("*Amount*\n`250.00`", "mrkdwn")],
        },
        {"type": "actions", "elements": [element]},
        {"type": "context", "elements": [text("asked just now")]},
    ]
    return str(slack.chat_postMessage(channel=APPROVALS, text="A request", blocks=blocks)["ts"])


def ask_why(slack: WebClient, trigger: str) -> None:
    reason = {"type": "plain_text_input", "action_id": "reason", "multiline": True}
    blocks = [{"type": "input", "block_id": "why", "label": text("Why?"), "element": reason}]
    view = {"type": "modal", "title": text("Deny"), "submit": text("Deny it"), "blocks": blocks}
    slack.views_open(trigger_id=trigger, view=view)


class TestPage:
    def test_shows_what_an_agent_wrote_and_runs_none_of_it(self, sit, slack):
        slack.chat_postMessage(channel=APPROVALS, text=HOSTILE)
        page = sit("erin")
        body = page.locator(".message .text").last
        expect(body).to_contain_text("onerror=document.title='hit'")
        expect(body).to_contain_text("<b>bold</b>")
        assert body.locator("img, script, a, b").count() == 0
        assert page.title() == "Slack look-alike"
        expect(body.locator(".loud").first).to_have_text("@channel")

    def test_tells_without_a_reload(self, sit, slack, app):
        page = sit("erin")
        ts = card(slack)
        expect(page.get_by_role("button", name="Approve")).to_be_visible()
        slack.chat_update(channel=APPROVALS, ts=ts, text="Approved by Frank")
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        expect(page.get_by_text("Approved by Frank")).to_be_visible()

    def test_presses_with_the_keyboard_alone_and_asks_before(self, sit, slack, app):
        card(slack, confirm=CONFIRM)
        page = sit("erin")
        page.get_by_role("button", name="Approve").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Approve this call?")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert not app.heard
        expect(page.get_by_role("button", name="Approve")).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Yes, approve").focus()
        with page.expect_response("**/_/press"):
            page.keyboard.press("Enter")
        assert app.heard[0].payload["user"]["id"] == "U0ERIN"

    def test_opens_a_modal_keeps_what_was_typed_and_sends_it(self, sit, slack, app, world):
        card(slack)
        page = sit("erin")
        with page.expect_response("**/_/press"):
            page.get_by_role("button", name="Approve").click()
        ask_why(slack, app.heard[0].payload["trigger_id"])
        dialog = page.get_by_role("dialog", name="Deny")
        expect(dialog.get_by_label("Why?")).to_be_focused()
        dialog.get_by_role("button", name="Deny it").click()
        expect(dialog.get_by_text("Please complete this required field.")).to_be_visible()
        app.answers[:] = [{"response_action": "errors", "errors": {"why": "Say more."}}]
        dialog.get_by_label("Why?").fill("no")
        dialog.get_by_role("button", name="Deny it").click()
        expect(dialog.get_by_text("Say more.")).to_be_visible()
        expect(dialog.get_by_label("Why?")).to_have_value("no")
        dialog.get_by_label("Why?").fill("The receipt is another customer's.")
        dialog.get_by_role("button", name="Deny it").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        state = app.heard[-1].payload["view"]["state"]["values"]
        assert state["why"]["reason"]["value"] == "The receipt is another customer's."

    def test_whispers_to_one_person_only(self, sit, slack, app):
        page, other = sit("erin"), sit("frank")
        app.answers[:] = [{"text": "Nothing waits for you."}]
        page.get_by_label("Message or slash command").fill("/approvals")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Only visible to you")).to_be_visible()
        slack.chat_postMessage(channel=APPROVALS, text="For all")
        expect(other.get_by_text("For all")).to_be_visible()
        expect(other.get_by_text("Nothing waits for you.")).to_have_count(0)

    def test_says_when_the_app_does_not_answer(self, sit, slack, app):
        card(slack)
        app.answers[:] = [500]
        page = sit("erin")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("status")).to_have_text("The app answered with an error (500).")

    def test_changes_the_person_and_shows_their_home(self, sit, slack, app, world):
        view = {"type": "home", "blocks": [{"type": "section", "text": text("One waits for you, Dana.")}]}
        slack.views_publish(user_id="U0DANA", view=view)
        page = sit("erin")
        page.get_by_label("You are").select_option("Dana Reyes")
        page.get_by_role("button", name="Countersign").last.click()
        expect(page.get_by_text("One waits for you, Dana.")).to_be_visible()
        world.until(lambda: app.heard)
        assert app.heard[0].payload["event"]["user"] == "U0DANA"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
    def test_can_be_read_by_everybody(self, sit, slack, viewport, scheme):
        ts = card(slack, style="primary")
        card(slack, style="danger")
        slack.chat_postMessage(channel=APPROVALS, text="x" * 400 + " `" + "y" * 300 + "`", thread_ts=ts)
        slack.chat_postEphemeral(channel=APPROVALS, user="U0ERIN", text="Only *you*, <@U0FRANK>")
        page = sit("erin", viewport, color_scheme=scheme)
        expect(page.get_by_text("Only visible to you")).to_be_visible()
        assert page.evaluate(CHECK) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
