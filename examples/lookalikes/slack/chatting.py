"""The `chat.*` methods: arguments in, Slack's answer out; a `Refused` is an answer with `ok: false`."""

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from examples.lookalikes.slack import rules, showing
from examples.lookalikes.slack.workspace import Blocks, Channel, Json, Message, Refused, Workspace

Arguments = Mapping[str, Any]
LONGEST_TEXT = 40_000
LARGEST_METADATA = 16_384


def decoded(value: Any, error: str) -> Any:
    """JSON inside a form field; from a JSON body it is already a value."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise Refused(error) from None


def needed(arguments: Arguments, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise Refused("invalid_arguments", [f"[ERROR] missing required field: {name}"])
    return value


def blocks_of(arguments: Arguments) -> Blocks:
    given = decoded(arguments.get("blocks"), "invalid_blocks_format")
    if given is None or given == []:
        return []
    if not isinstance(given, list):
        raise Refused("invalid_blocks_format")
    complaints = rules.complaints_about_blocks(given)
    if complaints:
        raise Refused("invalid_blocks", complaints, errors=[one.removeprefix("[ERROR] ") for one in complaints])
    named: Blocks = showing.named(copy.deepcopy(given))
    return named


def text_of(arguments: Arguments) -> str:
    text = arguments.get("text") or ""
    if not isinstance(text, str):
        raise Refused("invalid_arguments", ["[ERROR] text must be a string"])
    if len(text) > LONGEST_TEXT:
        raise Refused("msg_too_long")
    return text


def metadata_of(arguments: Arguments) -> Json | None:
    given = decoded(arguments.get("metadata"), "invalid_metadata_format")
    if given is None:
        return None
    complaints = rules.complaints_about_metadata(given)
    if complaints:
        raise Refused("invalid_metadata_format", complaints)
    if len(json.dumps(given)) > LARGEST_METADATA:
        raise Refused("metadata_too_large")
    kept: Json = copy.deepcopy(given)
    return kept


def channel_by_id(workspace: Workspace, arguments: Arguments) -> Channel:
    channel = workspace.channels.get(needed(arguments, "channel"))
    if channel is None:
        raise Refused("channel_not_found")
    return channel


def _place(workspace: Workspace, arguments: Arguments) -> Channel:
    """Where a message goes: an id, a `#name`, or a person, whose direct messages are then opened."""
    wanted = needed(arguments, "channel")
    if wanted in workspace.people and not workspace.people[wanted].is_bot:
        return workspace.direct(wanted)
    for channel in workspace.channels.values():
        if wanted == channel.id or (channel.name and wanted.removeprefix("#") == channel.name):
            return channel
    raise Refused("channel_not_found")


def _open_to_app(workspace: Workspace, channel: Channel) -> Channel:
    if channel.is_archived:
        raise Refused("is_archived")
    if workspace.bot_user not in channel.members:
        raise Refused("not_in_channel")
    return channel


def _thread(workspace: Workspace, channel: Channel, arguments: Arguments) -> str | None:
    ts = arguments.get("thread_ts")
    if not ts:
        return None
    if not isinstance(ts, str) or not re.fullmatch(r"\d+\.\d{6}", ts):
        raise Refused("invalid_thread_ts")
    parent = workspace.message(channel.id, ts)
    if parent is None or parent.only_for:
        raise Refused("cannot_reply_to_message")
    return parent.thread_ts or parent.ts


def _new(workspace: Workspace, channel: Channel, arguments: Arguments) -> Message:
    text, blocks = text_of(arguments), blocks_of(arguments)
    if not text and not blocks:
        raise Refused("no_text")
    thread = _thread(workspace, channel, arguments)
    return Message(workspace.next_ts(), channel.id, workspace.bot_user, text, blocks, thread_ts=thread)


def post_message(workspace: Workspace, arguments: Arguments) -> Json:
    channel = _open_to_app(workspace, _place(workspace, arguments))
    message = _new(workspace, channel, arguments)
    message.metadata = metadata_of(arguments)
    workspace.post(message)
    shown = showing.message(workspace, message, with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def post_ephemeral(workspace: Workspace, arguments: Arguments) -> Json:
    channel = _open_to_app(workspace, channel_by_id(workspace, arguments))
    user = needed(arguments, "user")
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    message = _new(workspace, channel, arguments)
    message.only_for = user
    workspace.post(message)
    return {"message_ts": message.ts}


def update(workspace: Workspace, arguments: Arguments) -> Json:
    """Blocks stay only where no text is given; text without blocks takes them away. Ephemeral ones cannot be found."""
    channel = channel_by_id(workspace, arguments)
    message = workspace.message(channel.id, needed(arguments, "ts"))
    if message is None or message.only_for:
        raise Refused("message_not_found")
    if message.user != workspace.bot_user:
        raise Refused("cant_update_message")
    text, blocks, metadata = text_of(arguments), blocks_of(arguments), metadata_of(arguments)
    if not text and not blocks:
        raise Refused("no_text")
    revise(workspace, message, text=text, blocks=blocks if blocks or text else message.blocks)
    message.metadata = message.metadata if metadata is None else metadata
    shown = showing.message(workspace, message, with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def revise(workspace: Workspace, message: Message, *, text: str, blocks: Blocks) -> None:
    message.versions.append(message.blocks)
    message.text, message.blocks = text, blocks
    message.edited_ts = None if blocks else workspace.next_ts()
    workspace.changed()


def get_permalink(workspace: Workspace, arguments: Arguments) -> Json:
    channel = channel_by_id(workspace, arguments)
    message = workspace.message(channel.id, needed(arguments, "message_ts"))
    if message is None or message.only_for:
        raise Refused("message_not_found")
    name = f"p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": f"{workspace.base_url}/archives/{channel.id}/{name}"}
