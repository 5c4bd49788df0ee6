"""Ends before the term: somebody revokes or shortens a waiver, alone and at once, or its time is over."""

from datetime import datetime

from django.db import connection, transaction

from approvals.issuing import timestamp
from approvals.models import AccessRequest
from approvals.waivers import moving
from approvals.waivers.models import LIVE, State, Waiver
from approvals.waivers.moving import announce, record
from approvals.waivers.signals import WaiverChange
from countersign.inspection.redact import redact
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from registry import changes, people
from registry.models import Membership, Role

AT_ONCE = 200  # waivers that one transaction ends


class NotYours(Exception):
    """Only who asked, its owner, an approver of its teams or an administrator may end a waiver; and only the person
    named may confirm what they are to confirm.
    """


class NotShorter(ValueError):
    """A waiver is only ever shortened, to a time still to come."""


def revoke(waiver_id: str, *, tenant_id: int, by: Membership, why: str, now: datetime) -> Waiver:
    """End it. One person suffices, and the next decision is made without it. Raises UnknownWaiver, NotYours, NotNow."""
    with transaction.atomic():
        waiver = moving.locked(waiver_id, tenant_id=tenant_id)
        _check_may(waiver, by)
        moving.move(waiver, State.REVOKED, actor=_actor(by), now=max(now, clock.now()), why=why)
    return waiver


def shorten(waiver_id: str, *, tenant_id: int, by: Membership, expires_at: datetime, why: str, now: datetime) -> Waiver:
    """Let it end earlier; never later, that is a renewal. Raises UnknownWaiver, NotYours, NotNow, NotShorter."""
    with transaction.atomic():
        waiver = moving.locked(waiver_id, tenant_id=tenant_id)
        _check_may(waiver, by)
        at = max(now, clock.now())
        if waiver.state not in LIVE:
            raise moving.NotNow(waiver)
        if not max(at, waiver.not_before) < expires_at < waiver.expires_at:
            raise NotShorter(f"{waiver.pk} could end after now and before {waiver.expires_at.isoformat()}")
        was, waiver.expires_at, waiver.version = waiver.expires_at, expires_at, waiver.version + 1
        waiver.save(update_fields=["expires_at", "version"])
        changes.bump(waiver.tenant, registry=False, waivers=True)
        detail = {"was": timestamp(was), "expires_at": timestamp(expires_at), "why": redact(why).text}
        record(Event.WAIVER_SHORTENED, waiver, actor=_actor(by), now=at, detail=detail)
        announce(waiver, WaiverChange.SHORTENED)
    return waiver


def may_end(waiver: Waiver, by: Membership) -> bool:
    """Ending an exception is never dangerous: whoever has to do with it may."""
    teams = {team for one in waiver.request.requirements for team in one["teams"]}
    return (
        by.pk in {waiver.owner_id, waiver.asked_by_id}
        or Role.ADMIN in by.roles
        or not teams.isdisjoint(people.team_names(by))
    )


def expire_due(*, now: datetime) -> int:
    """End the waivers whose time is over, as many as one transaction takes; how many those were.

    Nobody waits for it: a use looks at the clock itself. Those that somebody holds are left for the next round.
    """
    with transaction.atomic():
        due = _held(now)
        moving.expire(due, now=now)
    return len(due)


def _held(now: datetime) -> list[Waiver]:
    """Locked, the requests first; each with its request and tenant. Nobody who waits for one is waited for."""
    skip = connection.features.has_select_for_update_skip_locked
    over = Waiver.objects.filter(state__in=LIVE, expires_at__lte=now)
    first = list(over.order_by("expires_at").values_list("request_id", flat=True)[:AT_ONCE])
    requests = AccessRequest.objects.filter(pk__in=first).select_related("tenant").order_by("pk")
    held = {one.pk: one for one in requests.select_for_update(of=("self",), skip_locked=skip)}
    waivers = over.filter(request__in=list(held)).select_related("owner__user", "asked_by__user").order_by("request_id")
    found = list(waivers.select_for_update(of=("self",)))
    for waiver in found:
        waiver.request = held[waiver.request_id]
        waiver.tenant = waiver.request.tenant
    return found


def _check_may(waiver: Waiver, by: Membership) -> None:
    if by.tenant_id != waiver.tenant_id or not may_end(waiver, by):
        raise NotYours(waiver.pk)


def _actor(by: Membership) -> Actor:
    return Actor(type="person", id=by.user.username)
