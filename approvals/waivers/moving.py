"""The one way a waiver is locked, and the one way it moves from one state to another: once, with exactly one record."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from approvals import lifecycle
from approvals.waivers.models import LIVE, State, Waiver
from approvals.waivers.signals import WaiverChange, waiver_changed, waivers_expired
from countersign.inspection.redact import redact
from countersign.proof.events import Event
from evidence import together
from evidence.ledger import Actor, Written
from registry import changes

SYSTEM: Final = Actor(type="system", id="waivers")

_MOVES: Final = {
    State.REFUSED: (Event.WAIVER_REFUSED, WaiverChange.REFUSED, {State.PENDING}),
    State.SUSPENDED: (Event.WAIVER_SUSPENDED, WaiverChange.SUSPENDED, {State.ACTIVE}),
    State.EXPIRED: (Event.WAIVER_EXPIRED, WaiverChange.EXPIRED, {State.ACTIVE, State.SUSPENDED}),
    State.REVOKED: (Event.WAIVER_REVOKED, WaiverChange.REVOKED, {State.ACTIVE, State.SUSPENDED}),
    State.USED_UP: (Event.WAIVER_USED_UP, WaiverChange.USED_UP, {State.ACTIVE}),
}
_ENDS: Final = frozenset({State.REFUSED, State.EXPIRED, State.REVOKED, State.USED_UP})


class UnknownWaiver(LookupError):
    """No such waiver in this tenant. Another tenant's is as unknown as none."""


class NotNow(Exception):
    """The waiver is not in a state from which it could do that. `state` is what it is."""

    def __init__(self, waiver: Waiver) -> None:
        super().__init__(f"{waiver.pk} is {waiver.state}")
        self.state = waiver.state


def locked(waiver_id: str, *, tenant_id: int) -> Waiver:
    """The waiver's row and its request's, the request first as everywhere, held until commit. Raises UnknownWaiver."""
    found = Waiver.objects.filter(pk=waiver_id, tenant_id=tenant_id).values_list("request_id", flat=True).first()
    if found is None:
        raise UnknownWaiver(waiver_id)
    request = lifecycle.locked(found, tenant_id=tenant_id)
    waiver = (
        Waiver.objects.select_for_update(of=("self",)).select_related("owner__user", "asked_by__user").get(pk=waiver_id)
    )
    waiver.request, waiver.tenant = request, request.tenant
    return waiver


def move(waiver: Waiver, to: State, *, actor: Actor, now: datetime, why: str = "") -> None:
    """Take a locked waiver to another state and record it; what is judged with it is judged anew. Raises NotNow.

    An end that the clock or the count brings needs no new epoch: whoever uses the waiver looks at both.
    """
    event, change, before = _MOVES[to]
    changed: dict[str, Any] = {"state": to}
    if to in _ENDS:
        changed |= {"ended_at": now, "ended_by": actor.id, "ended_why": why}
    _update(waiver, before, changed)
    if to in {State.SUSPENDED, State.REVOKED}:
        changes.bump(waiver.tenant, registry=False, waivers=True)
    record(event, waiver, actor=actor, now=now, detail={"why": redact(why).text} if why else None)
    announce(waiver, change)


def expire(waivers: Sequence[Waiver], *, now: datetime) -> None:
    """End locked waivers whose time is over, all with one UPDATE and one INSERT, and tell of each. Raises NotNow."""
    if not waivers:
        return
    changed: dict[str, Any] = {"state": State.EXPIRED, "ended_at": now, "ended_by": SYSTEM.id, "ended_why": ""}
    over = Waiver.objects.filter(pk__in=[one.pk for one in waivers], state__in=LIVE, expires_at__lte=now)
    if over.update(**changed) != len(waivers):
        raise NotNow(waivers[0])
    for waiver in waivers:
        for name, value in changed.items():
            setattr(waiver, name, value)
    together.append(
        [lifecycle.fact(Event.WAIVER_EXPIRED, one.request, actor=SYSTEM, waiver=member(one)) for one in waivers],
        now=now,
    )
    for waiver in waivers:
        announce(waiver, WaiverChange.EXPIRED)
    waivers_expired.send(sender=Waiver, waivers=waivers)


def activate(waiver: Waiver, *, actor: Actor, now: datetime) -> None:
    """Put a locked waiver in force: for the first time, or again after it was suspended. Raises NotNow."""
    first = waiver.state == State.PENDING
    changed: dict[str, Any] = {"state": State.ACTIVE, "ended_why": ""}
    _update(waiver, {State.PENDING, State.SUSPENDED}, changed | ({"granted_at": now} if first else {}))
    changes.bump(waiver.tenant, registry=False, waivers=True)
    record(Event.WAIVER_GRANTED if first else Event.WAIVER_RESUMED, waiver, actor=actor, now=now)
    announce(waiver, WaiverChange.GRANTED if first else WaiverChange.RESUMED)


def _update(waiver: Waiver, before: set[State], changed: Mapping[str, Any]) -> None:
    if not Waiver.objects.filter(pk=waiver.pk, state__in=before).update(**changed):
        raise NotNow(waiver)
    for name, value in changed.items():
        setattr(waiver, name, value)


def record(
    event: Event,
    waiver: Waiver,
    *,
    actor: Actor,
    now: datetime,
    detail: Mapping[str, Any] | None = None,
) -> Written:
    """One record in the thread of the waiver's request, which must be locked: one thread tells its whole life."""
    return lifecycle.record(event, waiver.request, actor=actor, now=now, detail=detail, waiver=member(waiver))


def member(waiver: Waiver) -> dict[str, Any]:
    """As records name it."""
    return {"id": waiver.pk, "version": waiver.version, "category": waiver.category, "state": waiver.state}


def announce(waiver: Waiver, change: WaiverChange) -> None:
    """Tell the rooms above, in this transaction; a receiver that fails takes the change back with it."""
    waiver_changed.send(sender=Waiver, waiver=waiver, change=change)
