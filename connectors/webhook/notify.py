"""A request ended: in that same transaction a job for each callback that is to be told of it, and a look at each bundle
that it is in.

A bundle's end is nobody's transaction: of two items that end at once, neither sees the other's end. So each end leaves
a look, which runs once it is committed; the last of them finds all ended, and tells of the whole once.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.dispatch import receiver

from approvals import bundles, callbacks
from approvals.models import AccessRequest, Bundle
from approvals.signals import Change, request_changed
from countersign import ids
from outbox.queue import enqueue, handler

TELL = "connectors.callback"
LOOK = "connectors.bundle"
ATTEMPTS = 1000  # with pauses of five minutes at least: more than the day after which it is given up on record
_ENDS = frozenset({Change.APPROVED, Change.DENIED, Change.EXPIRED, Change.CANCELLED})
"""A task changes once. What becomes of an approval afterwards its user knows: they did it."""


@receiver(request_changed)
def on_change(request: AccessRequest, change: Change, **_signal: Any) -> None:
    """Runs under the request's lock; nothing here may wait for a network."""
    if change not in _ENDS:
        return
    _tell(request, {"request": request.pk}, status=request.status)
    for bundle in bundles.of_item(request):
        enqueue(LOOK, {"bundle": bundle}, tenant=request.tenant.slug)


@handler(LOOK)
def look(payload: Mapping[str, Any]) -> None:
    """Tell of a bundle if it has ended, and nobody has yet. Safe to repeat."""
    with transaction.atomic():
        ended = bundles.end(payload["bundle"])
        if ended is not None:
            status = bundles.together(request.status for request in bundles.requests_of(ended))
            _tell(ended, {"bundle": ended.pk}, status=status)


def _tell(task: AccessRequest | Bundle, named: Mapping[str, str], *, status: str) -> None:
    for callback in callbacks.concerned(task, status=status):
        payload = {"callback": callback.pk, **named, "id": ids.new("cbk")}
        name = f"{TELL}:{callback.pk}:{task.pk}"
        enqueue(TELL, payload, dedupe=name, tenant=task.tenant.slug, max_attempts=ATTEMPTS)
