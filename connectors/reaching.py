"""A person in, the places where they themselves are reached out: a direct message in Slack, else their mailbox."""

from collections.abc import Iterator

from connectors import accounts, routing
from connectors.port import Place
from registry.models import Membership

SLACK = "slack"


def places_of(member: Membership) -> Iterator[Place]:
    """Where the tenant is connected and they are known. Mail too if they wish for it; nobody who has left is told."""
    if not member.active or not member.user.is_active:
        return
    connected = accounts.kinds_of(member.tenant)
    slack = str(member.identities.get(SLACK) or "")
    in_slack = bool(slack) and SLACK in connected
    if in_slack:
        yield Place(SLACK, slack, {"person": member.user.username})
    wishes = bool(member.identities.get(routing.EMAIL))
    if routing.EMAIL in connected and member.user.email and (wishes or not in_slack):
        yield routing.place_of_person(member)
