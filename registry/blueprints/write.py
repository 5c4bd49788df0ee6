"""A planned change in, the row written; the record of it is the caller's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry import people
from registry.blueprints.plan import Change
from registry.models import Agent, Channel, Entity, Issuer, Membership, Team, Tenant, Tool, WaiverDraft


@dataclass(frozen=True, slots=True)
class Desk:
    """What writing needs beside the change: the tenant, the time, and rows already written by name."""

    tenant: Tenant
    now: datetime
    people: dict[str, Membership]
    teams: dict[str, Team]


def write(change: Change, desk: Desk) -> None:
    """Insert, update or delete the one row. Raises people.UsernameTaken."""
    if change.after is None:
        change.row.delete()
    else:
        _WRITERS[change.kind](change, change.after, desk)


def _tenant(_change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    for name, value in after.items():
        setattr(desk.tenant, name, value)
    desk.tenant.save(update_fields=list(after))


def _team(change: Change, _after: Mapping[str, Any], desk: Desk) -> None:
    desk.teams[change.key] = Team.objects.create(tenant=desk.tenant, name=change.key)


def _person(change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    row = change.row
    if row is None:
        row = Membership(tenant=desk.tenant, user=people.login(change.key, email=change.email, now=desk.now))
    row.roles, row.identities, row.active = after["roles"], after["identities"], after["active"]
    row.save()
    if change.before is None or change.before["teams"] != after["teams"]:
        people.put_in_teams(row, after["teams"])
    desk.people[change.key] = row


def _agent(change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    row = change.row or Agent(tenant=desk.tenant, agent_id=change.key)
    row.owner, row.team = desk.people[after["owner"]], desk.teams[after["team"]]
    _set(row, after, but={"owner", "team"})


def _issuer(change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    """Written whole: an entry that was a token's and is a certificate's now keeps nothing of what it was."""
    row = Issuer(pk=change.row.pk if change.row else None, tenant=desk.tenant, issuer_id=change.key)
    if "agent" in after:
        row.agent = Agent.objects.get(tenant=desk.tenant, agent_id=after["agent"])
    _set(row, after, but={"agent"})


def _tool(change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    row = change.row or Tool(tenant=desk.tenant, tool_id=change.key)
    row.owner = desk.people[after["owner"]]
    _set(row, after, but={"owner"})


def _entity(change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    type_, _, id_ = change.key.partition(":")
    _set(change.row or Entity(tenant=desk.tenant, type=type_, entity_id=id_), after)


def _channel(change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    kind, _, key = change.key.partition(":")
    _set(change.row or Channel(tenant=desk.tenant, kind=kind, key=key), after)


def _waiver_draft(change: Change, after: Mapping[str, Any], desk: Desk) -> None:
    _set(change.row or WaiverDraft(tenant=desk.tenant, draft_id=change.key), after)


def _set(row: Any, after: Mapping[str, Any], but: frozenset[str] | set[str] = frozenset()) -> None:
    for name, value in after.items():
        if name not in but:
            setattr(row, name, value)
    row.save()


_WRITERS: Mapping[str, Callable[[Change, Mapping[str, Any], Desk], None]] = {
    "tenant": _tenant,
    "team": _team,
    "person": _person,
    "agent": _agent,
    "issuer": _issuer,
    "tool": _tool,
    "entity": _entity,
    "channel": _channel,
    "waiver_draft": _waiver_draft,
}
