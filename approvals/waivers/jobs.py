"""What comes round for waivers by itself: those whose time is over end, and controls that are due are looked at."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.dispatch import receiver

from approvals.waivers import ending, looking
from approvals.waivers.models import Control, Waiver
from approvals.waivers.signals import WaiverChange, waiver_changed
from evidence import clock
from outbox.pump import Later
from outbox.queue import enqueue, every, handler

EXPIRE: Final = "approvals.waivers.expire"
LOOK: Final = "approvals.waivers.look"
FIRST: Final = "approvals.waivers.first"
ROUND: Final = timedelta(seconds=15)
"""Between two looks for controls that are due, where none is due sooner."""
_BREATH: Final = timedelta(seconds=1)
_BATCHES: Final = 20  # of one run: other work of the pump gets its turn


@every(EXPIRE, timedelta(seconds=1))
def expire() -> None:
    """End what is over, as many batches as it takes. Safe to repeat, and for several pumps at once."""
    for _ in range(_BATCHES):
        if not ending.expire_due(now=clock.now()):
            return
    raise Later(timedelta(0))


@every(LOOK, ROUND)
def look() -> None:
    """Look at the controls that are due and at confirmations that are over; again as soon as another is due."""
    if looking.look_due() == looking.AT_ONCE:
        raise Later(timedelta(0))
    looking.forget()
    if (left := looking.until_next()) is not None and left < ROUND:
        raise Later(max(left, _BREATH))


@handler(FIRST)
def first(payload: Mapping[str, Any]) -> None:
    """Look at the checks of a waiver just granted: nobody waits for the round. Safe to repeat."""
    while looking.look_due(waiver_id=payload["waiver"]) == looking.AT_ONCE:
        pass


@receiver(waiver_changed)
def on_change(waiver: Waiver, change: WaiverChange, **_signal: Any) -> None:
    """In the transaction that granted it: suspended until its checks were made for the first time."""
    if change is not WaiverChange.SUSPENDED:
        return
    if Control.objects.filter(waiver=waiver, looked_at__isnull=True, next_at__isnull=False).exists():
        enqueue(FIRST, {"waiver": waiver.pk}, tenant=waiver.tenant.slug)
