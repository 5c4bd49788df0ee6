"""Work of this room that waits for its time: a request that nobody answered expires, an approval nobody used lapses."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from approvals import lapsing, lifecycle
from approvals.models import AccessRequest, Approval, Status
from evidence import clock
from outbox.pump import Later
from outbox.queue import enqueue, handler

EXPIRE = "approvals.expire"
LAPSE = "approvals.lapse"
_SHORTEST = timedelta(milliseconds=50)


def expire_later(request: AccessRequest) -> None:
    """Set the timer of a request just opened, in its transaction."""
    enqueue(
        EXPIRE,
        {"request": request.pk, "tenant": request.tenant_id},
        run_at=request.expires_at,
        dedupe=f"{EXPIRE}:{request.pk}",
        tenant=request.tenant.slug,
    )


@handler(EXPIRE)
def expire(payload: Mapping[str, Any]) -> None:
    """Close one request if it is still pending and past its time. Safe to repeat; too early means again in time."""
    now = clock.now()
    if lifecycle.expire(payload["request"], tenant_id=payload["tenant"], now=now):
        return
    waiting = AccessRequest.objects.filter(pk=payload["request"], status=Status.PENDING).first()
    if waiting is not None:
        raise Later(max(waiting.expires_at - now, _SHORTEST))


def lapse_later(approval: Approval) -> None:
    """Set the timer of an approval just issued, in its transaction."""
    enqueue(
        LAPSE,
        {"approval": approval.pk, "tenant": approval.tenant_id},
        run_at=approval.expires_at,
        dedupe=f"{LAPSE}:{approval.pk}",
        tenant=approval.request.tenant.slug,
    )


@handler(LAPSE)
def lapse(payload: Mapping[str, Any]) -> None:
    """Record that one approval was not used in time. Safe to repeat; too early means again in time."""
    now = clock.now()
    again = lapsing.lapse(payload["approval"], tenant_id=payload["tenant"], now=now)
    if again is not None:
        raise Later(max(again - now, _SHORTEST))
