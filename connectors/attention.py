"""A delivery in, whether it may have a message of its own out: a flood becomes one digest, and an alert.

An approver who is asked two hundred times a minute reads nothing and approves everything. So a place gets a few
messages in a while; what comes beyond waits in the inbox and in one digest per place. Nothing is lost by it.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from approvals.models import Status
from connectors import once
from connectors.models import Delivery
from connectors.port import ORIGIN, Ref
from evidence import alerts
from evidence.ledger import Actor
from outbox.queue import enqueue

DIGEST = "connectors.digest"
ALERT = "connectors.alert"
HELD: Ref = {"held": "digest"}
PAUSE = timedelta(seconds=3)  # what comes within it is one change of a digest
_SYSTEM = Actor(type="system", id="connectors")
_NAMED = 5


def held(delivery: Delivery, *, now: datetime) -> Ref | None:
    """The ref of a delivery that a digest stands for; None where it is told by a message of its own.

    Once told by itself it stays so, and what a digest stands for stays there. Runs outside of any transaction.
    """
    if ORIGIN in delivery.config:  # two lines for each ask, where it came from: a crowd of them is turned away before
        return None
    if delivery.ref.get("held"):
        digest_later(delivery, now=now)
        return HELD
    if delivery.ref or delivery.attempting or not _is_crowded(delivery, now=now):
        return None
    with transaction.atomic():
        digest_later(delivery, now=now)
        _alert(delivery, now=now)
    return HELD


def digest_later(delivery: Delivery, *, now: datetime) -> None:
    """Have the place's digest looked at soon: one job for all that happens within a pause."""
    beat = int(now.timestamp() // PAUSE.total_seconds()) + 1
    payload = {"tenant": delivery.tenant_id, "kind": delivery.kind, "key": delivery.place_key}
    due = datetime.fromtimestamp(beat * PAUSE.total_seconds(), tz=now.tzinfo) + timedelta(milliseconds=200)
    name = f"{DIGEST}:{delivery.tenant_id}:{delivery.kind}:{delivery.place_key}"[:170]
    enqueue(DIGEST, payload, run_at=due, dedupe=f"{name}:{beat}", tenant=delivery.tenant.slug)


def is_person(config: Mapping[str, Any]) -> bool:
    """Whether a place is one person's own, such as their mailbox."""
    return "person" in config


def _is_crowded(delivery: Delivery, *, now: datetime) -> bool:
    """Whether as many as a place may get came before this one: lately, or for a person still waiting.

    Before means an earlier row, so that any number of workers agree on which are the first.
    """
    limit, window = settings.COUNTERSIGN.attention_limit, settings.COUNTERSIGN.attention_window
    earlier = _of_place(delivery).filter(pk__lt=delivery.pk)
    if _at_least(earlier.filter(created_at__gt=delivery.created_at - window), limit):
        return True
    waiting = earlier.filter(request__status=Status.PENDING, request__expires_at__gt=now)
    return is_person(delivery.config) and _at_least(waiting, limit)


def _at_least(rows: QuerySet[Delivery], limit: int) -> bool:
    return rows[:limit].count() >= limit


def _of_place(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        tenant_id=delivery.tenant_id, kind=delivery.kind, place_key=delivery.place_key
    )  # fmt: skip


# --- the alert


def _alert(delivery: Delivery, *, now: datetime) -> None:
    """Once a window: a record for each place, and one word to the administrators for all of a tenant's places."""
    window = settings.COUNTERSIGN.attention_window
    turn = f"{delivery.tenant_id}:{int(now.timestamp() // window.total_seconds())}"
    if not once.first("attention", f"{turn}:{delivery.kind}:{delivery.place_key}", now=now):
        return
    agents = _agents(delivery, since=now - window)
    alerts.fire(
        "requests.coalesced", tenant=delivery.tenant.slug, actor=_SYSTEM, now=now,
        detail={
            "kind": delivery.kind, "place": delivery.place_key, "agents": agents,
            "limit": settings.COUNTERSIGN.attention_limit, "window_seconds": int(window.total_seconds()),
        },
    )  # fmt: skip
    if once.first("attention.admins", turn, now=now):
        payload = {"tenant": delivery.tenant_id, "agents": agents, "turn": turn}
        enqueue(ALERT, payload, tenant=delivery.tenant.slug)


def _agents(delivery: Delivery, *, since: datetime) -> dict[str, int]:
    """Who asks the most in this place, and how often lately."""
    asked = _of_place(delivery).filter(created_at__gt=since).values_list("request__agent_id", flat=True)
    return dict(Counter(asked[:1000]).most_common(_NAMED))
