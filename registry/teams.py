"""How many different people could answer for which teams: a quorum nobody can reach is refused before it stands."""

from collections.abc import Iterable, Mapping

from django.db.models import Q

from evidence.queries import Compiled
from registry.models import Agent, TeamMember, Tenant, Tool

Eligible = Mapping[str, frozenset[int]]


def eligible(tenant: Tenant) -> Eligible:
    """The humans behind the active members of every team. An alias counts once, a service account never."""
    found: dict[str, set[int]] = {name: set() for name in tenant.teams.values_list("name", flat=True)}
    members = TeamMember.objects.filter(_COUNTS, tenant=tenant)
    for team, human in members.values_list("team__name", "membership__user__human_id"):
        found[team].add(human)
    return {team: frozenset(humans) for team, humans in found.items()}


def members(tenant_id: int, names: Iterable[str]) -> Eligible:
    """The same of a few teams, in one query."""
    found: dict[str, set[int]] = {name: set() for name in names}
    for team, human in _members(tenant_id, *sorted(found)):
        found[team].add(human)
    return {team: frozenset(humans) for team, humans in found.items()}


_COUNTS = Q(membership__active=True, membership__user__is_active=True, membership__user__is_service=False)
_members = Compiled(
    lambda tenant, *names: TeamMember.objects.filter(_COUNTS, tenant_id=tenant, team__name__in=names).values_list(
        "team__name", "membership__user__human_id"
    )
)


def owners(tenant: Tenant) -> Mapping[str, int]:
    """The humans behind the usernames of those who own an agent: they cannot answer for it under any account."""
    return dict(Agent.objects.filter(tenant=tenant).values_list("owner__user__username", "owner__user__human_id"))


def could_answer(people: Eligible, teams: Iterable[str], *, kept_out: frozenset[int] = frozenset()) -> int:
    """How many different humans these teams have together, without those who are kept out."""
    return len(frozenset().union(*(people.get(team, frozenset()) for team in teams)) - kept_out)


def out_of_reach(tenant: Tenant) -> list[str]:
    """Active tools whose quorum the people there are cannot reach, in words."""
    people = eligible(tenant)
    return [
        f"tool {row.tool_id!r} needs {quorum} to agree but only {could} could"
        for row in Tool.objects.filter(tenant=tenant, active=True).exclude(approval={})
        if (could := could_answer(people, row.approval.get("teams", ()))) < (quorum := row.approval.get("quorum", 1))
    ]
