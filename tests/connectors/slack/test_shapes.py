"""Signed bodies of any shape and depth: answered, and never a fault of ours."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from approvals.models import Vote
from connectors.slack import clicks, modal
from connectors.slack.card import APPROVE
from examples.lookalikes.slack.payloads import body_of
from examples.lookalikes.slack.sending import signed
from tests.approvals import asking
from tests.connectors.slack.house import act, connect, link
from tests.connectors.slack_world import SlackWorld, slack_world
from tests.worlds import World, world

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def slack(database: None) -> Iterator[SlackWorld]:
    with slack_world() as made:
        yield made


@pytest.fixture(scope="module")
def ours(slack: SlackWorld) -> World:
    made = world()
    connect(made.tenant, slack)
    link(made.erin, "erin")
    return made


def post(slack: SlackWorld, body: bytes, kind: str = FORM) -> int:
    headers = signed(slack.workspace.signing_secret, body)
    status = Client(headers=headers).generic("POST", "/slack/events", body, content_type=kind).status_code
    act()
    return status


def pressed(slack: SlackWorld, value: str, **changes: Any) -> dict[str, Any]:
    stamp = f"{time.time():.6f}"
    button = {"type": "button", "action_id": APPROVE, "value": value, "text": {"type": "plain_text", "text": "x"}}
    return {
        "type": "block_actions", "team": {"id": slack.workspace.team_id}, "api_app_id": slack.workspace.app_id,
        "user": {"id": "U0ERIN", "username": "erin", "team_id": slack.workspace.team_id}, "trigger_id": f"t{stamp}",
        "container": {"type": "message", "message_ts": stamp, "channel_id": "C0APPROVALS"},
        "message": {"ts": stamp, "blocks": [{"type": "actions", "elements": [button]}]},
        "actions": [{**button, "action_ts": stamp}], **changes,
    }  # fmt: skip


def nested(opening: str, closing: str, depth: int, inside: str = "1") -> str:
    return opening * depth + inside + closing * depth


class TestDepth:
    @pytest.mark.parametrize("depth", [60, 900, 990, 5_000, 60_000])
    @pytest.mark.parametrize(
        ("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('{"event":', "}"), ('{"authorizations":[', "]}")]
    )
    def test_abuse_009_brackets_in_brackets_are_no_payload(
        self, ours: World, slack: SlackWorld, opening: str, closing: str, depth: int
    ) -> None:
        text = nested(opening, closing, depth)
        assert post(slack, urlencode({"payload": text}).encode()) in {400, 401}
        assert post(slack, text.encode(), "application/json") in {400, 401}

    @pytest.mark.parametrize("depth", [60, 900, 5_000])
    def test_abuse_009_nor_are_they_beside_a_click_that_would_count(
        self, ours: World, slack: SlackWorld, depth: int
    ) -> None:
        request = asking.opened(ours, requirements=[asking.requirement(quorum=1, step_up=asking.NONE)])
        told = json.dumps(pressed(slack, request.pk, more="HERE")).replace('"HERE"', nested("[", "]", depth))
        assert post(slack, urlencode({"payload": told}).encode()) == 400
        assert not Vote.objects.filter(request=request).exists()
        assert post(slack, body_of(pressed(slack, request.pk, more=[[[[{"a": ["b"]}]]]]))[0]) == 200
        assert Vote.objects.filter(request=request).exists()

    @pytest.mark.parametrize("callback", [modal.DENY_REASON, modal.TOTP])
    def test_abuse_009_nor_in_what_a_window_remembers(self, ours: World, slack: SlackWorld, callback: str) -> None:
        view = {
            "id": f"V{time.time()}", "hash": "1", "callback_id": callback, "type": "modal", "state": {"values": {}},
            "private_metadata": nested('{"request":', "}", 9_000),
        }  # fmt: skip
        told = {**pressed(slack, "x"), "type": "view_submission", "view": view}
        assert post(slack, body_of(told)[0]) == 200, "the window says what is wrong"


class TestShape:
    @pytest.mark.parametrize("blocks", [5, "x", {}, [5], [None], [["x"]], [{"elements": 5}], [{"elements": [5, None]}]])
    def test_blocks_that_are_none_hold_no_button(self, ours: World, slack: SlackWorld, blocks: Any) -> None:
        request = asking.opened(ours, requirements=[asking.requirement(quorum=1, step_up=asking.NONE)])
        told = pressed(slack, request.pk, message={"ts": "1.0", "blocks": blocks})
        assert post(slack, body_of(told)[0]) == 200
        assert not Vote.objects.filter(request=request).exists()

    @pytest.mark.parametrize("depth", [1, 10, 35])
    def test_keeps_what_slack_may_nest(self, depth: int) -> None:
        assert clicks.is_keepable(json.loads(nested('{"a":[', "]}", depth // 2, '"x"')))
        assert not clicks.is_keepable(json.loads(nested('{"a":[', "]}", depth // 2, '"\\u0000"')))
