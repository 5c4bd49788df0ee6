"""The Web API by name: who may call what, then one function a method. `answer` is the door."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from examples.lookalikes.slack import chatting, showing, viewing
from examples.lookalikes.slack.chatting import channel_by_id, needed
from examples.lookalikes.slack.workspace import Called, Json, Message, Refused, Workspace

Arguments = Mapping[str, Any]
Method = Callable[[Workspace, Arguments], Json]


def auth_test(workspace: Workspace, arguments: Arguments) -> Json:  # noqa: ARG001  one shape for all methods
    return {
        "url": f"{workspace.base_url}/", "team": workspace.team, "user": workspace.people[workspace.bot_user].name,
        "team_id": workspace.team_id, "user_id": workspace.bot_user, "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    }  # fmt: skip


def users_info(workspace: Workspace, arguments: Arguments) -> Json:
    person = workspace.people.get(needed(arguments, "user"))
    if person is None:
        raise Refused("user_not_found")
    return {"user": showing.person(workspace, person)}


def users_lookup_by_email(workspace: Workspace, arguments: Arguments) -> Json:
    email = needed(arguments, "email").casefold()
    for person in workspace.people.values():
        if email and person.email.casefold() == email and not person.deleted:
            return {"user": showing.person(workspace, person)}
    raise Refused("users_not_found")


def conversations_open(workspace: Workspace, arguments: Arguments) -> Json:
    wanted = needed(arguments, "users").split(",")
    if len(wanted) > 1:
        raise Refused("invalid_arguments", ["[ERROR] this look-alike opens direct messages with one person only"])
    if wanted[0] not in workspace.people or workspace.people[wanted[0]].is_bot:
        raise Refused("user_not_found")
    there = any(channel.im_of == wanted[0] for channel in workspace.channels.values())
    channel = workspace.direct(wanted[0])
    return {"channel": showing.channel(channel), "no_op": there, "already_open": there}


def _is_true(value: object) -> bool:
    return value is True or str(value).lower() in {"1", "true"}


def _page(workspace: Workspace, found: list[Message], arguments: Arguments, *, newest_first: bool) -> Json:
    oldest, latest = str(arguments.get("oldest") or "0"), str(arguments.get("latest") or "9" * 12)
    inclusive = _is_true(arguments.get("inclusive"))
    within = [
        one
        for one in found
        if float(oldest) < float(one.ts) < float(latest) or (inclusive and one.ts in {oldest, latest})
    ]
    ordered = sorted(within, key=lambda one: one.ts, reverse=newest_first)
    start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
    metadata = _is_true(arguments.get("include_all_metadata"))
    part = [showing.message(workspace, one, with_metadata=metadata) for one in ordered[start : start + limit]]
    more = len(ordered) > start + limit
    rest = {"response_metadata": {"next_cursor": str(start + limit)}} if more else {}
    return {"messages": part, "has_more": more, **rest}


def _readable(workspace: Workspace, arguments: Arguments) -> list[Message]:
    """Direct messages want a scope of their own: https://docs.slack.dev/reference/scopes/im.history."""
    channel = channel_by_id(workspace, arguments)
    if channel.im_of and "im:history" not in workspace.scopes:
        raise Refused("missing_scope", needed="im:history", provided=",".join(sorted(workspace.scopes)))
    if workspace.bot_user not in channel.members:
        raise Refused("not_in_channel")
    return [one for one in workspace.messages if one.channel == channel.id and not one.only_for and not one.deleted]


def conversations_history(workspace: Workspace, arguments: Arguments) -> Json:
    found = [one for one in _readable(workspace, arguments) if one.thread_ts in {None, one.ts}]
    return {**_page(workspace, found, arguments, newest_first=True), "pin_count": 0}


def conversations_replies(workspace: Workspace, arguments: Arguments) -> Json:
    ts = needed(arguments, "ts")
    found = [one for one in _readable(workspace, arguments) if ts in {one.ts, one.thread_ts}]
    if not found:
        raise Refused("thread_not_found")
    return _page(workspace, found, arguments, newest_first=False)


def apps_connections_open(workspace: Workspace, arguments: Arguments) -> Json:  # noqa: ARG001
    ticket = secrets.token_hex(12)
    workspace.tickets.add(ticket)
    address = workspace.base_url.replace("http", "ws", 1)
    return {"url": f"{address}/link/?ticket={ticket}&app_id={workspace.app_id}"}


METHODS: Mapping[str, Method] = {
    "auth.test": auth_test,
    "chat.postMessage": chatting.post_message,
    "chat.postEphemeral": chatting.post_ephemeral,
    "chat.update": chatting.update,
    "chat.getPermalink": chatting.get_permalink,
    "views.open": viewing.open_modal,
    "views.push": viewing.push_modal,
    "views.update": viewing.update_modal,
    "views.publish": viewing.publish_home,
    "users.info": users_info,
    "users.lookupByEmail": users_lookup_by_email,
    "conversations.open": conversations_open,
    "conversations.history": conversations_history,
    "conversations.replies": conversations_replies,
    "apps.connections.open": apps_connections_open,
}

# What the app must have been given for a method; any one of several.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "chat.postMessage": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "chat.update": ("chat:write",),
    "users.info": ("users:read",),
    "users.lookupByEmail": ("users:read.email",),
    "conversations.open": ("im:write",),
    "conversations.history": ("channels:history", "groups:history", "im:history"),
    "conversations.replies": ("channels:history", "groups:history", "im:history"),
}


def answer(workspace: Workspace, method: str, token: str, arguments: Arguments) -> Json:
    """One call, judged and carried out: Slack's JSON. Every call is kept in `workspace.calls`."""
    with workspace.lock:
        try:
            told = {"ok": True, **_permitted(workspace, method, token)(workspace, arguments)}
        except Refused as refused:
            told = {"ok": False, "error": refused.error, **refused.more}
            if refused.complaints:
                told["response_metadata"] = {"messages": refused.complaints}
        workspace.calls.append(Called(method, dict(arguments), told, time.time()))
        return told


def _permitted(workspace: Workspace, method: str, token: str) -> Method:
    if not token:
        raise Refused("not_authed")
    if token not in {workspace.bot_token, workspace.app_token}:
        raise Refused("invalid_auth")
    if method not in METHODS:
        raise Refused("unknown_method", req_method=method)
    if (token == workspace.app_token) != (method == "apps.connections.open"):
        raise Refused("not_allowed_token_type")
    wanted = NEEDED.get(method, ())
    if wanted and workspace.scopes.isdisjoint(wanted):
        raise Refused("missing_scope", needed=wanted[0], provided=",".join(sorted(workspace.scopes)))
    return METHODS[method]
