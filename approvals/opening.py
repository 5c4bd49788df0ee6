"""An escalated call in, the one pending request for its action out: opened, or joined if it is there already."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q

from approvals import display, lifecycle, requirements, separation
from approvals.display import Shown
from approvals.issuing import timestamp
from approvals.jobs import expire_later
from approvals.lifecycle import SYSTEM, announce, asker, record
from approvals.models import AccessRequest, RequestParty, Status
from approvals.origins import Origin
from approvals.signals import Change, origin_named
from approvals.using import NotUsable, check_usable
from countersign import ids
from countersign.policy.values import Call, Verdict
from countersign.proof.events import Event
from evidence import kept
from evidence.ledger import Actor
from registry.models import Membership, Tenant


class TooManyOpen(Exception):
    """The agent has as many pending requests as its tenant allows."""

    def __init__(self, agent_id: str, limit: int) -> None:
        super().__init__(f"{agent_id} already waits for {limit} approvals")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Ask:
    """One escalated call and all that a request keeps of it. `tenant` is the slug, `commitment` that of the action."""

    tenant: str
    tenant_id: int
    call: Call
    verdict: Verdict
    salt: bytes
    commitment: str
    evaluation_id: str
    credential_id: int | None  # None: a person asks (`open_for`)
    policy_revision: int
    registry_revision: int
    risk_tier: int | None
    justification: str = ""
    origin: Origin | None = None

    @property
    def machine(self) -> int:
        """The credential that asks, where it is a machine that does."""
        assert self.credential_id is not None
        return self.credential_id


@dataclass(frozen=True, slots=True)
class Opened:
    """The request, and whether it was there already."""

    request: AccessRequest
    joined: bool


def matching(
    tenant_id: int, action_digest: str, *, now: datetime, credential_id: int | None = None
) -> AccessRequest | None:
    """The request this action waits for, or was approved by with a use left; None if a new one may be opened.

    An approval serves only who asked for it before it was given. With `credential_id`, approvals it may not use are
    not told of. Reads without a lock: a hint for the answer, never the ground of a decision.
    """
    requests = AccessRequest.objects.select_related("approval").filter(tenant_id=tenant_id, action_digest=action_digest)
    pending = requests.filter(status=Status.PENDING, expires_at__gt=now).first()
    return pending or requests.filter(_approved(now, credential_id)).order_by("-closed_at").first()


def open_or_join(ask: Ask, *, max_open: int, now: datetime) -> Opened:
    """Join the request that waits for this very action, or open it, in the caller's transaction. Raises TooManyOpen.

    Askers of one tenant stand behind its row, which is locked before any request: neither the second look nor the
    limit can be raced, and nobody who holds a request waits for who holds the tenant. The unique constraint on pending
    actions backs that up.
    """
    # Before the lock: what is shown of a megabyte takes its time.
    shown = _show(ask)
    Tenant.objects.select_for_update(no_key=True).get(pk=ask.tenant_id)
    joined = _join(ask, now=now)
    if joined is not None:
        return Opened(joined, joined=True)
    return Opened(_open(ask, shown, max_open=max_open, now=now), joined=False)


# --- joining


def _join(ask: Ask, *, now: datetime) -> AccessRequest | None:
    same = AccessRequest.objects.select_for_update(of=("self",)).select_related("tenant")
    same = same.filter(tenant_id=ask.tenant_id, action_digest=ask.call.action_digest)
    pending = same.filter(status=Status.PENDING).first()
    if pending is None:
        return _join_approved(ask, now=now)
    if now >= pending.expires_at:  # its timer is late; the action must not wait for it
        lifecycle.close(pending, Status.EXPIRED, actor=SYSTEM, now=now)
        return None
    if _add_party(pending, ask, now=now):
        record(Event.REQUEST_JOINED, pending, actor=asker(ask.machine), now=now, detail=_asked(ask))
        announce(pending, Change.JOINED)
    _name_origin(pending, ask)
    return pending


def _join_approved(ask: Ask, *, now: datetime) -> AccessRequest | None:
    """An approval that this party could use right now. One that would be refused must not block a new request."""
    same = AccessRequest.objects.select_for_update(of=("self",)).select_related("tenant", "approval")
    same = same.filter(tenant_id=ask.tenant_id, action_digest=ask.call.action_digest)
    for request in same.filter(_approved(now, ask.credential_id)).order_by("-closed_at"):
        try:
            check_usable(
                request.approval, request, action_digest=ask.call.action_digest, credential_id=ask.machine,
                requirements=ask.verdict.requirements, now=now,
            )  # fmt: skip
        except NotUsable:
            continue
        return request
    return None


def _approved(now: datetime, credential_id: int | None) -> Q:
    usable = Q(
        status=Status.APPROVED,
        approval__revoked_at__isnull=True,
        approval__expires_at__gt=now,
        approval__uses__lt=F("approval__uses_allowed"),
    )
    return usable if credential_id is None else usable & Q(parties__credential_id=credential_id)


# --- opening


def _open(ask: Ask, shown: Shown, *, max_open: int, now: datetime) -> AccessRequest:
    request = _row(ask, shown, now=now)
    waiting = AccessRequest.objects.filter(tenant_id=ask.tenant_id, agent_id=request.agent_id, status=Status.PENDING)
    if waiting.filter(expires_at__gt=now).count() >= max_open:
        raise TooManyOpen(request.agent_id, max_open)
    _insert(request, ask, shown, actor=asker(ask.machine), now=now)
    _add_party(request, ask, now=now)
    announce(request, Change.OPENED)
    _name_origin(request, ask)
    return request


def open_for(ask: Ask, *, by: Membership, now: datetime) -> AccessRequest:
    """Open a request that a person makes, in the caller's transaction, who tells the rooms above with `tell`."""
    shown = _show(ask)
    request = _row(ask, shown, now=now)
    request.asked_by = by
    _insert(request, ask, shown, actor=Actor(type="person", id=by.user.username), now=now)
    return request


def tell(request: AccessRequest) -> None:
    """A request that is whole now is told of, in this transaction."""
    announce(request, Change.OPENED)


def _insert(request: AccessRequest, ask: Ask, shown: Shown, *, actor: Actor, now: datetime) -> None:
    """The row, what is kept of it, its first record and its timer."""
    request.save(force_insert=True)
    kept.keep(
        ask.tenant, commitment=ask.commitment, action=ask.call.action, arguments=ask.call.arguments,
        salt=ask.salt, display=shown.lines, now=now,
    )  # fmt: skip
    record(
        Event.REQUEST_OPENED, request, actor=actor, now=now,
        rendered={"display_hash": request.display_hash, "profile": display.PROFILE},
        detail={**_asked(ask), "requirements": request.requirements, "expires_at": timestamp(request.expires_at)},
    )  # fmt: skip
    expire_later(request)


def _show(ask: Ask) -> Shown:
    return display.show(
        ask.call, ask.verdict, risk_tier=ask.risk_tier, policy_revision=ask.policy_revision,
        justification=ask.justification,
    )  # fmt: skip


def _row(ask: Ask, shown: Shown, *, now: datetime) -> AccessRequest:
    call, verdict = ask.call, ask.verdict
    tenant = Tenant.objects.get(pk=ask.tenant_id)
    wait = requirements.open_for(verdict.requirements)
    agent_id = _typed(call.subject_type, call.subject_id, usual="agent")
    principal = call.principal
    return AccessRequest(
        id=ids.new("arq"),
        tenant=tenant,
        evaluation_id=ask.evaluation_id,
        opened_by_id=ask.credential_id,
        subject={"type": call.subject_type, "id": call.subject_id},
        agent_id=agent_id,
        agent_owner=separation.owner_of(agent_id, tenant_id=tenant.pk),
        principal={"type": principal.type, "id": principal.id, "verified": principal.verified} if principal else {},
        principal_human=separation.human_named(tenant, principal.id) if principal else None,
        tool_id=_typed(call.resource_type, call.resource_id, usual="tool"),
        method=call.action_name,
        risk_tier=ask.risk_tier,
        risk_score=verdict.risk.score if verdict.risk else None,
        reasons=[{"code": one.code.value, "message": one.message, "rule": one.rule} for one in verdict.reasons],
        template=verdict.rule or verdict.requirements[0].source,
        session=call.session or "",
        transaction=call.transaction or "",
        action_digest=call.action_digest,
        arguments_digest=call.arguments_digest,
        commitment=ask.commitment,
        requirements=requirements.to_json(verdict.requirements),
        justification=ask.justification,
        display_hash=shown.hash,
        policy_revision=ask.policy_revision,
        registry_revision=ask.registry_revision,
        opened_at=now,
        expires_at=now + wait,
    )


def _add_party(request: AccessRequest, ask: Ask, *, now: datetime) -> bool:
    """Whether the credential was not a party before."""
    _, made = RequestParty.objects.get_or_create(
        request=request,
        credential_id=ask.machine,
        defaults={"tenant_id": request.tenant_id, "evaluation_id": ask.evaluation_id, "joined_at": now},
    )
    return made


def _name_origin(request: AccessRequest, ask: Ask) -> None:
    """Each ask may come from another place, also of one and the same credential."""
    if ask.origin is not None:
        origin_named.send(
            sender=AccessRequest, request=request, origin=ask.origin, credential_id=ask.machine
        )  # fmt: skip


def _typed(kind: str, name: str, *, usual: str) -> str:
    """The bare id of what is usual here; of another type, with the type in front."""
    return name if kind == usual else f"{kind}:{name}"


def _asked(ask: Ask) -> dict[str, object]:
    return {
        "evaluation_id": ask.evaluation_id,
        "policy_revision": ask.policy_revision,
        "registry_revision": ask.registry_revision,
    }
