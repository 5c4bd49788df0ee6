"""What Slack tells an app: a person's act in, the documented payload out. Nothing is sent here.

https://docs.slack.dev/reference/interaction-payloads/ and https://docs.slack.dev/interactivity/implementing-slash-commands/
"""

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from examples.lookalikes.slack import showing
from examples.lookalikes.slack.workspace import Json, Message, View, Workspace

State = Mapping[str, Mapping[str, Json]]


def _common(workspace: Workspace, kind: str, user: str) -> Json:
    person = workspace.people[user]
    return {
        "type": kind,
        "user": {"id": user, "username": person.name, "name": person.name, "team_id": workspace.team_id},
        "api_app_id": workspace.app_id,
        "token": "deprecated-verification-token",
        "trigger_id": workspace.lend_trigger(user),
        "team": {"id": workspace.team_id, "domain": workspace.team.lower()},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def pressed_in_message(
    workspace: Workspace, user: str, message: Message, action: Json, *, state: State | None = None
) -> Json:
    """`block_actions` from a message. An ephemeral message is named but not told."""
    channel = workspace.channels[message.channel]
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(message.only_for),
        **({"thread_ts": message.thread_ts} if message.thread_ts else {}),
    }
    told = {
        **_common(workspace, "block_actions", user),
        "container": container,
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "state": {"values": state or {}},
        "response_url": workspace.lend_response_url(user, channel.id, message.ts),
        "actions": [action],
    }
    if not message.only_for:
        told["message"] = showing.message(workspace, message, with_metadata=True)
    return told


def pressed_in_view(workspace: Workspace, view: View, action: Json, *, state: State | None = None) -> Json:
    return {
        **_common(workspace, "block_actions", view.user),
        "container": {"type": "view", "view_id": view.id},
        "view": showing.view(workspace, view, state=dict(state or {})),
        "actions": [action],
    }


def submitted(workspace: Workspace, view: View, *, state: State) -> Json:
    return {
        **_common(workspace, "view_submission", view.user),
        "view": showing.view(workspace, view, state=dict(state)),
        "response_urls": [],
    }


def closed(workspace: Workspace, view: View, *, is_cleared: bool) -> Json:
    told = _common(workspace, "view_closed", view.user)
    del told["trigger_id"]
    return {**told, "view": showing.view(workspace, view), "is_cleared": is_cleared}


def action_of(element: Json, block_id: str, *, value: str | None = None) -> Json:
    """One entry of `actions`: the element's own name and value, or what was chosen in it."""
    told: Json = {"type": element["type"], "action_id": element["action_id"], "block_id": block_id,
                  "action_ts": f"{time.time():.6f}"}  # fmt: skip
    if element["type"] == "button":
        return told | {name: element[name] for name in ("text", "value", "style", "confirm") if name in element}
    return told | state_of(element, value)


def state_of(element: Json, value: str | None) -> Json:
    """How a filled element is told in `state.values`."""
    kind = element["type"]
    if kind in {"static_select", "radio_buttons", "overflow"}:
        return {"type": kind, "selected_option": option(element, value)}
    if kind == "checkboxes":
        wanted = [one for one in (value or "").split(",") if one]
        return {"type": kind, "selected_options": [option(element, one) for one in wanted]}
    if kind == "users_select":
        return {"type": kind, "selected_user": value}
    return {"type": kind, "value": value or None}


def option(element: Json, value: str | None) -> Json | None:
    """The option with this value, as it was offered. Raises KeyError if it was not."""
    if not value:
        return None
    groups = element.get("option_groups") or [{"options": element.get("options", [])}]
    for one in (one for group in groups for one in group["options"]):
        if one["value"] == value:
            return dict(one)
    raise KeyError(value)


def command(workspace: Workspace, user: str, channel: str, line: str) -> Json:
    """A slash command, `line` being all that was typed."""
    name, _, text = line.strip().partition(" ")
    return {
        "token": "deprecated-verification-token", "team_id": workspace.team_id, "team_domain": workspace.team.lower(),
        "channel_id": channel, "channel_name": workspace.channels[channel].name or "directmessage",
        "user_id": user, "user_name": workspace.people[user].name, "command": name, "text": text.strip(),
        "api_app_id": workspace.app_id, "is_enterprise_install": "false",
        "response_url": workspace.lend_response_url(user, channel, ""), "trigger_id": workspace.lend_trigger(user),
    }  # fmt: skip


def event(workspace: Workspace, told: Json) -> Json:
    """An Events API envelope around one event."""
    return {
        "token": "deprecated-verification-token", "team_id": workspace.team_id, "api_app_id": workspace.app_id,
        "event": {**told, "event_ts": workspace.next_ts()}, "type": "event_callback",
        "event_id": f"Ev{secrets.token_hex(5).upper()}", "event_time": int(time.time()),
        "authorizations": [{"enterprise_id": None, "team_id": workspace.team_id, "user_id": workspace.bot_user,
                            "is_bot": True, "is_enterprise_install": False}],
        "is_ext_shared_channel": False,
    }  # fmt: skip


def home_opened(workspace: Workspace, user: str) -> Json:
    told: Json = {"type": "app_home_opened", "user": user, "channel": workspace.direct(user).id, "tab": "home"}
    view = workspace.views.get(workspace.homes.get(user, ""))
    if view:
        told["view"] = showing.view(workspace, view)
    return event(workspace, told)


def body_of(payload: Json) -> tuple[bytes, str]:
    """The bytes as they go over the wire, and their content type: events are JSON, the rest are forms."""
    if payload.get("type") == "event_callback":
        return json.dumps(payload).encode(), "application/json"
    form: dict[str, Any] = payload if "command" in payload else {"payload": json.dumps(payload)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def kind_of(payload: Mapping[str, Any]) -> str:
    """`block_actions`, `view_submission`, `command`, or an event's own type."""
    if "command" in payload:
        return "command"
    return str(payload["event"]["type"] if payload["type"] == "event_callback" else payload["type"])
