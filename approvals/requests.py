"""The requests' doors: open or join, match, use; cancel, expire, revoke. Each change is one record in its thread."""

from datetime import datetime

from django.db import transaction

from approvals import lifecycle
from approvals.lifecycle import NotPending as NotPending
from approvals.lifecycle import UnknownRequest as UnknownRequest
from approvals.lifecycle import announce, record
from approvals.models import AccessRequest, Approval, Status
from approvals.opening import Ask as Ask
from approvals.opening import Opened as Opened
from approvals.opening import TooManyOpen as TooManyOpen
from approvals.opening import matching as matching
from approvals.opening import open_or_join as open_or_join
from approvals.signals import Change
from approvals.using import UNSAID as UNSAID
from approvals.using import NotUsable as NotUsable
from approvals.using import use as use
from countersign.inspection.redact import redact
from countersign.proof.events import Event
from evidence.ledger import Actor


class NotRevocable(Exception):
    """The approval is revoked already."""


class UnknownApproval(LookupError):
    """No such approval in this tenant."""


def cancel(request_id: str, *, tenant_id: int, actor: Actor, reason: str, now: datetime) -> AccessRequest:
    """Close a pending request at its requester's wish. Raises UnknownRequest, NotPending."""
    with transaction.atomic():
        request = lifecycle.locked(request_id, tenant_id=tenant_id)
        lifecycle.check_pending(request, now=now)
        lifecycle.close(request, Status.CANCELLED, actor=actor, now=now, reason=reason)
    return request


def expire_due(now: datetime) -> int:
    """Close every pending request whose time is up: the net under the timers. How many were closed."""
    due = AccessRequest.objects.filter(status=Status.PENDING, expires_at__lte=now).order_by("expires_at")
    closed = 0
    for request_id, tenant_id in list(due.values_list("pk", "tenant_id")):
        closed += lifecycle.expire(request_id, tenant_id=tenant_id, now=now)
    return closed


def revoke_approval(approval_id: str, *, tenant_id: int, actor: Actor, reason: str, now: datetime) -> Approval:
    """Take an approval back; a use that waits for its lock is refused. Raises UnknownApproval, NotRevocable."""
    with transaction.atomic():
        found = Approval.objects.filter(pk=approval_id, tenant_id=tenant_id).first()
        if found is None:
            raise UnknownApproval(approval_id)
        request = lifecycle.locked(found.request_id, tenant_id=tenant_id)
        if not Approval.objects.filter(pk=approval_id, revoked_at__isnull=True).update(revoked_at=now):
            raise NotRevocable(approval_id)
        record(
            Event.APPROVAL_REVOKED, request, actor=actor, now=now,
            entitlement={"approval": approval_id}, detail={"reason": redact(reason).text},
        )  # fmt: skip
        announce(request, Change.REVOKED)
        found.revoked_at = now
    return found
