"""A delivery's row in, its request told in that one place out: posted once, edited ever after, tried again if refused.

Only who holds the row's lease sends. The network is used outside of any transaction. What is uncertain after a crash
or a lost answer is looked for before it is posted again.
"""

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, F, Q, Value, When

from approvals import lifecycle
from approvals.models import AccessRequest
from connectors import accounts, attention, kinds, lines, pauses, scrubbed, telling
from connectors.models import Delivery, State
from connectors.notify import DELIVER, call
from connectors.port import Place, Ref, Told, Transport, TransportError
from countersign import ids
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from outbox import pump
from outbox.queue import enqueue, handler
from registry import describe
from registry.models import Tenant

log = logging.getLogger(__name__)

SAY = "connectors.say"
LEASE = timedelta(seconds=60)  # longer than a transport's own timeouts together, so that nobody sends beside another
MAX_ATTEMPTS = 60
_FIRST_RETRY = timedelta(seconds=1)
_LONGEST_RETRY = timedelta(minutes=10)
_DOUBLINGS = 16
_AT_ONCE = 20
_LONGEST_ERROR = 500
_SYSTEM = Actor(type="system", id="connectors")


class InTransaction(RuntimeError):
    """The network was about to be used inside a transaction, whose locks everybody would wait for."""


class LeaseLost(Exception):
    """Somebody else holds the delivery now: it was ours for too long."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One claimed delivery: the row as it was claimed, and what the telling will be."""

    row: Delivery
    version: int

    @property
    def place(self) -> Place:
        return Place(self.row.kind, self.row.place_key, self.row.config)


@handler(DELIVER)
def deliver(payload: Mapping[str, Any]) -> None:
    """Tell what is wanted of one delivery until nothing is. Safe to repeat and to run beside itself."""
    if connection.in_atomic_block:
        raise InTransaction(DELIVER)
    for _ in range(_AT_ONCE):
        turn = _claim(payload["delivery"])
        if turn is None:
            return
        _take(turn)
    raise pump.Later(_FIRST_RETRY)  # it changes faster than we can tell


def send_again(delivery: Delivery, *, now: datetime) -> None:
    """An administrator's wish, in the caller's transaction: at once, and with all its attempts before it."""
    Delivery.objects.filter(pk=delivery.pk).update(
        wanted=F("wanted") + 1, state=State.READY, attempts=0, not_before=None, updated_at=now
    )
    call(delivery)


def say_later(
    tenant: Tenant, place: Place, words: str, *, run_at: datetime | None = None, dedupe: str | None = None
) -> None:
    """Plain words to a place, through the outbox: a reminder, a digest, a refusal. `dedupe` as for any job."""
    payload = {"tenant": tenant.pk, "kind": place.kind, "key": place.key, "config": dict(place.config), "words": words}
    enqueue(SAY, payload, run_at=run_at, dedupe=dedupe, tenant=tenant.slug)


@handler(SAY)
def say(payload: Mapping[str, Any]) -> None:
    """Say it, or try again as the other system asks."""
    if connection.in_atomic_block:
        raise InTransaction(SAY)
    tenant = Tenant.objects.get(pk=payload["tenant"])
    place = Place(payload["kind"], payload["key"], payload["config"])
    with pauses.honoured(tenant.pk, place.kind):
        _opened(tenant, place.kind).say(place, payload["words"])


# --- one turn


def _claim(pk: int) -> Turn | None:
    """The delivery, held by us alone; None if nothing is wanted of it. Raises pump.Later where it is held or waits."""
    now, lease = clock.now(), ids.new("lse")
    wanting = Delivery.objects.filter(pk=pk, state=State.READY, wanted__gt=F("told"))
    free = Q(leased_until__isnull=True) | Q(leased_until__lte=now)
    due = Q(not_before__isnull=True) | Q(not_before__lte=now)
    if not wanting.filter(free & due).update(lease=lease, leased_until=now + LEASE):
        waiting = wanting.first()
        if waiting is None:
            return None
        until = max(waiting.not_before or now, waiting.leased_until or now)
        raise pump.Later(max(until - now, timedelta(milliseconds=50)))
    row = Delivery.objects.select_related("tenant").get(pk=pk, lease=lease)
    return Turn(row, row.wanted)


def _take(turn: Turn) -> None:
    """Send what is wanted, and write down how it went. Raises pump.Later where it is to be tried again."""
    resting = pauses.left(turn.row.tenant_id, turn.row.kind)
    if resting:
        _held(turn).update(lease="", leased_until=None, not_before=clock.now() + resting)
        raise pump.Later(resting)
    try:
        transport = lines.through(_opened(turn.row.tenant, turn.row.kind), turn.row)
        request = AccessRequest.objects.select_related("tenant").get(pk=turn.row.request_id)
        ref = _send(transport, turn, telling.told(request, version=turn.version))
    except LeaseLost:
        log.warning("delivery lost its lease", extra={"delivery": turn.row.pk})
    except TransportError as error:
        if not error.permanent:
            pauses.failed(turn.row.tenant_id, turn.row.kind, after=error.retry_after)
        _failed(turn, str(error), permanent=error.permanent, retry_after=error.retry_after)
    except Exception as error:
        log.exception("delivery failed", extra={"delivery": turn.row.pk, "kind": turn.row.kind})
        _failed(turn, f"unexpected: {type(error).__name__}", permanent=False, retry_after=None)
    else:
        if "held" not in ref:  # nobody was asked anything for what a digest tells
            pauses.worked(turn.row.tenant_id, turn.row.kind)
        _succeeded(turn, ref)


def _send(transport: Transport, turn: Turn, told: Told) -> Ref:
    """The one use of the network. A post is announced in the row before, so that a crash leaves word of it.

    What comes to a crowded place is left to its digest, and nothing is sent here.
    """
    in_digest = attention.held(turn.row, now=clock.now())
    if in_digest is not None:
        return in_digest
    if turn.row.ref:
        return transport.edit(turn.place, turn.row.ref, told)
    if turn.row.attempting:
        found = transport.find(turn.place, told.name)
        if found is not None:
            return transport.edit(turn.place, found, told)
    if not _held(turn).update(attempting=True):
        raise LeaseLost
    return transport.post(turn.place, told)


def _opened(tenant: Tenant, kind: str) -> Transport:
    account = accounts.account(tenant, kind)
    if account is None:
        raise TransportError(f"{kind} is not connected for this tenant. Enter its credentials.", permanent=True)
    try:
        return kinds.open_(account)
    except kinds.UnknownKind as error:
        raise TransportError(str(error), permanent=True) from error


def _held(turn: Turn) -> Any:
    return Delivery.objects.filter(pk=turn.row.pk, lease=turn.row.lease)


# --- its end


def _succeeded(turn: Turn, ref: Ref) -> None:
    """The ref and how far it was told; more may have been wanted meanwhile.

    The first post is evidence, and so is one that works after it was given up; an edit is not.
    """
    now = clock.now()
    done = Case(When(wanted__lte=turn.version, then=Value(State.DONE.value)), default=Value(State.READY.value))
    changes: dict[str, Any] = {
        "ref": dict(ref), "remote_id": ref.get("id", ""), "told": turn.version, "attempting": False, "attempts": 0,
        "last_error": "", "lease": "", "leased_until": None, "not_before": None, "state": done, "given_up": False,
        "updated_at": now,
    }  # fmt: skip
    if turn.row.ref and not turn.row.given_up:
        _held(turn).filter(told__lt=turn.version).update(**changes)
        return
    with transaction.atomic():
        request = lifecycle.locked(turn.row.request_id, tenant_id=turn.row.tenant_id)
        if _held(turn).filter(told__lt=turn.version).update(**changes):
            _record(Event.NOTIFICATION_SENT, request, turn, now=now)


def _failed(turn: Turn, said: str, *, permanent: bool, retry_after: timedelta | None) -> None:
    """Again later, or to the dead letters. Raises pump.Later."""
    attempts, words = turn.row.attempts + 1, scrubbed.raw(said).text[:_LONGEST_ERROR]
    if permanent or attempts >= MAX_ATTEMPTS:
        _bury(turn, attempts=attempts, words=words)
        return
    after = retry_after if retry_after is not None else _backoff(attempts)
    now = clock.now()
    changes: dict[str, Any] = {
        "attempts": attempts, "last_error": words, "lease": "", "leased_until": None, "not_before": now + after,
        "updated_at": now,
    }  # fmt: skip
    if retry_after is not None and not turn.row.attempting:
        changes["attempting"] = False  # this first post was turned away at the door: nothing to look for
    _held(turn).update(**changes)
    raise pump.Later(after)


def _bury(turn: Turn, *, attempts: int, words: str) -> None:
    now = clock.now()
    with transaction.atomic():
        request = lifecycle.locked(turn.row.request_id, tenant_id=turn.row.tenant_id)
        buried = _held(turn).update(
            state=State.DEAD, given_up=True, attempts=attempts, last_error=words, lease="", leased_until=None,
            updated_at=now,
        )  # fmt: skip
        if buried:
            _record(Event.NOTIFICATION_FAILED, request, turn, now=now, why=words)


def _record(event: Event, request: AccessRequest, turn: Turn, *, now: datetime, **more: str) -> None:
    """A place that is an address is named by its fingerprint: evidence cannot be erased."""
    place = turn.row.place_key
    detail = {"kind": turn.row.kind, "place": describe.fingerprint(place) if "@" in place else place, **more}
    lifecycle.record(event, request, actor=_SYSTEM, now=now, detail=detail)


def _backoff(attempt: int) -> timedelta:
    """Doubling from a second to ten minutes, with jitter, so that a system that comes back is not overrun."""
    longest: timedelta = min(_FIRST_RETRY * (1 << min(attempt - 1, _DOUBLINGS)), _LONGEST_RETRY)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  spreads load, guards nothing
