"""The `views.*` methods: modals on a person's stack, and their App Home."""

import copy
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from examples.lookalikes.slack import rules, showing
from examples.lookalikes.slack.chatting import decoded, needed
from examples.lookalikes.slack.workspace import Json, Refused, View, Workspace

Arguments = Mapping[str, Any]
LARGEST_VIEW = 250_000
DEEPEST_STACK = 3


def view_of(given: Any, *, kind: str) -> Json:
    """A view as Slack would take it. Raises Refused with every complaint."""
    shape = decoded(given, "invalid_arguments")
    complaints = rules.complaints_about_view(shape)
    if not complaints and shape["type"] != kind:
        complaints = [f"[ERROR] unsupported type: {shape['type']} [json-pointer:/view/type]"]
    if complaints:
        raise Refused("invalid_arguments", complaints)
    if len(json.dumps(shape)) > LARGEST_VIEW:
        raise Refused("view_too_large")
    kept: Json = copy.deepcopy(shape)
    showing.named(kept["blocks"])
    return kept


def new_hash() -> str:
    return f"{int(time.time())}.{secrets.token_hex(4)}"


def add(workspace: Workspace, user: str, shape: Json, *, on: View | None = None) -> View:
    """A new view of this person: alone, or pushed on another."""
    given = shape.get("external_id")
    if given and any(one.is_open and one.shape.get("external_id") == given for one in workspace.views.values()):
        raise Refused("duplicate_external_id")
    name = f"V{secrets.token_hex(5).upper()}"
    view = View(name, user, shape, new_hash(), on.root_id if on else name, on.id if on else None)
    workspace.views[name] = view
    workspace.changed()
    return view


def open_modal(workspace: Workspace, arguments: Arguments) -> Json:
    """Shape first, as Slack checks it, then the trigger: a bad view does not use a trigger up."""
    trigger = needed(arguments, "trigger_id")
    shape = view_of(arguments.get("view"), kind="modal")
    user = workspace.redeem_trigger(trigger).user
    view = add(workspace, user, shape)
    close_all(workspace, user)
    workspace.stacks[user] = [view.id]
    return {"view": showing.view(workspace, view)}


def push_modal(workspace: Workspace, arguments: Arguments) -> Json:
    trigger = needed(arguments, "trigger_id")
    shape = view_of(arguments.get("view"), kind="modal")
    lent = workspace.redeem_trigger(trigger)
    if workspace.top_view(lent.user) is None:
        raise Refused("not_found")
    return {"view": showing.view(workspace, push(workspace, lent.user, shape))}


def push(workspace: Workspace, user: str, shape: Json) -> View:
    stack = workspace.stacks[user]
    if len(stack) >= DEEPEST_STACK:
        raise Refused("push_limit_reached")
    view = add(workspace, user, shape, on=workspace.views[stack[-1]])
    stack.append(view.id)
    return view


def update_modal(workspace: Workspace, arguments: Arguments) -> Json:
    view = _wanted(workspace, arguments)
    shape = view_of(arguments.get("view"), kind=view.shape["type"])
    _agree(view, arguments)
    replace(workspace, view, shape)
    return {"view": showing.view(workspace, view)}


def _wanted(workspace: Workspace, arguments: Arguments) -> View:
    name, external = arguments.get("view_id"), arguments.get("external_id")
    for view in workspace.views.values():
        if view.is_open and (view.id == name or (external and view.shape.get("external_id") == external)):
            return view
    raise Refused("not_found")


def _agree(view: View, arguments: Arguments) -> None:
    if arguments.get("hash") and arguments["hash"] != view.hash:
        raise Refused("hash_conflict")


def replace(workspace: Workspace, view: View, shape: Json) -> None:
    view.shape, view.hash, view.errors = shape, new_hash(), {}
    workspace.changed()


def publish_home(workspace: Workspace, arguments: Arguments) -> Json:
    user = needed(arguments, "user_id")
    if user not in workspace.people or workspace.people[user].is_bot:
        raise Refused("invalid_arguments", ["[ERROR] user_id is not a member of this workspace"])
    shape = view_of(arguments.get("view"), kind="home")
    there = workspace.views.get(workspace.homes.get(user, ""))
    if there is None:
        there = add(workspace, user, shape)
        workspace.homes[user] = there.id
    else:
        _agree(there, arguments)
        replace(workspace, there, shape)
    return {"view": showing.view(workspace, there)}


def close_top(workspace: Workspace, user: str) -> None:
    stack = workspace.stacks.get(user, [])
    if stack:
        workspace.views[stack.pop()].is_open = False
        workspace.changed()


def close_all(workspace: Workspace, user: str) -> None:
    while workspace.stacks.get(user):
        close_top(workspace, user)
