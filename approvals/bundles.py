"""Requests that were asked for together in, one task of them out. It has no state but theirs, and no vote of its own.

Each item is an ordinary request: its own action digest, its own votes with their own step-up, its own approval.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from approvals import lifecycle
from approvals.models import AccessRequest, Bundle, BundleItem, Status
from countersign import ids
from countersign.proof.events import Event
from evidence.ledger import Actor
from registry.models import Tenant

MAX_ITEMS = 50
PARTIAL = "partial"
"""All items have ended, not all alike. Only a bundle can be that."""


class NothingPending(Exception):
    """Every item has ended already."""


class SameTwice(ValueError):
    """Two items are one and the same action. `place` is the later one's."""

    def __init__(self, place: int) -> None:
        super().__init__(f"item {place} was named before")
        self.place = place


def make(
    requests: Sequence[AccessRequest], *, tenant_id: int, subject: Mapping[str, Any], credential_id: int, now: datetime
) -> Bundle:
    """One task for these requests, which the caller holds locked. Raises SameTwice: one use cannot serve two items.

    That they were asked for together is a record in the thread of each, under the task's id: whichever of them a pack
    is about, it says of how many it is one, and the task's id finds all of them.
    """
    seen: set[str] = set()
    for place, request in enumerate(requests):
        if request.pk in seen:
            raise SameTwice(place)
        seen.add(request.pk)
    made = Bundle.objects.create(
        id=ids.new("arq"), tenant_id=tenant_id, subject=dict(subject), opened_by_id=credential_id, opened_at=now
    )
    BundleItem.objects.bulk_create(
        BundleItem(tenant_id=tenant_id, bundle=made, position=place, request=request)
        for place, request in enumerate(requests)
    )
    _record(made, requests, now=now)
    return made


def _record(made: Bundle, requests: Sequence[AccessRequest], *, now: datetime) -> None:
    who = lifecycle.asker(made.opened_by_id)
    for place, request in enumerate(requests):
        lifecycle.record(
            Event.REQUEST_BUNDLED, request, actor=who, now=now, task=made.pk,
            detail={"place": place, "of": len(requests)},
        )  # fmt: skip


def find(bundle_id: str, *, tenant_id: int) -> Bundle | None:
    """The bundle of this id, if this tenant has it."""
    return Bundle.objects.filter(pk=bundle_id, tenant_id=tenant_id).first()


def requests_of(bundle: Bundle) -> list[AccessRequest]:
    """Its requests, as they were submitted."""
    items = BundleItem.objects.filter(bundle=bundle).select_related("request__tenant").order_by("position")
    return [item.request for item in items]


def of_item(request: AccessRequest) -> list[str]:
    """The ids of the bundles that this request is in."""
    return list(BundleItem.objects.filter(request=request).values_list("bundle_id", flat=True))


def end(bundle_id: str) -> Bundle | None:
    """The bundle, once: for who first looks after the last of its items has ended. In the caller's transaction.

    To be asked again after each end of an item, once that is committed: of two ends at once neither sees the other's
    before. So it waits for no lock, where who held one item and wanted the whole could wait for who has it the other
    way round; and whoever comes last sees all of them.
    """
    found = Bundle.objects.select_related("tenant").get(pk=bundle_id)
    closed = [request.closed_at for request in requests_of(found)]
    ends = [at for at in closed if at is not None]
    if len(ends) < len(closed):
        return None
    if not Bundle.objects.filter(pk=bundle_id, ended_at__isnull=True).update(ended_at=max(ends)):
        return None
    found.ended_at = max(ends)
    return found


def together(statuses: Iterable[str]) -> str:
    """The status of the whole as the profile has it: pending while one is, else what all are, else partial."""
    found = set(statuses)
    if Status.PENDING in found:
        return Status.PENDING.value
    return str(found.pop()) if len(found) == 1 else PARTIAL


def cancel(bundle: Bundle, *, actor: Actor, reason: str, now: datetime) -> None:
    """Close every item that is pending, in the caller's transaction. Raises NothingPending.

    Behind the tenant's row, as who asks for several: two that lock many requests must not do so in two orders.
    """
    Tenant.objects.select_for_update(no_key=True).get(pk=bundle.tenant_id)
    closed = 0
    for request in requests_of(bundle):
        locked = lifecycle.locked(request.pk, tenant_id=bundle.tenant_id)
        try:
            lifecycle.check_pending(locked, now=now)
        except lifecycle.NotPending:
            continue
        lifecycle.close(locked, Status.CANCELLED, actor=actor, now=now, reason=reason)
        closed += 1
    if not closed:
        raise NothingPending(bundle.pk)
