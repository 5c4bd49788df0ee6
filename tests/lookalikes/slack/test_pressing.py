"""What a person presses or types is signed, told to the app, and answered where Slack would show it."""

import pytest
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from slack_sdk.webhook import WebhookClient

from examples.lookalikes.slack.acme import APPROVALS
from examples.lookalikes.slack.filling import Impossible
from tests.connectors.slack_world import SlackWorld
from tests.lookalikes.listening import App
from tests.lookalikes.slack.made import actions, button, modal, post, section, text


class TestPressing:
    def test_signs_what_it_sends(self, world: SlackWorld, slack: WebClient, app: App):
        ts = post(slack, section("a"), actions(button()))
        assert world.press("erin", ts, "approve").status == 200
        heard = app.heard[0]
        assert SignatureVerifier(world.workspace.signing_secret).is_valid_request(heard.body, heard.headers)
        assert not SignatureVerifier("another").is_valid_request(heard.body, heard.headers)

    def test_tells_who_pressed_what_and_where(self, world: SlackWorld, slack: WebClient, app: App):
        ts = post(slack, actions(button(), block_id="decide"))
        world.press("erin", ts, "approve")
        told = app.heard[0].payload
        assert (told["type"], told["user"]["id"], told["team"]["id"]) == ("block_actions", "U0ERIN", "T0ACME")
        assert told["container"] == {
            "type": "message",
            "message_ts": ts,
            "channel_id": APPROVALS,
            "is_ephemeral": False,
        }
        assert told["message"]["ts"] == ts
        action = told["actions"][0]
        assert (action["action_id"], action["block_id"], action["value"]) == ("approve", "decide", "arq_1")

    def test_is_impossible_for_those_who_do_not_see_it(self, world: SlackWorld, slack: WebClient, app: App):
        ts = slack.chat_postEphemeral(channel=APPROVALS, user="U0ERIN", text="x", blocks=[actions(button())])[
            "message_ts"
        ]
        with pytest.raises(Impossible, match="sees no message"):
            world.press("frank", ts, "approve")
        world.press("erin", ts, "approve")
        assert len(app.heard) == 1
        assert "message" not in app.heard[0].payload
        assert app.heard[0].payload["container"]["is_ephemeral"] is True

    def test_finds_no_button_after_an_update_unless_the_client_missed_it(self, world, slack, app):
        ts = post(slack, actions(button()))
        slack.chat_update(channel=APPROVALS, ts=ts, text="Denied")
        with pytest.raises(Impossible, match="nothing called approve"):
            world.press("erin", ts, "approve")
        assert world.press("erin", ts, "approve", stale=True).is_taken

    def test_of_a_select_tells_the_option_and_only_one_that_was_offered(self, world, slack, app):
        options = [{"text": text(word), "value": word} for word in ("one", "two")]
        ts = post(slack, actions({"type": "static_select", "action_id": "pick", "options": options}))
        world.press("erin", ts, "pick", value="two")
        assert app.heard[0].payload["actions"][0]["selected_option"]["value"] == "two"
        with pytest.raises(KeyError):
            world.press("erin", ts, "pick", value="three")

    def test_is_told_once_and_seen_to_fail_when_the_app_is_slow_or_broken(self, world, slack, app):
        ts = post(slack, actions(button()))
        app.answers[:] = [500, 0.8]
        assert world.press("erin", ts, "approve").status == 500
        late = world.press("erin", ts, "approve")
        assert (late.status, late.attempts) == (None, 1)
        assert late.seconds < 0.75

    def test_is_told_twice_when_asked_to(self, world, slack, app):
        ts = post(slack, actions(button()))
        world.fault("deliver.block_actions", duplicate=2)
        assert world.press("erin", ts, "approve").attempts == 3
        assert len({heard.body for heard in app.heard}) == 1
        assert app.heard[1].headers["x-slack-retry-num"] == "1"


class TestCommands:
    def test_are_told_as_forms_and_answered_to_the_one_person(self, world: SlackWorld, app: App):
        app.answers[:] = [{"text": "Nothing waits for you."}]
        world.command("erin", "/approvals list mine")
        told = app.heard[0].payload
        assert (told["command"], told["text"], told["user_id"]) == ("/approvals", "list mine", "U0ERIN")
        assert world.only_for("erin")[-1].text == "Nothing waits for you."

    def test_answered_in_channel_are_seen_by_all(self, world: SlackWorld, app: App):
        app.answers[:] = [{"response_type": "in_channel", "text": "Three wait."}]
        world.command("erin", "/approvals")
        assert world.messages()[-1].text == "Three wait."

    def test_open_a_modal_with_their_trigger(self, world: SlackWorld, slack: WebClient, app: App):
        world.command("erin", "/approvals")
        slack.views_open(trigger_id=app.heard[0].payload["trigger_id"], view=modal(section("a")))
        assert world.has_modal("erin")


class TestResponseUrls:
    def pressed(self, world: SlackWorld, slack: WebClient, app: App) -> tuple[str, WebhookClient]:
        ts = post(slack, actions(button()))
        world.press("erin", ts, "approve")
        return ts, WebhookClient(app.heard[-1].payload["response_url"])

    def test_speak_to_the_one_who_pressed(self, world: SlackWorld, slack: WebClient, app: App):
        _, answering = self.pressed(world, slack, app)
        assert answering.send(text="You may not.", replace_original=False).status_code == 200
        assert world.only_for("erin")[-1].text == "You may not."

    def test_replace_and_delete_the_message(self, world: SlackWorld, slack: WebClient, app: App):
        ts, answering = self.pressed(world, slack, app)
        answering.send(text="Done", replace_original=True)
        assert world.workspace.message(APPROVALS, ts).text == "Done"
        answering.send(delete_original=True)
        assert world.workspace.message(APPROVALS, ts) is None

    def test_are_used_up_after_five_and_cannot_be_guessed(self, world: SlackWorld, slack: WebClient, app: App):
        _, answering = self.pressed(world, slack, app)
        statuses = [answering.send(text="x").status_code for _ in range(6)]
        assert statuses == [200] * 5 + [404]
        assert WebhookClient(f"{world.url}/actions/T0ACME/guess").send(text="x").status_code == 404
