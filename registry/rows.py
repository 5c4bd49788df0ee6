"""Database rows in, the frozen registry that policy is judged over out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from countersign.policy import tools
from countersign.policy.faults import InvalidError
from countersign.policy.values import Agent, Caps, Entity, Registry, Requirement, Tier, Tool
from registry import models


def registry(tenant: models.Tenant) -> Registry:
    """Everything that exists in a tenant, at its current registry revision."""
    agents = models.Agent.objects.filter(tenant=tenant).select_related("owner__user", "team")
    owned = models.Tool.objects.filter(tenant=tenant).select_related("owner__user")
    entities = models.Entity.objects.filter(tenant=tenant)
    people = models.Membership.objects.filter(tenant=tenant, active=True, user__is_active=True)
    return Registry(
        tenant=tenant.slug,
        revision=tenant.registry_revision,
        agents={row.agent_id: agent(row) for row in agents},
        tools={row.tool_id: tool(row) for row in owned},
        entities={(row.type, row.entity_id): entity(row) for row in entities.iterator()},
        people=tuple(people.values_list("user__username", flat=True)),
    )


def agent(row: models.Agent) -> Agent:
    return Agent(
        id=row.agent_id,
        owner=row.owner.user.username,
        team=row.team.name,
        intents=tuple(row.intents),
        tool_groups=tuple(row.tool_groups),
        active=row.active,
    )


def tool(row: models.Tool) -> Tool:
    """A tool as policy sees it; one whose caps or approval cannot be read (a row written by hand) is switched off."""
    try:
        return _tool(row, caps=row.caps, approval=row.approval)
    except InvalidError:
        return replace(_tool(row, caps={}, approval={}), active=False)


def unreadable(tenant: models.Tenant) -> list[str]:
    """Ids of tools that are registered as active but switched off because nobody can read their row."""
    active = models.Tool.objects.filter(tenant=tenant, active=True).select_related("owner__user")
    return [row.tool_id for row in active if not tool(row).active]


def _tool(row: models.Tool, *, caps: Mapping[str, Any], approval: Mapping[str, Any]) -> Tool:
    return Tool(
        id=row.tool_id,
        group=row.group,
        owner=row.owner.user.username,
        risk_tier=Tier(row.risk_tier),
        methods=tuple(row.methods),
        data_classes=tuple(row.data_classes),
        caps=tools.parse_caps(caps) if caps else Caps(),
        arguments_schema=row.arguments_schema,
        argument_rules=tuple(row.argument_rules),
        approval=_requirement(approval, tier=Tier(row.risk_tier)),
        always_escalates=approval.get("always") is True,
        requires_verified_principal=row.verified_principal,
        active=row.active,
        descriptor_digest=row.descriptor_digest or None,
        wrapper=row.wrapper,
    )


def _requirement(approval: Mapping[str, Any], *, tier: Tier) -> Requirement | None:
    """A tool's approval block; None where it has none."""
    return tools.parse_approval(approval, tier=tier, source="tool") if approval else None


def entity(row: models.Entity) -> Entity:
    return Entity(type=row.type, id=row.entity_id, properties=row.properties)
