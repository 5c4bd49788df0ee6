"""An approval whose time is up in; the record that nobody used it out, once."""

from datetime import datetime

from django.db import transaction

from approvals import lifecycle
from approvals.lifecycle import SYSTEM, announce, record
from approvals.models import Approval
from approvals.signals import Change
from countersign.proof.events import Event
from evidence import ledger


def lapse(approval_id: str, *, tenant_id: int, now: datetime) -> datetime | None:
    """Record that an approval ended unused. Answers when to look again, if it is too early.

    One that was used, even if uses are left, or taken back has ended otherwise and has its record already.
    """
    with transaction.atomic():
        found = Approval.objects.filter(pk=approval_id, tenant_id=tenant_id).first()
        if found is None:
            return None
        request = lifecycle.locked(found.request_id, tenant_id=tenant_id)
        approval = Approval.objects.get(pk=approval_id)
        if approval.uses or approval.revoked_at is not None:
            return None
        if now < approval.expires_at:
            return approval.expires_at
        if not ledger.history(request.tenant.slug, request.pk, limit=1, events={Event.APPROVAL_LAPSED}):
            record(Event.APPROVAL_LAPSED, request, actor=SYSTEM, now=now, entitlement={"approval": approval_id})
            announce(request, Change.LAPSED)
    return None
