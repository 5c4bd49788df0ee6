"""A blueprint and what exists in, the changes between them out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from countersign.policy.faults import Form, Path, did_you_mean
from registry import describe
from registry.blueprints.source import Blueprint, Item
from registry.models import Agent, Channel, Entity, Issuer, Membership, Team, TeamMember, Tenant, Tool, WaiverDraft

KINDS = (
    "tenant",
    "team",
    "person",
    "agent",
    "issuer",
    "tool",
    "entity",
    "channel",
    "waiver_draft",
)  # the order in which rows may refer

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "person": {"active": True},
    "agent": {"active": True},
    "issuer": {"active": True},
    "tool": {"active": True},
}


@dataclass(frozen=True, slots=True)
class Change:
    """One row that is to differ: `before` None for a new one, `after` None for one that goes."""

    kind: str
    key: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    row: Any = None
    email: str = ""


@dataclass(frozen=True, slots=True)
class Present:
    """What exists in a tenant: rows and their descriptions by kind and key."""

    rows: Mapping[str, Mapping[str, Any]]
    described: Mapping[str, Mapping[str, Mapping[str, Any]]]


def present(tenant: Tenant) -> Present:
    """Everything a blueprint could name. Nine queries, however much there is."""
    members = {row.user.username: row for row in Membership.objects.filter(tenant=tenant).select_related("user")}
    teams: dict[int, list[str]] = {row.pk: [] for row in members.values()}
    for membership, team in TeamMember.objects.filter(tenant=tenant).values_list("membership_id", "team__name"):
        teams[membership].append(team)
    agents = Agent.objects.filter(tenant=tenant).select_related("owner__user", "team")
    rows: dict[str, dict[str, Any]] = {
        "tenant": {"settings": tenant},
        "team": {row.name: row for row in Team.objects.filter(tenant=tenant)},
        "person": members,
        "agent": {row.agent_id: row for row in agents},
        "issuer": {row.issuer_id: row for row in Issuer.objects.filter(tenant=tenant).select_related("agent")},
        "tool": {row.tool_id: row for row in Tool.objects.filter(tenant=tenant).select_related("owner__user")},
        "entity": {f"{row.type}:{row.entity_id}": row for row in Entity.objects.filter(tenant=tenant)},
        "channel": {f"{row.kind}:{row.key}": row for row in Channel.objects.filter(tenant=tenant)},
        "waiver_draft": {row.draft_id: row for row in WaiverDraft.objects.filter(tenant=tenant)},
    }
    described = {
        "tenant": {"settings": describe.tenant(tenant)},
        "team": {key: describe.team(row) for key, row in rows["team"].items()},
        "person": {key: describe.person(row, teams=teams[row.pk]) for key, row in members.items()},
        "agent": {key: describe.agent(row) for key, row in rows["agent"].items()},
        "issuer": {key: describe.issuer(row) for key, row in rows["issuer"].items()},
        "tool": {key: describe.tool(row) for key, row in rows["tool"].items()},
        "entity": {key: describe.entity(row) for key, row in rows["entity"].items()},
        "channel": {key: describe.channel(row) for key, row in rows["channel"].items()},
        "waiver_draft": {key: describe.waiver_draft(row) for key, row in rows["waiver_draft"].items()},
    }
    return Present(rows=MappingProxyType(rows), described=MappingProxyType(described))


def changes(blueprint: Blueprint, there: Present) -> Iterator[Change]:
    """What differs, in an order in which it can be written."""
    for kind in KINDS:
        for item in blueprint.of(kind):
            before = there.described[kind].get(item.key)
            after = _after(item, before)
            if after != before:
                yield Change(kind, item.key, before, after, there.rows[kind].get(item.key), item.email)
    if blueprint.prune:
        yield from _pruned(blueprint, there)


def _after(item: Item, before: Mapping[str, Any] | None) -> dict[str, Any]:
    fields = dict(item.fields)
    if item.email and before is None:
        fields["email"] = describe.fingerprint(item.email)
    if item.kind == "person" and before is not None:
        # Those the text does not name were linked by the people themselves.
        fields["identities"] = {**before["identities"], **fields["identities"]}
    if item.kind == "issuer" and before is not None:
        before = {"active": before["active"]}  # the rest is told whole: what is left out is as it is for a new one
    return {**(_DEFAULTS.get(item.kind, {}) if before is None else before), **fields}


def _pruned(blueprint: Blueprint, there: Present) -> Iterator[Change]:
    """What is not named any more: callers, issuers and capabilities are switched off (their history refers to them),
    catalogue rows, channels and drafts go. Teams stay: without active people they answer nothing.
    """
    for kind in ("agent", "issuer", "tool", "person", "entity", "channel", "waiver_draft"):
        named = {item.key for item in blueprint.of(kind)}
        for key, before in there.described[kind].items():
            after = {**before, "active": False} if kind in _DEFAULTS else None
            if key not in named and after != before:
                yield Change(kind, key, before, after, there.rows[kind][key])


def check_references(form: Form, blueprint: Blueprint, there: Present) -> None:
    """Every owner, team, approver and agent named must exist, in the blueprint or already."""
    people = {*there.rows["person"], *(item.key for item in blueprint.of("person"))}
    teams = {*there.rows["team"], *(item.key for item in blueprint.of("team"))}
    agents = {*there.rows["agent"], *(item.key for item in blueprint.of("agent"))}
    for item in blueprint.items:
        agent = item.fields.get("agent")
        if agent and agent not in agents:
            form.refuse((*item.path, "agent"), f"no agent {agent!r} exists{did_you_mean(agent, agents)}")
        owner, team = item.fields.get("owner"), item.fields.get("team")
        if owner and owner not in people:
            form.refuse((*item.path, "owner"), f"no person {owner!r} exists{did_you_mean(owner, people)}")
        if team and team not in teams:
            form.refuse((*item.path, "team"), f"no team {team!r} exists{did_you_mean(team, teams)}")
        for path, name in _teams(item):
            if name not in teams:
                form.refuse((*item.path, *path), f"no team {name!r} exists{did_you_mean(name, teams)}")


def _teams(item: Item) -> Iterator[tuple[Path, str]]:
    for name in item.fields.get("teams", ()):
        yield ("teams",), name
    for n, name in enumerate(item.fields.get("approval", {}).get("teams", ())):
        yield ("approval", "teams", n), name
