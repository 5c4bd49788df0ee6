"""How Slack writes things down: our state in, the JSON of messages, people, channels and views out."""

from typing import Any

from examples.lookalikes.slack.workspace import Channel, Json, Message, Person, View, Workspace


def message(workspace: Workspace, one: Message, *, with_metadata: bool = False) -> Json:
    told: Json = {"type": "message", "user": one.user, "text": one.text, "ts": one.ts, "team": workspace.team_id}
    if one.user == workspace.bot_user:
        profile = {"id": workspace.bot_id, "app_id": workspace.app_id, "name": workspace.app_name,
                   "team_id": workspace.team_id, "deleted": False}  # fmt: skip
        told |= {"bot_id": workspace.bot_id, "app_id": workspace.app_id, "bot_profile": profile}
    if one.blocks:
        told["blocks"] = one.blocks
    if one.edited_ts:
        told["edited"] = {"user": one.user, "ts": one.edited_ts}
    if one.thread_ts:
        told["thread_ts"] = one.thread_ts
    if one.only_for:
        told["is_ephemeral"] = True
    if one.metadata is not None and with_metadata:
        told["metadata"] = one.metadata
    replies = replies_to(workspace, one)
    if replies:
        told |= {"thread_ts": one.ts, "reply_count": len(replies), "latest_reply": replies[-1].ts}
    return told


def replies_to(workspace: Workspace, parent: Message) -> list[Message]:
    return [
        one
        for one in workspace.messages
        if one.thread_ts == parent.ts and one.channel == parent.channel and not one.deleted and not one.only_for
    ]


def person(workspace: Workspace, one: Person) -> Json:
    profile = {"real_name": one.real_name, "display_name": one.name, "email": one.email, "team": workspace.team_id}
    return {
        "id": one.id, "team_id": workspace.team_id, "name": one.name, "real_name": one.real_name,
        "deleted": one.deleted, "is_bot": one.is_bot, "is_app_user": False, "tz": "Etc/UTC", "profile": profile,
    }  # fmt: skip


def channel(one: Channel) -> Json:
    if one.im_of:
        return {"id": one.id, "is_im": True, "user": one.im_of}
    return {"id": one.id, "name": one.name, "is_channel": True, "is_archived": one.is_archived}


def view(workspace: Workspace, one: View, *, state: Json | None = None) -> Json:
    shape = one.shape
    return {
        "id": one.id, "team_id": workspace.team_id, "type": shape["type"], "blocks": shape["blocks"],
        "title": shape.get("title"), "submit": shape.get("submit"), "close": shape.get("close"),
        "private_metadata": shape.get("private_metadata") or "", "callback_id": shape.get("callback_id") or "",
        "external_id": shape.get("external_id") or "", "state": {"values": state or {}}, "hash": one.hash,
        "clear_on_close": shape.get("clear_on_close", False), "notify_on_close": shape.get("notify_on_close", False),
        "root_view_id": one.root_id, "previous_view_id": one.previous_id, "app_id": workspace.app_id,
        "app_installed_team_id": workspace.team_id, "bot_id": workspace.bot_id,
    }  # fmt: skip


def named(blocks: Any) -> Any:
    """Blocks and elements without a name get one, as Slack gives them."""
    for n, block in enumerate(blocks):
        block.setdefault("block_id", f"b{n:03d}")
        elements = [*block.get("elements", []), block.get("element"), block.get("accessory")]
        for m, one in enumerate(elements):
            if isinstance(one, dict) and one.get("type") not in {"plain_text", "mrkdwn", "image", None}:
                one.setdefault("action_id", f"a{n:03d}{m:02d}")
    return blocks
