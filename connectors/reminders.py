"""A request is opened: its reminders are timed; when one is due, the places that were told hear of it once more."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from approvals.models import AccessRequest, Status
from approvals.signals import Change, request_changed
from connectors import notify as notify  # its receiver is connected first, so that the deliveries are there
from connectors import once, plain, telling, timing
from connectors.deliver import say_later
from connectors.models import Delivery, State
from connectors.port import ABOUT, ORIGIN, Place, Told
from evidence import clock
from outbox.queue import enqueue, handler

REMIND = "connectors.remind"


@receiver(request_changed)
def on_change(request: AccessRequest, change: Change, **_signal: Any) -> None:
    """One timer for each reminder, in the transaction that opens the request."""
    if change is not Change.OPENED or not Delivery.objects.filter(request=request).exists():
        return
    due = timing.moments(request.opened_at, request.expires_at, settings.COUNTERSIGN.remind_before)
    for turn, (at, until) in enumerate(pairwise([*due, request.expires_at])):
        payload = {"request": request.pk, "turn": turn, "until": until.isoformat()}
        enqueue(REMIND, payload, run_at=at, dedupe=f"{REMIND}:{request.pk}:{turn}", tenant=request.tenant.slug)


@handler(REMIND)
def remind(payload: Mapping[str, Any]) -> None:
    """Say it where it was told, unless it is over or the next reminder is due already. Safe to repeat."""
    request = AccessRequest.objects.select_related("tenant").get(pk=payload["request"])
    now = clock.now()
    if request.status != Status.PENDING or now >= datetime.fromisoformat(payload["until"]):
        return
    words = _words(telling.told(request, version=0), now=now)
    for delivery in _told_places(request):
        about = Place(delivery.kind, delivery.place_key, {**delivery.config, ABOUT: delivery.ref})
        with transaction.atomic():
            if once.first(REMIND, f"{delivery.pk}:{payload['turn']}", now=now):
                say_later(request.tenant, about, words)


def _told_places(request: AccessRequest) -> Iterator[Delivery]:
    """Where the request has a message of its own: a digest is reminder enough. Who voted is left in peace."""
    voted = set(request.votes.values_list("membership__user__username", flat=True))
    for delivery in Delivery.objects.filter(request=request).exclude(state=State.DEAD).exclude(ref={}).order_by("pk"):
        is_asked = ORIGIN not in delivery.config and delivery.config.get("person") not in voted
        if is_asked and not delivery.ref.get("held"):
            yield delivery


def _words(told: Told, *, now: datetime) -> str:
    left = max(int((told.expires_at - now).total_seconds() + 59) // 60, 1)
    minutes = "1 minute" if left == 1 else f"{left} minutes"
    return "\n".join(
        (
            f"Still waiting: {plain.title(told, most=120)}",
            f"{'; '.join(plain.needed(told))} so far. It expires in {minutes}, at {plain.moment(told.expires_at)}.",
            told.link,
        )
    )
