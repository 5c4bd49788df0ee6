"""Tokens, messages, updates and people are as Slack documents them, with Slack's own client."""

from typing import Any

import httpx2
import pytest
from slack_sdk import WebClient

from examples.lookalikes.slack.acme import APPROVALS, GENERAL
from examples.lookalikes.slack.workspace import ALL_SCOPES
from tests.connectors.slack_world import SlackWorld
from tests.lookalikes.slack.made import METADATA, actions, button, post, refused, section


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
        assert refused(slack.conversations_history, channel=channel)["needed"] == "im:history"

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


class TestPeople:
    def test_are_found_by_id_and_by_address(self, slack: WebClient):
        assert slack.users_info(user="U0ERIN")["user"]["profile"]["email"] == "erin@acme.test"
        assert slack.users_lookupByEmail(email="Erin@acme.test")["user"]["id"] == "U0ERIN"
        assert refused(slack.users_info, user="U0NOBODY")["error"] == "user_not_found"
        assert refused(slack.users_lookupByEmail, email="no@acme.test")["error"] == "users_not_found"
