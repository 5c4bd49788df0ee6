"""One person's screen as plain data: their channels with messages and threads, modal, App Home. Nobody else's."""

from typing import Any

from examples.lookalikes.slack import showing
from examples.lookalikes.slack.workspace import Channel, Json, Message, View, Workspace


def of(workspace: Workspace, user: str) -> Json:
    people = [_person(workspace, name) for name in workspace.people]
    told: Json = {"revision": workspace.revision, "team": workspace.team, "app": workspace.bot_user, "people": people}
    if user not in workspace.people or workspace.people[user].is_bot:
        return told
    mine = [channel for channel in workspace.channels.values() if user in channel.members]
    home = workspace.views.get(workspace.homes.get(user, ""))
    return told | {
        "user": user,
        "channels": [_channel(workspace, user, channel) for channel in mine],
        "modal": _view(workspace, workspace.top_view(user)),
        "home": _view(workspace, home),
    }


def _person(workspace: Workspace, name: str) -> Json:
    person = workspace.people[name]
    return {"id": person.id, "name": person.name, "real_name": person.real_name, "is_bot": person.is_bot}


def _channel(workspace: Workspace, user: str, channel: Channel) -> Json:
    name = "Countersign" if channel.im_of else channel.name
    messages = [_message(workspace, one) for one in workspace.seen_by(user, channel.id)]
    return {"id": channel.id, "name": name, "is_im": bool(channel.im_of), "messages": messages}


def _message(workspace: Workspace, message: Message) -> Json:
    told: Json = showing.message(workspace, message)
    return told | {"edits": len(message.versions)}


def _view(workspace: Workspace, view: View | None) -> dict[str, Any] | None:
    return showing.view(workspace, view) | {"errors": view.errors} if view else None
