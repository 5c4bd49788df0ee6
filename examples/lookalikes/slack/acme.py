"""The quickstart's people in Slack: who they are there, and the channels they share with the app."""

from typing import Any

from examples.lookalikes.slack.workspace import Person, Workspace

APPROVALS = "C0APPROVALS"
GENERAL = "C0GENERAL"
PEOPLE = {"erin": "Erin Vale", "frank": "Frank Osei", "carol": "Carol Ito", "dana": "Dana Reyes", "mallory": "Mallory"}


def user_id(username: str) -> str:
    return f"U0{username.upper()}"


def acme(**settings: Any) -> Workspace:
    """A workspace with everybody in it, Mallory too, who is in the channel but approves nothing."""
    workspace = Workspace(**settings)
    for username, real_name in PEOPLE.items():
        workspace.add_person(Person(user_id(username), username, real_name, f"{username}@acme.test"))
    everybody = [user_id(username) for username in PEOPLE]
    workspace.add_channel(APPROVALS, "approvals", members=everybody)
    workspace.add_channel(GENERAL, "general", members=everybody, with_app=False)
    return workspace
