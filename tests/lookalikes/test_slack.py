"""The Slack look-alike is held to what Slack documents, with Slack's own client."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import ActionsBlock, ButtonElement, SectionBlock
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.webhook import WebhookClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from examples.lookalikes import faults
from examples.lookalikes.slack import rules
from examples.lookalikes.slack.acme import APPROVALS, GENERAL
from examples.lookalikes.slack.acting import Impossible
from examples.lookalikes.slack.workspace import ALL_SCOPES, Refused
from tests.connectors.slack_world import SlackWorld, words_in
from tests.lookalikes.listening import App, listening

METADATA = {"event_type": "access_request", "event_payload": {"request": "arq_1"}}


@pytest.fixture(scope="module")
def shared() -> Iterator[SlackWorld]:
    with SlackWorld(storm=False, answer_within=0.4, trigger_lifetime=0.4) as world:
        yield world


@pytest.fixture
def world(shared: SlackWorld) -> Iterator[SlackWorld]:
    yield shared
    shared.workspace.faults.clear()
    shared.workspace.stacks.clear()


@pytest.fixture
def slack(world: SlackWorld) -> WebClient:
    return WebClient(token=world.workspace.bot_token, base_url=world.api_url, retry_handlers=[])


@pytest.fixture
def app(world: SlackWorld) -> Iterator[App]:
    with listening() as app:
        world.workspace.request_url = app.url
        yield app
        world.workspace.request_url = ""


def text(words: str, kind: str = "plain_text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def button(action_id: str = "approve", **more: Any) -> dict[str, Any]:
    return {"type": "button", "text": text("Approve"), "action_id": action_id, "value": "arq_1", **more}


def section(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": text(words, "mrkdwn"), **more}


def actions(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements), **more}


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": text("Deny"), "submit": text("Deny"), "blocks": list(blocks), **more}


REASON = {
    "type": "input", "block_id": "why", "label": text("Reason"),
    "element": {"type": "plain_text_input", "action_id": "reason", "min_length": 3},
}  # fmt: skip


def refused(call: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
    with pytest.raises(SlackApiError) as caught:
        call(*arguments, **named)
    answer = caught.value.response
    assert answer["ok"] is False
    return {"status": answer.status_code, **answer.data}


def post(slack: WebClient, *blocks: dict[str, Any], channel: str = APPROVALS) -> str:
    return str(slack.chat_postMessage(channel=channel, text="A request", blocks=list(blocks) or None)["ts"])


class TestTokens:
    def test_refuse_a_call_without_one(self, world: SlackWorld):
        assert refused(WebClient(base_url=world.api_url).auth_test)["error"] == "not_authed"

    def test_refuse_a_wrong_one(self, world: SlackWorld):
        assert refused(WebClient(token="xoxb-no", base_url=world.api_url).auth_test)["error"] == "invalid_auth"

    def test_keep_the_apps_token_from_the_bots_methods_and_the_other_way_round(self, world, slack):
        wrong = WebClient(token=world.workspace.app_token, base_url=world.api_url)
        assert refused(wrong.auth_test)["error"] == "not_allowed_token_type"
        assert refused(slack.apps_connections_open, app_token=slack.token)["error"] == "not_allowed_token_type"

    def test_tell_who_one_is(self, world: SlackWorld, slack: WebClient):
        told = slack.auth_test()
        assert (told["team_id"], told["user_id"]) == (world.workspace.team_id, world.workspace.bot_user)

    def test_reach_as_far_as_their_scopes(self, world: SlackWorld, slack: WebClient):
        world.workspace.scopes = frozenset({"chat:write"})
        answer = refused(slack.conversations_history, channel=APPROVALS)
        world.workspace.scopes = ALL_SCOPES
        assert (answer["error"], answer["needed"], answer["provided"]) == (
            "missing_scope",
            "channels:history",
            "chat:write",
        )

    def test_name_an_unknown_method(self, slack: WebClient):
        assert refused(slack.api_call, "chat.shout")["error"] == "unknown_method"


class TestMessages:
    def test_are_refused_where_the_app_may_not_write(self, world: SlackWorld, slack: WebClient):
        world.workspace.add_channel("C0OLD", "old").is_archived = True
        for channel, error in (("C0NONE", "channel_not_found"), (GENERAL, "not_in_channel"), ("C0OLD", "is_archived")):
            assert refused(slack.chat_postMessage, channel=channel, text="hello")["error"] == error

    def test_need_words_or_blocks_and_not_too_many(self, slack: WebClient):
        asked = {"channel": APPROVALS, "text": ""}  # the SDK's own method warns of it
        assert refused(slack.api_call, "chat.postMessage", json=asked)["error"] == "no_text"
        assert refused(slack.chat_postMessage, channel=APPROVALS, text="x" * 40_001)["error"] == "msg_too_long"

    def test_are_read_back_with_their_metadata_only_when_asked(self, slack: WebClient):
        ts = slack.chat_postMessage(channel="#approvals", text="hello", metadata=METADATA)["ts"]
        plain = slack.conversations_history(channel=APPROVALS, limit=1)["messages"][0]
        whole = slack.conversations_history(channel=APPROVALS, limit=1, include_all_metadata=True)["messages"][0]
        assert plain["ts"] == whole["ts"] == ts
        assert "metadata" not in plain
        assert whole["metadata"] == METADATA

    @pytest.mark.parametrize("metadata", [{"event_type": "x"}, {"event_type": "x", "event_payload": [1]}, ["x"]])
    def test_refuse_metadata_of_another_shape(self, slack: WebClient, metadata: Any):
        answer = refused(slack.chat_postMessage, channel=APPROVALS, text="x", metadata=metadata)
        assert answer["error"] == "invalid_metadata_format"

    def test_come_newest_first_and_in_pages(self, slack: WebClient):
        posted = [post(slack) for _ in range(5)]
        first = slack.conversations_history(channel=APPROVALS, limit=3, oldest=posted[0], inclusive=True)
        rest = slack.conversations_history(
            channel=APPROVALS,
            limit=3,
            oldest=posted[0],
            inclusive=True,
            cursor=first["response_metadata"]["next_cursor"],
        )
        assert [m["ts"] for m in [*first["messages"], *rest["messages"]]] == posted[::-1]
        assert first["has_more"]
        assert not rest["has_more"]

    def test_stay_in_their_thread(self, slack: WebClient):
        parent = post(slack)
        reply = slack.chat_postMessage(channel=APPROVALS, text="Approved by Erin", thread_ts=parent)["ts"]
        assert [m["ts"] for m in slack.conversations_replies(channel=APPROVALS, ts=parent)["messages"]] == [
            parent,
            reply,
        ]
        newest = slack.conversations_history(channel=APPROVALS, limit=1)["messages"][0]
        assert (newest["ts"], newest["reply_count"]) == (parent, 1)
        assert (
            refused(slack.chat_postMessage, channel=APPROVALS, text="x", thread_ts="1")["error"] == "invalid_thread_ts"
        )
        assert refused(slack.conversations_replies, channel=APPROVALS, ts="1.000000")["error"] == "thread_not_found"

    def test_go_to_a_person_through_their_direct_messages(self, slack: WebClient):
        channel = slack.conversations_open(users="U0FRANK")["channel"]["id"]
        assert slack.chat_postMessage(channel="U0FRANK", text="hello")["channel"] == channel
        assert refused(slack.conversations_open, users="U0NOBODY")["error"] == "user_not_found"

    def test_for_one_person_are_seen_by_nobody_else(self, world: SlackWorld, slack: WebClient):
        ts = slack.chat_postEphemeral(channel=APPROVALS, user="U0ERIN", text="You asked for it yourself.")["message_ts"]
        assert ts in [m.ts for m in world.messages(who="erin")]
        assert ts not in [m.ts for m in world.messages(who="frank")]
        assert ts not in [m["ts"] for m in slack.conversations_history(channel=APPROVALS)["messages"]]
        assert refused(slack.chat_update, channel=APPROVALS, ts=ts, text="x")["error"] == "message_not_found"
        outside = refused(slack.chat_postEphemeral, channel=APPROVALS, user="U0NOBODY", text="x")
        assert outside["error"] == "user_not_in_channel"

    def test_have_an_address(self, slack: WebClient):
        ts = post(slack)
        link = slack.chat_getPermalink(channel=APPROVALS, message_ts=ts)["permalink"]
        assert link.endswith(f"/archives/{APPROVALS}/p{ts.replace('.', '')}")
        assert "<!doctype html>" in httpx2.get(link).text
        assert refused(slack.chat_getPermalink, channel=APPROVALS, message_ts="1.0")["error"] == "message_not_found"


class TestUpdates:
    def test_refuse_what_is_not_there_or_somebody_elses(self, world: SlackWorld, slack: WebClient):
        assert refused(slack.chat_update, channel=APPROVALS, ts="1.000000", text="x")["error"] == "message_not_found"
        theirs = world.say("erin", "Who takes this one?").ts
        assert refused(slack.chat_update, channel=APPROVALS, ts=theirs, text="x")["error"] == "cant_update_message"

    def test_with_text_alone_take_the_blocks_away(self, slack: WebClient):
        ts = post(slack, section("a"), actions(button()))
        told = slack.chat_update(channel=APPROVALS, ts=ts, text="Approved")
        assert "blocks" not in told["message"]
        assert told["message"]["edited"]

    def test_with_blocks_leave_no_mark_and_keep_the_metadata(self, slack: WebClient):
        ts = slack.chat_postMessage(channel=APPROVALS, text="x", blocks=[section("a")], metadata=METADATA)["ts"]
        told = slack.chat_update(channel=APPROVALS, ts=ts, text="y", blocks=[section("b")])["message"]
        assert told["blocks"][0]["text"]["text"] == "b"
        assert "edited" not in told
        assert told["metadata"] == METADATA


LIMITS = {
    "51 blocks": [section("a")] * 51,
    "a header of 151": [{"type": "header", "text": text("x" * 151)}],
    "a header in mrkdwn": [{"type": "header", "text": text("x", "mrkdwn")}],
    "a section of 3001": [section("x" * 3001)],
    "an empty section": [section("")],
    "a section without words": [{"type": "section"}],
    "11 fields": [{"type": "section", "fields": [text("x")] * 11}],
    "a field of 2001": [{"type": "section", "fields": [text("x" * 2001)]}],
    "11 context elements": [{"type": "context", "elements": [text("x")] * 11}],
    "26 buttons": [actions(*(button(f"a{n}") for n in range(26)))],
    "no buttons": [actions()],
    "a label of 76": [actions(button(text=text("x" * 76)))],
    "a value of 2001": [actions(button(value="x" * 2001))],
    "an action_id of 256": [actions(button("x" * 256))],
    "a style of its own": [actions(button(style="green"))],
    "two equal action_ids": [actions(button(), button())],
    "two equal block_ids": [section("a", block_id="b"), section("a", block_id="b")],
    "a confirm without deny": [actions(button(confirm={"title": text("a"), "text": text("b"), "confirm": text("c")}))],
    "a confirm text of 301": [
        actions(button(confirm={"title": text("a"), "text": text("x" * 301), "confirm": text("c"), "deny": text("d")}))
    ],
    "an unknown block": [{"type": "blink"}],
    "an unknown element": [actions({"type": "slider"})],
    "an unknown property": [section("a", colour="red")],
    "an input element among buttons": [actions({"type": "plain_text_input", "action_id": "a"})],
}  # fmt: skip


class TestBlocks:
    @pytest.mark.parametrize("name", LIMITS)
    def test_over_a_limit_are_refused(self, slack: WebClient, name: str):
        answer = refused(slack.chat_postMessage, channel=APPROVALS, text="x", blocks=LIMITS[name])
        assert (answer["error"], answer["status"]) == ("invalid_blocks", 200)
        assert "[json-pointer:/blocks" in answer["response_metadata"]["messages"][0]

    def test_that_are_no_list_are_refused(self, slack: WebClient):
        for blocks in ("{", {"type": "section"}):
            answer = refused(slack.chat_postMessage, channel=APPROVALS, text="x", blocks=blocks)
            assert answer["error"] == "invalid_blocks_format"

    def test_at_every_limit_are_taken(self, slack: WebClient):
        confirm = {"title": text("x" * 100), "text": text("x" * 300), "confirm": text("x" * 30), "deny": text("x" * 30)}
        whole = button("x" * 255, text=text("x" * 75), value="x" * 2000, style="danger", confirm=confirm)
        blocks = [
            {"type": "header", "text": text("x" * 150)},
            {"type": "section", "text": text("x" * 3000), "fields": [text("x" * 2000, "mrkdwn")] * 10},
            {"type": "context", "elements": [text("x" * 2000)] * 10},
            actions(whole, *(button(f"a{n}") for n in range(24))),
            *([{"type": "divider"}] * 46),
        ]
        assert slack.chat_postMessage(channel=APPROVALS, text="x", blocks=blocks)["ok"]

    def test_built_with_the_sdk_are_taken(self, slack: WebClient):
        built = [SectionBlock(text="*hello*"), ActionsBlock(elements=[ButtonElement(text="Approve", action_id="a")])]
        assert slack.chat_postMessage(channel=APPROVALS, text="x", blocks=built)["ok"]


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


class TestPeople:
    def test_are_found_by_id_and_by_address(self, slack: WebClient):
        assert slack.users_info(user="U0ERIN")["user"]["profile"]["email"] == "erin@acme.test"
        assert slack.users_lookupByEmail(email="Erin@acme.test")["user"]["id"] == "U0ERIN"
        assert refused(slack.users_info, user="U0NOBODY")["error"] == "user_not_found"
        assert refused(slack.users_lookupByEmail, email="no@acme.test")["error"] == "users_not_found"


class TestFaults:
    def test_too_many_requests_come_with_a_wait(self, world: SlackWorld, slack: WebClient):
        world.fault("chat.*", status=429, retry_after=7)
        with pytest.raises(SlackApiError) as caught:
            slack.chat_postMessage(channel=APPROVALS, text="x")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "7"
        assert slack.chat_postMessage(channel=APPROVALS, text="x")["ok"]

    def test_a_server_error_and_a_refusal_have_no_effect(self, world: SlackWorld, slack: WebClient):
        before = len(world.messages())
        world.fault("chat.postMessage", status=500)
        world.fault("chat.postMessage", error="fatal_error")
        assert refused(slack.chat_postMessage, channel=APPROVALS, text="x")["status"] == 500
        assert refused(slack.chat_postMessage, channel=APPROVALS, text="x")["error"] == "fatal_error"
        assert len(world.messages()) == before

    def test_a_slow_answer_is_too_late(self, world: SlackWorld):
        slack = WebClient(token=world.workspace.bot_token, base_url=world.api_url, timeout=1, retry_handlers=[])
        world.fault("auth.test", delay=1.3)
        with pytest.raises(TimeoutError):
            slack.auth_test()

    @pytest.mark.parametrize(("drop", "posted"), [("before", 0), ("after", 1)])
    def test_a_cut_connection_leaves_the_effect_or_not(
        self, world: SlackWorld, slack: WebClient, drop: str, posted: int
    ):
        before = len(world.messages())
        world.fault("chat.postMessage", drop=drop)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            slack.chat_postMessage(channel=APPROVALS, text="x")
        assert len(world.messages()) - before == posted

    @pytest.mark.parametrize("member", faults.members("slack"))
    def test_are_described_for_those_who_try_them(self, member: str):
        page = (Path(__file__).parents[2] / "docs" / "slack.md").read_text()
        assert f"`{member}`" in page.split("## Without a workspace")[1]

    @pytest.mark.parametrize(
        ("system", "what"), [("slack", {"location": "/"}), ("jira", {"error": "x"}), ("servicenow", {"garbage": True})]
    )
    def test_that_a_system_cannot_have_are_refused(self, system: str, what: dict[str, Any]):
        with pytest.raises(ValueError, match="here"):
            faults.Faults(system).add(faults.Fault(**what))

    def test_are_set_over_http_too(self, world: SlackWorld, slack: WebClient):
        asked = httpx2.post(f"{world.url}/_/faults", json={"where": "auth.test", "error": "fatal_error"})
        assert asked.json()["done"][0]["times"] == 1
        assert refused(slack.auth_test)["error"] == "fatal_error"
        assert httpx2.post(f"{world.url}/_/faults", json={"where": "x", "drop": "sideways"}).status_code == 409


@pytest.fixture
def heard(world: SlackWorld) -> Iterator[list[Any]]:
    """What an app hears through its socket; it answers "Hi" to all."""
    heard: list[Any] = []

    def listen(client: SocketModeClient, request: Any) -> None:
        heard.append(request)
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload={"text": "Hi"}))

    web = WebClient(token=world.workspace.bot_token, base_url=world.api_url)
    client = SocketModeClient(app_token=world.workspace.app_token, web_client=web)
    client.socket_mode_request_listeners.append(listen)
    client.connect()
    world.until(lambda: world.sockets.are_open)
    yield heard
    client.close()
    world.until(lambda: not world.sockets.are_open)


class TestSocketMode:
    def test_carries_clicks_and_takes_acknowledgements(self, world: SlackWorld, slack: WebClient, heard: list[Any]):
        assert world.press("erin", post(slack, actions(button())), "approve").is_taken
        assert json.loads(world.command("erin", "/approvals").body) == {"text": "Hi"}
        assert world.open_home("erin").is_taken
        assert [request.type for request in heard] == ["interactive", "slash_commands", "events_api"]
        assert world.only_for("erin")[-1].text == "Hi"

    def test_asks_the_app_to_connect_anew_now_and_then(self, world: SlackWorld, slack: WebClient, heard: list[Any]):
        before = len(world.calls("apps.connections.open"))
        world.begin(world.sockets.refresh()).result(5)
        world.until(lambda: len(world.calls("apps.connections.open")) > before and world.sockets.are_open)
        assert world.press("erin", post(slack, actions(button())), "approve").is_taken

    def test_needs_a_ticket_that_was_given_out(self, world: SlackWorld):
        with pytest.raises(InvalidStatus), connect(f"{world.url.replace('http', 'ws')}/link/?ticket=guess"):
            pass
        assert not world.sockets.are_open


class TestPage:
    def test_shows_a_person_what_is_theirs_alone(self, world: SlackWorld, slack: WebClient):
        slack.chat_postEphemeral(channel=APPROVALS, user="U0ERIN", text="Only for Erin")
        erin = httpx2.get(f"{world.url}/_/screen?user=U0ERIN")
        assert "Only for Erin" in erin.text
        assert "Only for Erin" not in httpx2.get(f"{world.url}/_/screen?user=U0FRANK").text
        known = httpx2.get(f"{world.url}/_/screen?user=U0ERIN&revision={erin.json()['revision']}")
        assert set(known.json()) == {"revision"}

    def test_presses_for_its_person(self, world: SlackWorld, slack: WebClient, app: App):
        ts = post(slack, actions(button()))
        asked = httpx2.post(f"{world.url}/_/press", json={"user": "U0ERIN", "ts": ts, "action_id": "approve"})
        assert asked.json()["taken"] is True
        assert (
            httpx2.post(f"{world.url}/_/press", json={"user": "U0ERIN", "ts": "1", "action_id": "x"}).status_code == 409
        )

    def test_is_closed_to_other_sites(self, world: SlackWorld):
        rebound = httpx2.get(f"{world.url}/_/screen", headers={"Host": "evil.test"})
        foreign = httpx2.post(f"{world.url}/_/say", json={}, headers={"Origin": "https://evil.test"})
        form = httpx2.post(f"{world.url}/_/say", data={"user": "U0ERIN"})
        assert [rebound.status_code, foreign.status_code, form.status_code] == [403, 403, 415]

    def test_runs_no_script_but_its_own(self, world: SlackWorld):
        page = httpx2.get(f"{world.url}/")
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        for part in page.text.split('src="')[1:] + page.text.split('href="')[1:]:
            assert httpx2.get(f"{world.url}/{part.split(chr(34))[0].lstrip('/')}").status_code == 200


class TestRaces:
    def test_twenty_posters_at_once_get_names_of_their_own(self, world: SlackWorld, slack: WebClient):
        stamps: list[str] = []
        threads = [threading.Thread(target=lambda: stamps.append(post(slack))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(stamps)) == 20


class TestRules:
    def test_agree_with_the_sdk_on_a_whole_card(self):
        assert rules.complaints_about_blocks([section("a"), actions(button())]) == []

    def test_refuse_a_view_that_is_no_object(self):
        assert rules.complaints_about_view("x")
        with pytest.raises(Refused):
            raise Refused("x", ["y"])
