"""The end of a waiver's request in; the waiver in force, waiting for its controls, or refused, out."""

from typing import Any

from django.dispatch import receiver

from approvals.models import AccessRequest
from approvals.signals import Change, request_changed
from approvals.waivers import holding, moving
from approvals.waivers.models import Control, ControlKind, State, Waiver
from approvals.waivers.moving import SYSTEM
from evidence import clock

_REFUSES = {
    Change.DENIED: "Denied.",
    Change.EXPIRED: "Nobody granted it in time.",
    Change.CANCELLED: "Withdrawn by who asked.",
}


@receiver(request_changed)
def on_change(request: AccessRequest, change: Change, **_signal: Any) -> None:
    """Runs in the transaction of the vote, under the request's lock."""
    if request.asked_by_id is None or change not in {Change.APPROVED, *_REFUSES}:
        return
    waiver = moving.locked(
        Waiver.objects.values_list("pk", flat=True).get(request=request), tenant_id=request.tenant_id
    )
    now = clock.now()
    if change is not Change.APPROVED:
        moving.move(waiver, State.REFUSED, actor=SYSTEM, now=now, why=_REFUSES[change])
        return
    Control.objects.filter(waiver=waiver, kind=ControlKind.CHECK).update(next_at=now)
    moving.activate(waiver, actor=SYSTEM, now=now)
    if why := holding.why_not(waiver, now=now):  # granted, and waiting for what it rests on
        moving.move(waiver, State.SUSPENDED, actor=SYSTEM, now=now, why=why)
