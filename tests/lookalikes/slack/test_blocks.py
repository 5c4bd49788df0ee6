"""Blocks are held to Slack's limits, one beyond each is refused."""

import pytest
from slack_sdk import WebClient
from slack_sdk.models.blocks import ActionsBlock, ButtonElement, SectionBlock

from examples.lookalikes.slack import rules
from examples.lookalikes.slack.acme import APPROVALS
from examples.lookalikes.slack.workspace import Refused
from tests.lookalikes.slack.made import actions, button, refused, section, text

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


class TestRules:
    def test_agree_with_the_sdk_on_a_whole_card(self):
        assert rules.complaints_about_blocks([section("a"), actions(button())]) == []

    def test_refuse_a_view_that_is_no_object(self):
        assert rules.complaints_about_view("x")
        with pytest.raises(Refused):
            raise Refused("x", ["y"])
