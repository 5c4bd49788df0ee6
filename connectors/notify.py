"""A request changed: in that same transaction its deliveries are made or raised, and somebody is called to send them.

Each change has a job of its own: a job enqueued under a name that a running one still holds would be lost. The first
of several that runs tells the newest state; the others find nothing left to tell.
"""

from typing import Any

from django.db import connection
from django.dispatch import receiver

from approvals.models import AccessRequest, Status
from approvals.signals import Change, request_changed
from connectors import accounts, routing
from connectors.kinds import KINDS
from connectors.models import Delivery, State
from connectors.port import ORIGIN, Place
from evidence import clock
from evidence.queries import Compiled
from outbox.queue import enqueue

DELIVER = "connectors.deliver"


@receiver(request_changed)
def on_change(request: AccessRequest, change: Change, **_signal: Any) -> None:
    """Runs under the request's lock; a failure takes the change back, so nothing here may wait for a network.

    Asking again changes nothing that is told, and a machine can do it as often as it likes.
    """
    if change is Change.JOINED:
        return
    if change is Change.OPENED:
        _open(request)
    _raise(request)


def reachable(request: AccessRequest) -> list[Place]:
    """The request's places that this installation can tell it in."""
    connected = accounts.kinds_of(request.tenant) & KINDS.keys()
    return [place for place in routing.places(request) if place.kind in connected] if connected else []


def refresh(request: AccessRequest) -> None:
    """Have its messages told anew, in the caller's transaction: what became of it has changed, it itself has not."""
    _raise(request)


def call(delivery: Delivery) -> None:
    """Have one delivery looked at, in the caller's transaction."""
    enqueue(DELIVER, {"delivery": delivery.pk}, tenant=delivery.tenant.slug)


def _open(request: AccessRequest) -> None:
    """Rows that want nothing yet: the change that opened the request raises them like any other."""
    now = clock.now()
    Delivery.objects.bulk_create(
        [
            Delivery(
                tenant=request.tenant, request=request, kind=place.kind, place_key=place.key, config=dict(place.config),
                wanted=0, created_at=now, updated_at=now,
            )
            for place in reachable(request)
        ],
        ignore_conflicts=True,
    )  # fmt: skip


def _raise(request: AccessRequest) -> None:
    """All want the newest. One that was given up gets another chance while that is worth something to a reader."""
    rows = [row for row in _of_request(request.pk) if _is_worth_it(row, request)]
    dead = [row.pk for row in rows if row.state == State.DEAD]
    if dead:
        Delivery.objects.filter(pk__in=dead).update(attempts=0, not_before=None)
    for row in rows:
        with connection.cursor() as cursor:
            cursor.execute(_WANTED, [row.pk])
        enqueue(DELIVER, {"delivery": row.pk}, tenant=request.tenant.slug)


_WANTED = "UPDATE connectors_delivery SET wanted = wanted + 1, state = 'ready' WHERE id = %s"
_of_request = Compiled(lambda request: Delivery.objects.filter(request=request).only("state", "ref", "config"))


def _is_worth_it(row: Delivery, request: AccessRequest) -> bool:
    """A message that shows an old state always; one that never came only while there is something to decide.

    Where the ask came from only its end is told.
    """
    if ORIGIN in row.config and (request.status == Status.PENDING or row.ref.get(ORIGIN, Status.PENDING) != "pending"):
        return False
    return row.state != State.DEAD or bool(row.ref) or request.status == Status.PENDING
