"""Work of this room that waits for its time: a request that nobody answered expires."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from approvals import lifecycle
from approvals.models import AccessRequest, Status
from evidence import clock
from outbox.pump import Later
from outbox.queue import enqueue, handler

EXPIRE = "approvals.expire"
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
