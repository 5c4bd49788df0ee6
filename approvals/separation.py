"""Whose vote never counts on a request: the humans on the asking side, as stored at opening and as known now."""

from collections.abc import Iterator

from approvals.models import AccessRequest, RequestParty
from registry import people
from registry.models import Agent, Human, Tenant


def excluded(request: AccessRequest) -> frozenset[int]:
    """Humans of the requester, the principal and the agent's owner. Both tellings count: neither can be talked away.

    An owner who handed the agent over after asking, and an account linked to the principal since, are still parties.
    """
    return frozenset(human for human in _all(request) if human is not None)


def owner_of(agent_id: str, *, tenant_id: int) -> Human | None:
    """The human behind the registered agent, if there is such an agent."""
    agents = Agent.objects.filter(tenant_id=tenant_id, agent_id=agent_id).select_related("owner__user__human")
    agent = agents.first()
    return agent.owner.user.human if agent else None


def human_named(tenant: Tenant, principal_id: str) -> Human | None:
    """The human a principal's or subject's id names, however it is spelt."""
    member = people.resolve(tenant, principal_id)
    return member.user.human if member else None


def _all(request: AccessRequest) -> Iterator[int | None]:
    yield request.agent_owner_id
    yield request.principal_human_id
    owner = owner_of(request.agent_id, tenant_id=request.tenant_id)
    yield owner.pk if owner else None
    for name in (request.principal.get("id"), _asking_person(request)):
        human = human_named(request.tenant, name) if name else None
        yield human.pk if human else None
    parties = RequestParty.objects.filter(request=request)
    yield from parties.values_list("credential__membership__user__human_id", flat=True)


def _asking_person(request: AccessRequest) -> str | None:
    """The id of a subject that is no agent: a person who asks for themselves."""
    subject = request.action.get("subject", {})
    return subject.get("id") if subject.get("type") != "agent" else None
