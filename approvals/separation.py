"""Whose vote never counts on a request: the humans on the asking side, as stored at opening and as known now."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from approvals.models import AccessRequest, RequestParty, Waiver
from evidence.queries import Compiled
from registry import people
from registry.models import Agent, Human, Tenant


def excluded(request: AccessRequest) -> frozenset[int]:
    """Humans of the requester, the principal and the agent's owner. Both tellings count: neither can be talked away.

    An owner who handed the agent over after asking, and an account linked to the principal since, are still parties.
    """
    return excluded_each([request])[request.pk]


def excluded_each(requests: Sequence[AccessRequest]) -> Mapping[str, frozenset[int]]:
    """The same for many requests of one tenant, by their ids: who is named often is looked up once."""
    parties = defaultdict(set)
    for request_id, human in _parties(*(request.pk for request in requests)):
        parties[request_id].add(human)
    owner, named = cache(_owners.first), cache(_named)
    return {
        request.pk: frozenset(
            human for human in (*parties[request.pk], *_told(request, owner, named)) if human is not None
        )
        for request in requests
    }


_parties = Compiled(
    lambda *requests: RequestParty.objects.filter(request__pk__in=requests).values_list(
        "request_id", "credential__membership__user__human_id"
    )
)
_owners = Compiled(
    lambda agent, tenant: Agent.objects.filter(tenant_id=tenant, agent_id=agent).values_list(
        "owner__user__human_id", flat=True
    )
)


def owner_of(agent_id: str, *, tenant_id: int) -> Human | None:
    """The human behind the registered agent, if there is such an agent."""
    agents = Agent.objects.filter(tenant_id=tenant_id, agent_id=agent_id).select_related("owner__user__human")
    agent = agents.first()
    return agent.owner.user.human if agent else None


def human_named(tenant: Tenant, principal_id: str) -> Human | None:
    """The human a principal's or subject's id names, however it is spelt."""
    member = people.resolve(tenant, principal_id)
    return member.user.human if member else None


def _named(tenant: Tenant, principal_id: str) -> int | None:
    member = people.resolve(tenant, principal_id)
    return member.user.human_id if member else None


def _told(
    request: AccessRequest, owner: Callable[..., int | None], named: Callable[..., int | None]
) -> Iterator[int | None]:
    """As stored when it was asked, and as the registry tells it now."""
    if request.asked_by is not None:
        yield request.asked_by.user.human_id
        yield from _who_gains(request)
    yield request.agent_owner_id
    yield request.principal_human_id
    yield owner(request.agent_id, request.tenant_id)
    for name in (request.principal.get("id"), _asking_person(request)):
        yield named(request.tenant, name) if name else None


def _who_gains(request: AccessRequest) -> Iterator[int | None]:
    """Of a waiver: whose agents it serves, on the day it was asked for and now."""
    waiver = Waiver.objects.filter(request=request).first()
    if waiver is None:
        return
    yield from waiver.kept_out
    served = Agent.objects.filter(tenant_id=request.tenant_id, agent_id__in=waiver.terms["pinned"]["agents"])
    yield from served.values_list("owner__user__human_id", flat=True)


def _asking_person(request: AccessRequest) -> str | None:
    """The id of a subject that is no agent: a person who asks for themselves."""
    return None if request.subject["type"] == "agent" else str(request.subject["id"])
