"""The one way a request is locked, and the one way it leaves pending: once, with exactly one record."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from approvals.models import AccessRequest, Status
from approvals.signals import Change, request_changed
from countersign.inspection.redact import redact
from countersign.proof.events import Event
from evidence import ledger
from evidence.ledger import Actor, Written
from evidence.queries import Compiled
from evidence.together import Fact
from registry.models import Credential

SYSTEM = Actor(type="system", id="approvals")

_EVENTS = {
    Status.APPROVED: (Event.REQUEST_APPROVED, Change.APPROVED),
    Status.DENIED: (Event.REQUEST_DENIED, Change.DENIED),
    Status.EXPIRED: (Event.REQUEST_EXPIRED, Change.EXPIRED),
    Status.CANCELLED: (Event.REQUEST_CANCELLED, Change.CANCELLED),
}


class UnknownRequest(LookupError):
    """No such request in this tenant. Another tenant's request is as unknown as none."""


class NotPending(Exception):
    """The request is decided, cancelled or past its time. `status` is what it is now."""

    def __init__(self, request_id: str, status: str) -> None:
        super().__init__(f"{request_id} is {status}")
        self.status = status


_locked = Compiled(
    lambda request, tenant: (
        AccessRequest.objects.select_for_update(of=("self",))
        .select_related("tenant")
        .filter(pk=request, tenant_id=tenant)
    )
)


def locked(request_id: str, *, tenant_id: int) -> AccessRequest:
    """The request's row, held until the transaction ends: the lock under which votes agree. Raises UnknownRequest."""
    found = _locked.first(request_id, tenant_id)
    if found is None:
        raise UnknownRequest(request_id)
    return found


def check_pending(request: AccessRequest, *, now: datetime) -> None:
    """Raises NotPending. A period ends exclusive: at `expires_at` a request is expired, whether or not a timer ran."""
    if request.status != Status.PENDING:
        raise NotPending(request.pk, request.status)
    if now >= request.expires_at:
        raise NotPending(request.pk, Status.EXPIRED)


def close(request: AccessRequest, status: Status, *, actor: Actor, now: datetime, reason: str = "") -> None:
    """Move a locked request out of pending and record it. Raises NotPending if somebody else did."""
    changes = {"status": status, "closed_at": now, "closed_reason": reason}
    if not AccessRequest.objects.filter(pk=request.pk, status=Status.PENDING).update(**changes):
        raise NotPending(request.pk, request.status)
    for name, value in changes.items():
        setattr(request, name, value)
    event, change = _EVENTS[status]
    record(event, request, actor=actor, now=now, detail={"reason": redact(reason).text} if reason else None)
    announce(request, change)


def expire(request_id: str, *, tenant_id: int, now: datetime) -> bool:
    """Whether this call closed the request: it was pending and its time is up."""
    with transaction.atomic():
        request = locked(request_id, tenant_id=tenant_id)
        if request.status != Status.PENDING or now < request.expires_at:
            return False
        close(request, Status.EXPIRED, actor=SYSTEM, now=now)
    return True


def record(
    event: Event,
    request: AccessRequest,
    *,
    actor: Actor,
    now: datetime,
    event_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
    task: str = "",
    **members: Mapping[str, Any],
) -> Written:
    """One record in the request's thread. The request must be locked: two writers would fork the thread.

    What the action was is said by the commitment; in words only who, with what and how, never an argument. `task` is
    the handle that it is about, where that is not the request's own: by either the whole thread is found.
    """
    told = fact(event, request, actor=actor, detail=detail, **members)
    return ledger.append(
        event,
        tenant=told.tenant,
        thread=told.thread,
        actor=actor,
        now=now,
        commitment=told.commitment,
        event_id=event_id,
        session=told.session,
        transaction=told.transaction,
        request=task or told.request,
        **told.members,
    )


def fact(
    event: Event,
    request: AccessRequest,
    *,
    actor: Actor,
    detail: Mapping[str, Any] | None = None,
    **members: Mapping[str, Any],
) -> Fact:
    """What `record` would write, for who writes many of different requests at once."""
    if detail is not None:
        members["detail"] = detail
    members["action"] = {"agent": request.agent_id, "tool": request.tool_id, "method": request.method}
    return Fact(
        event, tenant=request.tenant.slug, thread=request.pk, actor=actor, commitment=request.commitment,
        session=request.session, transaction=request.transaction, request=request.pk, members=members,
    )  # fmt: skip


def asker(credential_id: int) -> Actor:
    """The machine or person behind a credential, as records name them."""
    credential = Credential.objects.select_related("issuer").get(pk=credential_id)
    method = credential.issuer.kind if credential.issuer else "bearer"
    return Actor(type=credential.kind, id=credential.key_id, auth={"method": method})


def announce(request: AccessRequest, change: Change) -> None:
    """Tell the rooms above, in this transaction; a receiver that fails takes the change back with it."""
    request_changed.send(sender=AccessRequest, request=request, change=change)
