"""What a person does in Slack: press, fill, submit, close, type. Checked as the client would, then told to the app."""

import json
from collections.abc import Mapping
from typing import Any

from examples.lookalikes.slack import chatting, payloads, viewing
from examples.lookalikes.slack.filling import Impossible, Unfilled, element_of, missing, state_of
from examples.lookalikes.slack.sending import deliver
from examples.lookalikes.slack.socket import Sockets
from examples.lookalikes.slack.workspace import Delivered, Json, Message, Refused, View, Workspace


def _on_screen(workspace: Workspace, user: str, ts: str, channel: str | None) -> Message:
    for message in workspace.messages:
        if message.ts == ts and channel in {None, message.channel}:
            if message in list(workspace.seen_by(user, message.channel)):
                return message
            break
    raise Impossible(f"{user} sees no message {ts}")


def press_payload(
    workspace: Workspace,
    user: str,
    ts: str,
    action_id: str,
    *,
    channel: str | None = None,
    value: str | None = None,
    values: Mapping[str, str] | None = None,
    stale: bool = False,
) -> Json:
    """The `block_actions` of a click. `stale`: on the blocks as first shown, by a client that missed the edits."""
    with workspace.lock:
        message = _on_screen(workspace, user, ts, channel)
        blocks = message.versions[0] if stale and message.versions else message.blocks
        block_id, element = element_of(blocks, action_id)
        action = payloads.action_of(element, block_id, value=value)
        state = state_of(blocks, values or {}) if values else None
        return payloads.pressed_in_message(workspace, user, message, action, state=state)


async def press(workspace: Workspace, sockets: Sockets, user: str, ts: str, action_id: str, **how: Any) -> Delivered:
    return await deliver(workspace, sockets, press_payload(workspace, user, ts, action_id, **how))


def _open_view(workspace: Workspace, user: str, view_id: str) -> View:
    view = workspace.views.get(view_id)
    top = workspace.top_view(user)
    if view is None or (view.id != workspace.homes.get(user) and view is not top):
        raise Impossible(f"{user} does not see the view {view_id}")
    return view


async def press_in_view(
    workspace: Workspace,
    sockets: Sockets,
    user: str,
    view_id: str,
    action_id: str,
    *,
    value: str | None = None,
    values: Mapping[str, str] | None = None,
) -> Delivered:
    with workspace.lock:
        view = _open_view(workspace, user, view_id)
        block_id, element = element_of(view.shape["blocks"], action_id)
        action = payloads.action_of(element, block_id, value=value)
        told = payloads.pressed_in_view(workspace, view, action, state=state_of(view.shape["blocks"], values or {}))
    return await deliver(workspace, sockets, told)


def submit_payload(workspace: Workspace, user: str, values: Mapping[str, str], *, view_id: str | None = None) -> Json:
    """The `view_submission` of the modal on this person's screen."""
    with workspace.lock:
        top = workspace.top_view(user)
        if top is None or (view_id and top.id != view_id):
            raise Impossible(f"{user} has no such modal open")
        top.errors = missing(top.shape["blocks"], values)
        if top.errors:
            workspace.changed()
            raise Unfilled("; ".join(top.errors.values()))
        return payloads.submitted(workspace, top, state=state_of(top.shape["blocks"], values))


async def submit(
    workspace: Workspace, sockets: Sockets, user: str, values: Mapping[str, str], *, view_id: str | None = None
) -> Delivered:
    """Send the modal, then do what the app answered. A failed answer leaves it open, as Slack does."""
    payload = submit_payload(workspace, user, values, view_id=view_id)
    told = await deliver(workspace, sockets, payload)
    with workspace.lock:
        view = workspace.views[payload["view"]["id"]]
        if told.is_taken and view.is_open:
            _obey(workspace, view, told.body)
    return told


def _obey(workspace: Workspace, view: View, body: str) -> None:
    """`response_action`: none closes the modal; errors, update, push and clear do as they are named."""
    try:
        said = json.loads(body) if body.strip() else {}
    except ValueError:
        raise Impossible("the app's answer to the modal is no JSON") from None
    match said.get("response_action"):
        case None:
            viewing.close_top(workspace, view.user)
        case "clear":
            viewing.close_all(workspace, view.user)
        case "update":
            viewing.replace(workspace, view, _answered(said.get("view")))
        case "push":
            viewing.push(workspace, view.user, _answered(said.get("view")))
        case "errors":
            _show_errors(workspace, view, said.get("errors"))
        case other:
            raise Impossible(f"Slack knows no response_action {other}")


def _answered(view: object) -> Json:
    try:
        return viewing.view_of(view, kind="modal")
    except Refused as refused:
        raise Impossible(f"the app answered with a bad view: {refused.complaints}") from None


def _show_errors(workspace: Workspace, view: View, errors: object) -> None:
    inputs = {block["block_id"] for block in view.shape["blocks"] if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise Impossible(f"errors must name input blocks of the view, not {errors}")
    view.errors = {str(name): str(words) for name, words in errors.items()}
    workspace.changed()


async def close(workspace: Workspace, sockets: Sockets, user: str) -> Delivered | None:
    """Cancel the modal on top. The app hears of it only if it asked to."""
    with workspace.lock:
        view = workspace.top_view(user)
        if view is None:
            raise Impossible(f"{user} has no modal open")
        viewing.close_top(workspace, user)
        told = payloads.closed(workspace, view, is_cleared=False) if view.shape.get("notify_on_close") else None
    return await deliver(workspace, sockets, told) if told else None


async def command(workspace: Workspace, sockets: Sockets, user: str, channel: str, line: str) -> Delivered:
    """Type a slash command; an answer with text or blocks is shown as Slack shows it."""
    with workspace.lock:
        if channel not in workspace.channels or user not in workspace.channels[channel].members:
            raise Impossible(f"{user} is not in {channel}")
        payload = payloads.command(workspace, user, channel, line)
    told = await deliver(workspace, sockets, payload)
    with workspace.lock:
        if told.is_taken and told.body.strip():
            shown_from(workspace, told.body, user=user, channel=channel)
    return told


def shown_from(workspace: Workspace, body: str, *, user: str, channel: str, thread: str | None = None) -> Message:
    """A response body or response URL's words as a message: ephemeral unless `in_channel`. Raises Refused."""
    try:
        said = json.loads(body)
    except ValueError:
        said = {"text": body}
    if not isinstance(said, dict):
        said = {"text": body}
    text, blocks = chatting.text_of(said), chatting.blocks_of(said)
    if not text and not blocks:
        raise Refused("no_text")
    only_for = None if said.get("response_type") == "in_channel" else user
    ts = workspace.next_ts()
    return workspace.post(
        Message(ts, channel, workspace.bot_user, text, blocks, only_for=only_for, thread_ts=thread)
    )  # fmt: skip


async def open_home(workspace: Workspace, sockets: Sockets, user: str) -> Delivered:
    with workspace.lock:
        payload = payloads.home_opened(workspace, user)
    return await deliver(workspace, sockets, payload)


def say(workspace: Workspace, user: str, channel: str, text: str, *, thread_ts: str | None = None) -> Message:
    """A person's own message. The app hears nothing of it: it asks for no message events."""
    with workspace.lock:
        if channel not in workspace.channels or user not in workspace.channels[channel].members:
            raise Impossible(f"{user} is not in {channel}")
        return workspace.post(Message(workspace.next_ts(), channel, user, text, thread_ts=thread_ts))
