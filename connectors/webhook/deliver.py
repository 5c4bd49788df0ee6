"""A job in, one callback told how its task ended out: the ARAP task document, signed; tried until it was taken."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from approvals import callbacks, handle, lifecycle
from approvals.models import AccessRequest, Callback, CallbackWish
from connectors.deliver import InTransaction
from connectors.port import TransportError
from connectors.webhook import outward, reachable, registering, signing
from connectors.webhook.notify import TELL
from countersign.proof import canonical
from countersign.proof.events import Event
from evidence import clock
from evidence.journal import timestamp
from evidence.ledger import Actor
from outbox import pump
from outbox.queue import handler

GIVEN_UP_AFTER = timedelta(hours=24)
_LONGEST_WAIT = timedelta(minutes=30)
_AGENT = "countersign-callback/1"
_SYSTEM = Actor(type="system", id="connectors")


@handler(TELL)
def tell(payload: Mapping[str, Any]) -> None:
    """Send it, unless who registered it may not hear it any more. It may arrive twice, and its id tells."""
    if connection.in_atomic_block:
        raise InTransaction(TELL)
    callback = Callback.objects.select_related("tenant", "credential").get(pk=payload["callback"])
    if not callbacks.is_live(callback):
        return
    request = AccessRequest.objects.select_related("tenant").get(pk=payload["request"])
    now = clock.now()
    body = canonical.dumps(document(callback, request))
    try:
        status, wait = outward.post(
            callback.url, body, headers=_headers(callback, request, payload["id"], body, now=now),
            allowed=reachable.networks(settings.COUNTERSIGN.callback_networks),
        )  # fmt: skip
        _judge(status, wait, waiting_since=request.closed_at or now, now=now)
    except (reachable.Forbidden, pump.Permanent) as error:
        _record(Event.NOTIFICATION_FAILED, callback, request, why=str(error))
        raise pump.Permanent(str(error)) from error
    _record(Event.NOTIFICATION_SENT, callback, request)


def document(callback: Callback, request: AccessRequest) -> dict[str, Any]:
    """What its credential would be told if it asked, and the state it gave us; never more."""
    brief = callback.credential is not None and callback.credential.brief
    told = handle.document(request, base_url=settings.COUNTERSIGN.base_url, brief=brief)
    wish = CallbackWish.objects.filter(request=request, callback=callback).first()
    return {**told, "state": wish.state} if wish is not None and wish.state else told


def _headers(
    callback: Callback, request: AccessRequest, identifier: str, body: bytes, *, now: datetime
) -> dict[str, str]:
    """CloudEvents in binary mode: the body stays what the access request profile wants it to be."""
    return {
        "content-type": "application/json",
        "user-agent": _AGENT,
        "ce-specversion": "1.0",
        "ce-id": identifier,
        "ce-source": settings.COUNTERSIGN.base_url,
        "ce-type": f"countersign.request.{request.status}",
        "ce-subject": request.pk,
        "ce-time": timestamp(request.closed_at or now),
        signing.HEADER: signing.header(body, secret=registering.secret_of(callback), at=now),
    }


def _judge(status: int, wait: str, *, waiting_since: datetime, now: datetime) -> None:
    """2xx is taken. 410 wants no more of it. A redirect is not followed; who moved registers anew."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status == HTTPStatus.GONE or now - waiting_since >= GIVEN_UP_AFTER:
        raise pump.Permanent(f"answered {status}")
    if wait.isdecimal() and status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise pump.Later(min(timedelta(seconds=max(int(wait[:9]), 1)), _LONGEST_WAIT))
    raise TransportError(f"answered {status}")


def _record(event: Event, callback: Callback, request: AccessRequest, **more: str) -> None:
    with transaction.atomic():
        locked = lifecycle.locked(request.pk, tenant_id=request.tenant_id)
        detail = {"kind": "webhook", "place": callback.name, **more}
        lifecycle.record(event, locked, actor=_SYSTEM, now=clock.now(), detail=detail)
