"""A place in, its digest brought to what waits there now out: sent once, edited after, gone quiet when all is answered.

Where a message can be changed it is, so that no stale link stays. Where it cannot, as with e-mail, one is sent when
something new waits, and no more than one in a window. Each has a name, in its row before it is sent: one whose answer
was lost is looked for by it before it is sent again.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from approvals.models import AccessRequest, Status
from connectors import accounts, kinds, pauses, plain, scrubbed
from connectors.answers import request_link
from connectors.attention import DIGEST
from connectors.models import Delivery, Digest
from connectors.port import CALLED, Account, Board, Item, Name, Place, Ref, Transport, TransportError, Waiting
from countersign import ids
from evidence import clock
from outbox import pump
from outbox.queue import enqueue, handler
from registry.models import Tenant

log = logging.getLogger(__name__)

LISTED = 10
_LEASE = timedelta(seconds=60)
_SOON = timedelta(seconds=1)
_TITLE = 100


@handler(DIGEST)
def tell(payload: Mapping[str, Any]) -> None:
    """Bring one place's digest up to date. Safe to repeat and to run beside itself."""
    tenant = Tenant.objects.get(pk=payload["tenant"])
    account = accounts.account(tenant, payload["kind"])
    if account is None:
        return
    row = _claim(tenant, payload["kind"], payload["key"])
    try:
        _tell(row, _opened(account), now=clock.now())
    finally:
        Digest.objects.filter(pk=row.pk, lease=row.lease).update(lease="", leased_until=None)


def waiting(deliveries: Iterable[Delivery], total: int) -> Waiting:
    """What the held deliveries' requests ask for, in names of the registry."""
    items = [Item(_title(row.request), row.request.expires_at, request_link(row.request_id)) for row in deliveries]
    return Waiting(total, items, f"{settings.COUNTERSIGN.base_url}/inbox/")


# --- one turn


def _opened(account: Account) -> Transport:
    try:
        return kinds.open_(account)
    except TransportError as error:  # nothing was asked yet: what it was entered as is wrong
        raise pump.Permanent(str(error)) from error


def _claim(tenant: Tenant, kind: str, key: str) -> Digest:
    """The place's row, held by us alone. Raises pump.Later where another worker holds it."""
    row, _ = Digest.objects.get_or_create(tenant=tenant, kind=kind, place_key=key)
    now, lease = clock.now(), ids.new("lse")
    free = Digest.objects.filter(pk=row.pk).filter(Q(leased_until__isnull=True) | Q(leased_until__lte=now))
    if not free.update(lease=lease, leased_until=now + _LEASE):
        raise pump.Later(_SOON)
    row.refresh_from_db()
    return row


def _tell(row: Digest, transport: Transport, *, now: datetime) -> None:
    rows = _held(row, now=now)
    last = rows.order_by("-pk").first()
    told = waiting(rows.order_by("request__expires_at", "pk")[:LISTED], rows.count())
    newest = last.pk if last else 0
    place = Place(row.kind, row.place_key, last.config if last else _config(row))
    if isinstance(transport, Board):
        _edit(row, transport, place, told, newest=newest, now=now)
    elif newest > row.newest:
        _send(row, transport, place, told, newest=newest, now=now)


def _held(row: Digest, *, now: datetime) -> QuerySet[Delivery]:
    """The place's deliveries that the digest stands for and that still wait."""
    of_place = Delivery.objects.filter(tenant_id=row.tenant_id, kind=row.kind, place_key=row.place_key)
    waits = of_place.filter(ref__held="digest", request__status=Status.PENDING, request__expires_at__gt=now)
    return waits.select_related("request")


def _edit(row: Digest, board: Board, place: Place, told: Waiting, *, newest: int, now: datetime) -> None:
    """Change the message; after a window, what is new gets a message anew, and the old one falls silent."""
    says = _fingerprint(told)
    if says == row.says or not (told.total or row.ref or row.name):
        return
    with pauses.honoured(row.tenant_id, row.kind):
        _recall(row, board, place)
        if row.ref and newest > row.newest and _is_old(row, now=now):
            _silence(row, board, place, told, now=now)
        if row.ref:
            ref = board.digest(place, row.ref, told, name=_announced(row, now=now))
        else:
            ref = _posted(row, board, place, told, now=now)
    sent = now if row.ref and ref != row.ref else row.sent_at
    # After the last the next flood begins a message of its own: nobody sees an edit far above.
    stands = {"ref": dict(ref)} if told.total else {"ref": {}, "name": ""}
    _keep(row, **stands, says=says, newest=max(newest, row.newest), sent_at=sent)


def _recall(row: Digest, board: Board, place: Place) -> None:
    """Where a post ended up whose answer was lost, if it arrived: from then on it is edited."""
    if row.name and not row.ref:
        found = board.find(place, _name(row))
        if found is not None:
            _keep(row, ref=dict(found))


def _silence(row: Digest, board: Board, place: Place, told: Waiting, *, now: datetime) -> None:
    """The message names nothing any more; what is told next is another one."""
    replaced = Waiting(0, (), told.link, is_replaced=True)
    board.digest(place, row.ref, replaced, name=_announced(row, now=now))
    _keep(row, ref={}, name="")


def _posted(row: Digest, board: Board, place: Place, told: Waiting, *, now: datetime) -> Ref:
    """A message of its own. What was turned away at the door leaves nothing to look for."""
    if not told.total:
        return {}
    is_first = not row.name
    name = _announced(row, now=now, sent_at=now)
    try:
        return board.digest(place, None, told, name=name)
    except TransportError as error:
        if is_first and error.retry_after is not None:
            _keep(row, name="")
        raise


def _send(row: Digest, transport: Transport, place: Place, told: Waiting, *, newest: int, now: datetime) -> None:
    """What cannot be changed is sent at most once in a window; the rest waits for the next."""
    if not _is_old(row, now=now) and row.sent_at is not None:
        due = row.sent_at + settings.COUNTERSIGN.attention_window
        payload = {"tenant": row.tenant_id, "kind": row.kind, "key": row.place_key}
        enqueue(DIGEST, payload, run_at=due, dedupe=f"{DIGEST}:{row.pk}:{due.timestamp()}", tenant=row.tenant.slug)
        return
    with pauses.honoured(row.tenant_id, row.kind):
        called = _letters_name(_announced(row, now=now), newest)
        transport.say(Place(place.kind, place.key, {**place.config, CALLED: called}), plain.letter(told))
    _keep(row, name="", says=_fingerprint(told), newest=newest, sent_at=now)


def _is_old(row: Digest, *, now: datetime) -> bool:
    return row.sent_at is None or now >= row.sent_at + settings.COUNTERSIGN.attention_window


# --- the row


def _announced(row: Digest, *, now: datetime, **more: object) -> Name:
    """The message's name, in the row before anything is sent; what it says is unknown until that is answered."""
    named = {} if row.name else {"name": ids.new("dgs"), "named_at": now}
    _keep(row, says="", **named, **more)
    return _name(row)


def _name(row: Digest) -> Name:
    assert row.named_at is not None
    return Name(row.name, row.named_at)


def _letters_name(name: Name, newest: int) -> str:
    """Another one for a letter that tells of something new: readers show what has one name once."""
    return f"dgs_{hashlib.sha256(f'{name.id} {newest}'.encode()).hexdigest()[:26]}"


def _keep(row: Digest, **changes: object) -> None:
    """In the row and in the one at hand. Raises pump.Later where it was ours for too long: another tells it now."""
    if not Digest.objects.filter(pk=row.pk, lease=row.lease).update(**changes):
        raise pump.Later(_SOON)
    for name, value in changes.items():
        setattr(row, name, value)


def _config(row: Digest) -> Mapping[str, Any]:
    """Of the place as it was last told there."""
    of_place = Delivery.objects.filter(tenant_id=row.tenant_id, kind=row.kind, place_key=row.place_key)
    last = of_place.order_by("-pk").first()
    return last.config if last else {}


def _title(request: AccessRequest) -> str:
    said = scrubbed.raw(f"{request.tool_id} {request.method} by {request.agent_id}").text
    return plain.line(said, most=_TITLE)


def _fingerprint(told: Waiting) -> str:
    said = json.dumps([told.total, [one.link for one in told.items]])
    return hashlib.sha256(said.encode()).hexdigest()
