"""What a member of a tenant wants excepted in; a pending waiver, and the request by which others may grant it, out."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from approvals import opening, repeating, separation, shortage
from approvals.opening import Ask
from approvals.waivers.models import Control, Waiver
from approvals.waivers.moving import announce, record
from approvals.waivers.signals import WaiverChange
from countersign import ids
from countersign.policy import waiver_scope, waiver_terms
from countersign.policy.faults import Fault, InvalidError
from countersign.policy.values import Because, Call, Outcome, Reason, Requirement, Verdict
from countersign.policy.waiver_scope import Scope
from countersign.policy.waiver_terms import ControlKind, Terms
from countersign.policy.waivers import RESOURCE
from countersign.proof import digests
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from registry import changes, people, snapshot, teams
from registry.models import Agent, Membership, Tenant

METHOD = "grant"


@dataclass(frozen=True, slots=True)
class Drafted:
    """Terms that could be asked for as they are: what they are pinned to, who must grant them, who may not."""

    terms: Terms
    scope: Scope
    owner: Membership
    attesting: Mapping[int, Membership]  # by the control's place
    renews: Waiver | None
    kept_out: frozenset[int]


def ask(tenant: Tenant, value: object, *, by: Membership, now: datetime, key: str = "") -> Waiver:
    """Keep the waiver, pending, and open its request; under the `key` of an earlier one, find that as it stands.

    Behind the tenant's row, so that of two under one key the second finds what the first made. Raises InvalidError
    with every fault in `value`, KeyTooLong, KeyReused.
    """
    with transaction.atomic():
        locked = changes.lock(tenant)
        known = Waiver.objects.filter(asked_by=by, key=key).first() if repeating.checked(key) else None
        if known is not None:
            repeating.check_same(known.key_digest, value)
            return known
        at = max(now, clock.now())
        drafted = draft(locked, value, by=by, now=at)
        return _kept(locked, drafted, by=by, now=at, key=(key, repeating.digest(value)) if key else ("", ""))


def draft(tenant: Tenant, value: object, *, by: Membership, now: datetime) -> Drafted:
    """The same without asking: what would be asked. Raises InvalidError."""
    terms = waiver_terms.read(value)
    found = snapshot.at_least(tenant.slug, tenant.epoch)
    scope = waiver_scope.scope(terms, found.bundle, now=now)
    faults: list[Fault] = []
    owner = _member(tenant, terms.owner, ("owner",), faults)
    attesting = {
        n: _member(tenant, one.person, ("controls", n, "person"), faults)
        for n, one in enumerate(terms.controls)
        if one.person is not None
    }
    renews = _renewed(tenant, terms, faults)
    if faults:
        raise InvalidError(faults)
    kept_out = frozenset(_who_gains(tenant, terms, scope, by=by))
    _check_grantable(tenant, scope.requirements, kept_out)
    assert owner is not None
    return Drafted(terms, scope, owner, {n: one for n, one in attesting.items() if one}, renews, kept_out)


def _member(tenant: Tenant, name: str, path: tuple[str | int, ...], faults: list[Fault]) -> Membership | None:
    member = people.resolve(tenant, name)
    if member is None or not member.active:
        faults.append(Fault(path, f"nobody here is called {name!r}"))
        return None
    return member


def _renewed(tenant: Tenant, terms: Terms, faults: list[Fault]) -> Waiver | None:
    """The waiver this one follows. A renewal is granted anew, like any other; it only names what came before."""
    if terms.renews is None:
        return None
    earlier = Waiver.objects.filter(tenant=tenant, pk=terms.renews).first()
    if earlier is None:
        faults.append(Fault(("renews",), "there is no such waiver here"))
    return earlier


def _who_gains(tenant: Tenant, terms: Terms, scope: Scope, *, by: Membership) -> Iterable[int]:
    """Who asked, whose agents it serves, for whom they act: the humans who must not grant it."""
    yield by.user.human_id
    agents = Agent.objects.filter(tenant=tenant, agent_id__in=scope.agents)
    yield from agents.values_list("owner__user__human_id", flat=True)
    for name in terms.principals or ():
        human = separation.human_named(tenant, name)
        if human is not None:
            yield human.pk


def _check_grantable(tenant: Tenant, requirements: Iterable[Requirement], kept_out: frozenset[int]) -> None:
    """A waiver that too few people could grant would only ever expire. Raises InvalidError."""
    short = shortage.among(requirements, teams.eligible(tenant), kept_out=kept_out)
    if short is not None:
        one = short.requirement
        words = (
            f"{one.quorum} of {', '.join(one.teams)} must grant this, and without who asks for it and who gains by "
            f"it there are {short.could}"
        )
        raise InvalidError([Fault(("match",), words)])


def _kept(tenant: Tenant, drafted: Drafted, *, by: Membership, now: datetime, key: tuple[str, str]) -> Waiver:
    terms, scope = drafted.terms, drafted.scope
    identifier = ids.new("wvr")
    ask = _ask(identifier, tenant, drafted, by=by)
    request = opening.open_for(ask, by=by, now=now)
    waiver = Waiver(
        id=identifier, tenant=tenant, category=terms.category, terms=ask.call.arguments, request=request, asked_by=by,
        owner=drafted.owner, kept_out=sorted(drafted.kept_out), renews=drafted.renews,
        renewal=drafted.renews.renewal + 1 if drafted.renews else 0, key=key[0], key_digest=key[1],
        asked_at=now, not_before=scope.not_before, expires_at=terms.expires_at, max_uses=terms.max_uses,
    )  # fmt: skip
    waiver.save(force_insert=True)
    Control.objects.bulk_create(_controls(waiver, drafted))
    record(Event.WAIVER_REQUESTED, waiver, actor=_actor(by), now=now, detail={"rules": dict(scope.rules)})
    opening.tell(request)
    announce(waiver, WaiverChange.ASKED)
    return waiver


def _controls(waiver: Waiver, drafted: Drafted) -> Iterable[Control]:
    for place, one in enumerate(drafted.terms.controls):
        yield Control(
            tenant_id=waiver.tenant_id, waiver=waiver, place=place, kind=one.kind, said=dict(one.said),
            person=drafted.attesting.get(place),
            next_at=waiver.asked_at if one.kind is ControlKind.CHECK else None,
        )  # fmt: skip


def _ask(identifier: str, tenant: Tenant, drafted: Drafted, *, by: Membership) -> Ask:
    """The grant as an action like any other: it is shown, digested, voted on and proven by the same code."""
    arguments = {"terms": dict(drafted.terms.written), "pinned": drafted.scope.written}
    call = Call(
        subject_type="user",
        subject_id=by.user.username,
        action_name=METHOD,
        resource_type=RESOURCE,
        resource_id=identifier,
        arguments=arguments,
        arguments_digest=digests.arguments_digest(arguments),
        action={},
        action_digest="",
    )
    call.action = {
        "v": 1,
        "tenant": tenant.slug,
        "subject": {"type": call.subject_type, "id": call.subject_id},
        "action": {"name": METHOD},
        "resource": {"type": RESOURCE, "id": identifier},
        "arguments_digest": call.arguments_digest,
    }
    call.action_digest = digests.action_digest(call.action)
    salt = secrets.token_bytes(digests.SALT_BYTES)
    words = f"{by.user.username} asks for an exception from {', '.join(drafted.terms.rules)}."
    return Ask(
        tenant=tenant.slug,
        tenant_id=tenant.pk,
        call=call,
        verdict=Verdict(
            Outcome.ESCALATE,
            Reason.APPROVAL_REQUIRED,
            (Because(Reason.APPROVAL_REQUIRED, words),),
            requirements=drafted.scope.requirements,
        ),
        salt=salt,
        commitment=digests.commitment(salt, call.action_digest),
        evaluation_id=identifier,
        credential_id=None,
        policy_revision=tenant.policy_revision,
        registry_revision=tenant.registry_revision,
        risk_tier=int(drafted.scope.risk_tier),
        justification="",
    )


def _actor(by: Membership) -> Actor:
    return Actor(type="person", id=by.user.username)
