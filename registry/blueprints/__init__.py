"""Blueprints in (text, file or directory), the tenant changed to match and the changes told out; twice is once."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from countersign.policy import reach
from countersign.policy.compile import digest_of
from countersign.policy.faults import Form
from countersign.policy.source import PolicyErrors, Problem
from evidence.ledger import Actor
from registry import changes, people, releases, rows, teams
from registry.blueprints import plan, write
from registry.blueprints.plan import Change
from registry.blueprints.source import Blueprint, Read, parse
from registry.models import Issuer, Release, Tenant, Tool

__all__ = ["Applied", "Blueprint", "Change", "apply", "load", "parse", "rehearse"]

Connected = Callable[[Tenant], Collection[str]]
_connected: list[Connected] = []
_worries: list[Callable[[], str]] = []


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying one blueprint changed (or would change), and what its author should know."""

    tenant: str
    is_new: bool
    changes: tuple[Change, ...]
    release: Release | None
    warnings: tuple[str, ...]


def connected_by(look: Connected) -> None:
    """Who knows which systems a tenant is connected to: a room above, which says so when it is ready."""
    _connected[:] = [look]


def worried_by(look: Callable[[], str]) -> None:
    """Who knows what is wrong with the whole installation once these tenants are there; empty if nothing is."""
    _worries[:] = [look]


def load(path: Path) -> tuple[Blueprint, ...]:
    """The blueprint of a file, or of every *.yaml of a directory that names a tenant, in order of name.

    Raises PolicyErrors with the problems of all of them.
    """
    found: list[Blueprint] = []
    problems: list[Problem] = []
    for file in _files(path):
        try:
            found.append(parse(file.read_text(), file=str(file), read=_beside(file)))
        except PolicyErrors as error:
            problems.extend(error.problems)
    if problems:
        raise PolicyErrors(problems)
    return tuple(found)


def apply(blueprint: Blueprint, *, actor: Actor, now: datetime) -> Applied:
    """Make what the blueprint says so, in one transaction: rows, records, one epoch, the policy published.

    What already is so is not written again: a second time changes nothing, records nothing and raises no epoch.
    Raises PolicyErrors, with places in the blueprint or in the policy it names.
    """
    with transaction.atomic():
        tenant, is_new = _tenant(blueprint.tenant, now=now)
        there = plan.present(tenant)
        form = Form()
        plan.check_references(form, blueprint, there)
        _check_addresses(form, blueprint, there)
        _check_issuers(form, blueprint, tenant)
        if form.faults:
            raise blueprint.problems(form.faults)
        changed = tuple(plan.changes(blueprint, there))
        problems: list[Problem] = []
        if changed:
            _write(blueprint, tenant, there, changed, actor=actor, now=now)
            problems.extend(_quorums(blueprint, tenant))
        try:
            release = _publish(blueprint, tenant, actor=actor, now=now)
        except PolicyErrors as error:
            raise PolicyErrors([*problems, *error.problems]) from None
        if problems:
            raise PolicyErrors(problems)
    return Applied(tenant.slug, is_new, changed, release, tuple(_warnings(blueprint, tenant)))


def rehearse(blueprint: Blueprint, *, actor: Actor, now: datetime) -> Applied:
    """What `apply` would change and refuse, told by doing it and taking all of it back."""
    with transaction.atomic():
        applied = apply(blueprint, actor=actor, now=now)
        transaction.set_rollback(True)
    return applied


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [file for file in sorted(path.glob("*.yaml")) if _names_a_tenant(file)]


def _names_a_tenant(file: Path) -> bool:
    """A directory also holds the policies its blueprints name."""
    return any(line.startswith("tenant:") for line in file.read_text().splitlines())


def _beside(file: Path) -> Read:
    """Reads files named relative to the blueprint."""
    return lambda name: (file.parent / name).read_text()


def _tenant(slug: str, *, now: datetime) -> tuple[Tenant, bool]:
    """The tenant's row, locked, so that two applies follow each other."""
    tenant, is_new = Tenant.objects.get_or_create(slug=slug, defaults={"name": slug, "created_at": now})
    return changes.lock(tenant), is_new


def _write(
    blueprint: Blueprint,
    tenant: Tenant,
    there: plan.Present,
    changed: tuple[Change, ...],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    desk = write.Desk(tenant, now, dict(there.rows["person"]), dict(there.rows["team"]))
    changes.bump(tenant)
    form = Form()
    paths = {(item.kind, item.key): item.path for item in blueprint.items}
    for change in changed:
        try:
            write.write(change, desk)
        except people.UsernameTaken as error:
            form.refuse((*paths[change.kind, change.key], "email"), str(error))
            break
        changes.record(
            tenant, kind=change.kind, key=change.key, actor=actor, now=now, before=change.before, after=change.after
        )
    if form.faults:
        raise blueprint.problems(form.faults)


def _check_addresses(form: Form, blueprint: Blueprint, there: plan.Present) -> None:
    """A member's address decides which human they are, so a blueprint cannot move it."""
    for item in blueprint.of("person"):
        row = there.rows["person"].get(item.key)
        if row and people.normalise(row.user.email) != people.normalise(item.email):
            form.refuse((*item.path, "email"), f"{item.key!r} has another e-mail address; it cannot be changed here")


def _check_issuers(form: Form, blueprint: Blueprint, tenant: Tenant) -> None:
    """By this alone a token or a certificate says whose it is: no two may claim the same. Whose it is, is not told."""
    for item in blueprint.of("issuer"):
        named = {
            "kind": item.fields["kind"],
            "issuer": item.fields["issuer"],
            "audience": item.fields.get("audience", ""),
        }
        others = Issuer.objects.filter(active=True, **named).exclude(tenant=tenant, issuer_id=item.key)
        if item.fields.get("active", True) and others.exists():
            form.refuse(
                item.path, "is registered already, under another id or by another tenant; an audience is one's own"
            )


def _quorums(blueprint: Blueprint, tenant: Tenant) -> tuple[Problem, ...]:
    """Every active tool's quorum, as all now stands: taking a person away can break one that the text never names."""
    form = Form()
    named = {item.key: item.path for item in blueprint.of("tool")}
    eligible = teams.eligible(tenant)
    for row in Tool.objects.filter(tenant=tenant, active=True):
        quorum = row.approval.get("quorum", 1)
        could = teams.could_answer(eligible, row.approval.get("teams", ()))
        if row.approval and could < quorum:
            path = (*named[row.tool_id], "approval", "quorum") if row.tool_id in named else ()
            form.refuse(path, f"tool {row.tool_id!r} needs {quorum} to agree but only {could} could")
    return blueprint.problems(form.faults).problems


def _publish(blueprint: Blueprint, tenant: Tenant, *, actor: Actor, now: datetime) -> Release | None:
    """A new release if the policy's text is not the one in force."""
    if blueprint.policy is None:
        return None
    digest = digest_of(blueprint.policy.text)
    if Release.objects.filter(tenant=tenant, revision=tenant.policy_revision, digest=digest).exists():
        return None
    return releases.publish(tenant, blueprint.policy.text, file=_policy_file(blueprint), actor=actor, now=now)


def _policy_file(blueprint: Blueprint) -> str:
    """As its reader could open it."""
    return str(Path(blueprint.root.file).parent / blueprint.policy.file) if blueprint.policy else "the policy in force"


def _warnings(blueprint: Blueprint, tenant: Tenant) -> Iterator[str]:
    connected = {kind for look in _connected for kind in look(tenant)}
    for item in blueprint.of("channel"):
        kind = item.key.partition(":")[0]
        if kind not in connected:
            yield f"channel {item.key}: the {kind} connector is not configured; its teams are asked in the inbox only"
    yield from map(str, _missed(blueprint, tenant))
    yield from map(str, releases.warnings(tenant, file=_policy_file(blueprint)))
    yield from filter(None, (look() for look in _worries))


def _missed(blueprint: Blueprint, tenant: Tenant) -> tuple[Problem, ...]:
    """Active tools whose quorum misses the owner of an agent, as all now stands, named in the text or not."""
    form = Form()
    registry, eligible, humans = rows.registry(tenant), teams.eligible(tenant), teams.owners(tenant)
    named = {item.key: item.path for item in blueprint.of("tool")}
    for tool in registry.tools.values():
        if word := reach.missed_by_tool(tool, registry, eligible, humans):
            path = (*named[tool.id], "approval", "quorum") if tool.id in named else ()
            form.refuse(path, f"tool {tool.id!r}: {word}")
    return blueprint.problems(form.faults).problems
