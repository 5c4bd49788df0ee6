"""Blocks, views and posts as an app makes them; what Slack says to a call that it refuses."""

from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from examples.lookalikes.slack.acme import APPROVALS

METADATA = {"event_type": "access_request", "event_payload": {"request": "arq_1"}}


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
