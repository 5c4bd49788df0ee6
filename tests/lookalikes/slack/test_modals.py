"""Modals and App Home open, fill, fail and close as in Slack."""

import time
from typing import Any

import pytest
from slack_sdk import WebClient

from examples.lookalikes.slack.filling import Impossible
from tests.connectors.slack_world import SlackWorld, words_in
from tests.lookalikes.listening import App
from tests.lookalikes.slack.made import REASON, actions, button, modal, refused, section, text


class TestModals:
    def opened(self, world: SlackWorld, slack: WebClient, *blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
        trigger = world.workspace.lend_trigger("U0ERIN")
        return slack.views_open(trigger_id=trigger, view=modal(*(blocks or (REASON,)), **more))["view"]

    def test_open_once_for_each_trigger(self, world: SlackWorld, slack: WebClient):
        trigger = world.workspace.lend_trigger("U0ERIN")
        assert slack.views_open(trigger_id=trigger, view=modal(section("a")))["view"]["hash"]
        again = refused(slack.views_open, trigger_id=trigger, view=modal(section("a")))
        assert again["error"] == "exchanged_trigger_id"
        assert refused(slack.views_open, trigger_id="1.2.x", view=modal())["error"] == "invalid_trigger_id"

    def test_do_not_open_late(self, world: SlackWorld, slack: WebClient):
        trigger = world.workspace.lend_trigger("U0ERIN")
        time.sleep(0.45)
        assert refused(slack.views_open, trigger_id=trigger, view=modal(section("a")))["error"] == "expired_trigger_id"

    @pytest.mark.parametrize(
        "view",
        [
            modal(section("a"), title=text("x" * 25)),
            modal(section("a"), private_metadata="x" * 3001),
            modal(*[section("a")] * 101),
            modal(REASON, submit=None),
            {"type": "modal", "blocks": []},
            {"type": "home", "blocks": []},
        ],
    )
    def test_over_a_limit_are_refused_and_leave_the_trigger(self, world: SlackWorld, slack: WebClient, view: Any):
        trigger = world.workspace.lend_trigger("U0ERIN")
        answer = refused(slack.views_open, trigger_id=trigger, view=view)
        assert answer["error"] == "invalid_arguments"
        assert answer["response_metadata"]["messages"]
        assert slack.views_open(trigger_id=trigger, view=modal(section("a")))["ok"]

    def test_are_told_with_what_was_filled_in(self, world: SlackWorld, slack: WebClient, app: App):
        view = self.opened(world, slack, private_metadata="arq_1", callback_id="deny")
        assert world.submit("erin", reason="Too much").is_taken
        told = app.heard[0].payload
        assert (told["type"], told["view"]["id"], told["view"]["hash"]) == ("view_submission", view["id"], view["hash"])
        assert told["view"]["private_metadata"] == "arq_1"
        assert told["view"]["state"]["values"]["why"]["reason"] == {"type": "plain_text_input", "value": "Too much"}
        assert not world.has_modal("erin")

    def test_are_not_sent_unfilled(self, world: SlackWorld, slack: WebClient, app: App):
        self.opened(world, slack)
        for words in ("", "  ", "no"):
            with pytest.raises(Impossible, match="Please"):
                world.submit("erin", reason=words)
        assert not app.heard

    def test_show_the_apps_errors_and_stay(self, world: SlackWorld, slack: WebClient, app: App):
        self.opened(world, slack)
        app.answers[:] = [{"response_action": "errors", "errors": {"why": "Say more."}}]
        world.submit("erin", reason="Too much")
        assert world.modal("erin").errors == {"why": "Say more."}
        app.answers[:] = [{"response_action": "errors", "errors": {"elsewhere": "Say more."}}]
        with pytest.raises(Impossible, match="must name input blocks"):
            world.submit("erin", reason="Too much")

    def test_are_replaced_pushed_on_and_cleared_as_the_app_answers(self, world, slack, app):
        first = self.opened(world, slack)["id"]
        app.answers[:] = [{"response_action": "update", "view": modal(section("Sure?"))}]
        world.submit("erin", reason="Too much")
        assert (world.modal("erin").id, words_in(world.modal("erin").shape["blocks"])) == (first, "Sure?")
        app.answers[:] = [{"response_action": "push", "view": modal(section("Really?"))}]
        world.submit("erin")
        assert world.modal("erin").previous_id == first
        app.answers[:] = [{"response_action": "clear"}]
        world.submit("erin")
        assert not world.has_modal("erin")

    def test_stay_open_when_the_app_fails(self, world: SlackWorld, slack: WebClient, app: App):
        self.opened(world, slack)
        app.answers[:] = [500]
        assert not world.submit("erin", reason="Too much").is_taken
        assert world.has_modal("erin")

    def test_are_pushed_three_deep(self, world: SlackWorld, slack: WebClient):
        self.opened(world, slack)
        for _ in range(2):
            slack.views_push(trigger_id=world.workspace.lend_trigger("U0ERIN"), view=modal(section("a")))
        answer = refused(slack.views_push, trigger_id=world.workspace.lend_trigger("U0ERIN"), view=modal(section("a")))
        assert answer["error"] == "push_limit_reached"

    def test_are_updated_only_by_who_knows_their_state(self, world: SlackWorld, slack: WebClient):
        view = self.opened(world, slack)
        new = slack.views_update(view_id=view["id"], hash=view["hash"], view=modal(section("b")))["view"]
        assert new["hash"] != view["hash"]
        late = refused(slack.views_update, view_id=view["id"], hash=view["hash"], view=modal(section("c")))
        assert late["error"] == "hash_conflict"
        assert refused(slack.views_update, view_id="V0", view=modal(section("c")))["error"] == "not_found"

    def test_tell_of_their_closing_only_when_asked_to(self, world: SlackWorld, slack: WebClient, app: App):
        self.opened(world, slack)
        assert world.close("erin") is None
        self.opened(world, slack, notify_on_close=True)
        assert world.close("erin").kind == "view_closed"


class TestHome:
    def test_opens_with_an_event_and_shows_what_was_published(self, world: SlackWorld, slack: WebClient, app: App):
        assert world.open_home("dana").is_taken
        told = app.heard[0].payload
        assert (told["type"], told["event"]["type"], told["event"]["user"]) == (
            "event_callback",
            "app_home_opened",
            "U0DANA",
        )
        view = {"type": "home", "blocks": [section("Nothing waits for you."), actions(button("open"))]}
        home = slack.views_publish(user_id="U0DANA", view=view)["view"]
        world.press_in_view("dana", "open", view=home["id"])
        assert app.heard[1].payload["container"] == {"type": "view", "view_id": home["id"]}
        assert refused(slack.views_publish, user_id="U0DANA", view=view, hash="1.x")["error"] == "hash_conflict"
        assert refused(slack.views_publish, user_id="U0DANA", view=modal(section("a")))["error"] == "invalid_arguments"

    def test_events_are_told_again_until_taken(self, world: SlackWorld, app: App):
        app.answers[:] = [500, 0.8]
        assert world.open_home("dana").attempts == 3
        assert len({heard.payload["event_id"] for heard in app.heard}) == 1
        reasons = [heard.headers.get("x-slack-retry-reason") for heard in app.heard]
        assert reasons == [None, "http_error", "http_timeout"]
