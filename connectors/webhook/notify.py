"""A request ended: in that same transaction a job for each callback that is to be told of it."""

from typing import Any

from django.dispatch import receiver

from approvals import callbacks
from approvals.models import AccessRequest
from approvals.signals import Change, request_changed
from countersign import ids
from outbox.queue import enqueue

TELL = "connectors.callback"
ATTEMPTS = 1000  # with pauses of five minutes at least: more than the day after which it is given up on record
_ENDS = frozenset({Change.APPROVED, Change.DENIED, Change.EXPIRED, Change.CANCELLED})
"""A task changes once. What becomes of an approval afterwards its user knows: they did it."""


@receiver(request_changed)
def on_change(request: AccessRequest, change: Change, **_signal: Any) -> None:
    """Runs under the request's lock; nothing here may wait for a network."""
    if change not in _ENDS:
        return
    for callback in callbacks.concerned(request):
        payload = {"callback": callback.pk, "request": request.pk, "id": ids.new("cbk")}
        name = f"{TELL}:{callback.pk}:{request.pk}"
        enqueue(TELL, payload, dedupe=name, tenant=request.tenant.slug, max_attempts=ATTEMPTS)
