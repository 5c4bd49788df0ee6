"""A row in, the flat mapping out in which blueprints compare it and its history is written. Never a secret in it.

E-mail addresses stay out too: evidence cannot be erased, so it carries a keyed fingerprint that shows only a change.
"""

from typing import Any

from evidence import keys
from registry.models import (
    Agent,
    Channel,
    Credential,
    Entity,
    Issuer,
    IssuerKind,
    Membership,
    Team,
    Tenant,
    Tool,
    WaiverDraft,
)


def tenant(row: Tenant) -> dict[str, Any]:
    return {
        "name": row.name,
        "keep_arguments": row.keep_arguments,
        "max_open_requests": row.max_open_requests,
        "chat_codes": row.chat_codes,
    }


def team(row: Team) -> dict[str, Any]:
    return {"name": row.name}


def person(row: Membership, *, teams: list[str] | None = None) -> dict[str, Any]:
    """`teams` if the caller knows them already."""
    if teams is None:
        teams = list(row.teams.values_list("team__name", flat=True))
    return {
        "email": fingerprint(row.user.email),
        "teams": sorted(teams),
        "roles": sorted(row.roles),
        "identities": dict(row.identities),
        "active": row.active,
    }


def agent(row: Agent) -> dict[str, Any]:
    return {
        "owner": row.owner.user.username,
        "team": row.team.name,
        "intents": list(row.intents),
        "tool_groups": list(row.tool_groups),
        "active": row.active,
    }


def tool(row: Tool) -> dict[str, Any]:
    return {
        "group": row.group,
        "owner": row.owner.user.username,
        "risk_tier": row.risk_tier,
        "methods": list(row.methods),
        "data_classes": list(row.data_classes),
        "caps": dict(row.caps),
        "arguments_schema": row.arguments_schema,
        "argument_rules": list(row.argument_rules),
        "approval": dict(row.approval),
        "verified_principal": row.verified_principal,
        "wrapper": row.wrapper,
        "descriptor_digest": row.descriptor_digest,
        "active": row.active,
    }


def entity(row: Entity) -> dict[str, Any]:
    return {"properties": dict(row.properties)}


def channel(row: Channel) -> dict[str, Any]:
    return {"config": dict(row.config), "teams": sorted(row.teams)}


def waiver_draft(row: WaiverDraft) -> dict[str, Any]:
    return {"terms": dict(row.terms)}


def issuer(row: Issuer) -> dict[str, Any]:
    """Public keys may be shown; there are no others in it."""
    if row.kind == IssuerKind.CERTIFICATE:
        assert row.agent is not None
        return {"kind": row.kind, "issuer": row.issuer, "agent": row.agent.agent_id, "active": row.active}
    return {
        "kind": row.kind,
        "issuer": row.issuer,
        "audience": row.audience,
        "jwks": dict(row.jwks),
        "jwks_url": row.jwks_url,
        "algorithms": list(row.algorithms),
        "agent_claim": row.agent_claim,
        "principal_claim": row.principal_claim,
        "max_lifetime": row.max_lifetime,
        "active": row.active,
    }


def credential(row: Credential) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "name": row.name,
        "agents": list(row.agents),
        "subjects": list(row.subjects),
        "scopes": list(row.scopes),
        "person": row.membership.user.username if row.membership else None,
        "brief": row.brief,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "revoked": row.revoked_at is not None,
        **({"issuer": row.issuer.issuer_id} if row.issuer else {}),
    }


def fingerprint(email: str) -> str:
    """Tells whether an address is the same, not which it is."""
    return keys.mac("registry/email", email.encode())[:8].hex()
