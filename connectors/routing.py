"""A request in, the places where people are to be asked out: channels by team, tool group and risk, and e-mail.

A channel that names no team asks nobody, unless it says that it is for the whole tenant.
"""

from collections.abc import Iterator, Sequence

from approvals import requirements, separation
from approvals.models import AccessRequest
from connectors import accounts
from connectors.port import Place
from countersign.policy import globs
from registry.models import Channel, Membership, TeamMember, Tool

EMAIL = "email"


def places(request: AccessRequest) -> list[Place]:
    """Every place once: the channels first, then the addresses of people whom no channel reaches."""
    asked = _teams_asked(request)
    channels = [place_of(row) for row in _channels(request, asked)]
    return [*channels, *_addresses(request, asked, {place.kind for place in channels})]


def place_of(row: Channel) -> Place:
    return Place(row.kind, row.key, row.config)


def told_channels(request: AccessRequest) -> Iterator[Channel]:
    """The channels that the request concerns, whether or not their system is connected."""
    return _channels(request, _teams_asked(request))


def _teams_asked(request: AccessRequest) -> frozenset[str]:
    return frozenset(team for one in requirements.from_json(request.requirements) for team in one.teams)


def _channels(request: AccessRequest, asked: frozenset[str]) -> Iterator[Channel]:
    rows = Channel.objects.filter(tenant_id=request.tenant_id).order_by("kind", "key")
    group = Tool.objects.filter(tenant_id=request.tenant_id, tool_id=request.tool_id).values_list("group", flat=True)
    groups = list(group)
    return (row for row in rows if _concerns(row, request, asked, groups[0] if groups else ""))


def _concerns(row: Channel, request: AccessRequest, asked: frozenset[str], group: str) -> bool:
    wanted_groups: Sequence[str] = row.config.get("tool_groups", ())
    return (
        (row.config.get("tenant_wide") is True or not asked.isdisjoint(row.teams))
        and (not wanted_groups or globs.matches_any(wanted_groups, group))
        and _is_risky_enough(row, request.risk_tier)
    )


def _is_risky_enough(row: Channel, tier: int | None) -> bool:
    """A request of no known tier is told everywhere: the worse mistake would be that nobody hears of it."""
    return tier is None or tier >= int(row.config.get("min_risk_tier", 1))


# --- e-mail


def _addresses(request: AccessRequest, asked: frozenset[str], reached: set[str]) -> Iterator[Place]:
    """People who may answer and whom no channel reaches, or who wish for mail; only where the tenant sends mail."""
    connected = accounts.kinds_of(request.tenant)
    if EMAIL not in connected:
        return
    surfaces = reached & connected
    excluded = separation.excluded(request)
    for member in _eligible(request, asked):
        if member.user.human_id in excluded or not member.user.email:
            continue
        known = {kind for kind, identity in member.identities.items() if identity}
        if EMAIL in known or surfaces.isdisjoint(known):
            yield place_of_person(member)


def place_of_person(member: Membership) -> Place:
    """A person's own mailbox. The key names the membership: an address would end up in evidence, which none leaves."""
    return Place(EMAIL, f"person:{member.pk}", {"address": member.user.email, "person": member.user.username})


def _eligible(request: AccessRequest, asked: frozenset[str]) -> list[Membership]:
    """Everybody who may answer, as the registry has them now; each once."""
    inside = TeamMember.objects.filter(
        tenant_id=request.tenant_id,
        team__name__in=asked,
        membership__active=True,
        membership__user__is_active=True,
        membership__user__is_service=False,
    )
    members = Membership.objects.filter(pk__in=inside.values("membership_id"))
    return list(members.select_related("user").order_by("pk"))
