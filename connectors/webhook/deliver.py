"""A job in, one callback told how its task ended out: the ARAP task document, signed; tried until it was taken."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, NoReturn

from django.conf import settings
from django.db import connection, transaction

from approvals import callbacks, lifecycle
from approvals.models import Callback
from connectors import pauses
from connectors.deliver import InTransaction
from connectors.port import TransportError
from connectors.webhook import ended, registering, signing
from connectors.webhook.ended import Ended
from connectors.webhook.notify import TELL
from countersign.proof import canonical
from countersign.proof.events import Event
from evidence import clock
from evidence.journal import timestamp
from evidence.ledger import Actor
from outbox import outward, pump, reachable
from outbox.queue import handler

log = logging.getLogger(__name__)

GIVEN_UP_AFTER = timedelta(hours=24)
_LONGEST_WAIT = timedelta(minutes=30)
_AGENT = "countersign-callback/1"
_SYSTEM = Actor(type="system", id="connectors")


@handler(TELL)
def tell(payload: Mapping[str, Any]) -> None:
    """Send it, unless who registered it may not hear it any more. It may arrive twice, and its id tells.

    However it ends, a thread says so: told, refused for good, or given up after a day.
    """
    if connection.in_atomic_block:
        raise InTransaction(TELL)
    callback = Callback.objects.select_related("tenant", "credential").get(pk=payload["callback"])
    if not callbacks.is_live(callback):
        return
    told, now = ended.of(payload), clock.now()
    try:
        _send(callback, told, payload["id"], now=now)
    except (reachable.Forbidden, pump.Permanent) as error:
        _given_up(callback, told, why=str(error))
    except Exception as error:
        if not _is_too_late(told, now=now):
            raise
        log.warning("callback given up", extra={"callback": callback.pk, "error": type(error).__name__})
        _given_up(callback, told, why=_words(error))
    _record(Event.NOTIFICATION_SENT, callback, told)


def _send(callback: Callback, told: Ended, identifier: str, *, now: datetime) -> None:
    """Raises Forbidden and Permanent where no further try can help; anything else may pass.

    An endpoint that fails is left alone for all that waits for it, or it would keep the pump from everything else.
    """
    account = (callback.tenant_id, f"callback {callback.pk}")
    resting = pauses.left(*account)
    if resting and not _is_too_late(told, now=now):
        raise pump.Later(resting)
    body = canonical.dumps(document(callback, told, now=now))
    try:
        status, wait = outward.post(
            callback.url, body, headers=_headers(callback, told, identifier, body, now=now),
            allowed=reachable.networks(settings.COUNTERSIGN.callback_networks),
        )  # fmt: skip
        _judge(status, wait)
    except reachable.Forbidden:
        raise
    except reachable.Unreachable as error:
        pauses.failed(*account, after=None)
        raise TransportError(str(error)) from error
    except (TransportError, pump.Later) as error:
        pauses.failed(*account, after=error.after if isinstance(error, pump.Later) else None)
        raise
    pauses.worked(*account)


def _is_too_late(told: Ended, *, now: datetime) -> bool:
    return now - (told.at or now) >= GIVEN_UP_AFTER


def document(callback: Callback, told: Ended, *, now: datetime) -> dict[str, Any]:
    """What its credential would be told if it asked, and the state it gave us; never more."""
    brief = callback.credential is not None and callback.credential.brief
    body, state = told.document(brief=brief, now=now), callbacks.state_for(callback, told.task)
    return {**body, "state": state} if state else body


def _headers(callback: Callback, told: Ended, identifier: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """CloudEvents in binary mode: the body stays what the access request profile wants it to be."""
    return {
        "content-type": "application/json",
        "user-agent": _AGENT,
        "ce-specversion": "1.0",
        "ce-id": identifier,
        "ce-source": settings.COUNTERSIGN.base_url,
        "ce-type": f"countersign.request.{told.status}",
        "ce-subject": told.task.pk,
        "ce-time": timestamp(told.at or now),
        signing.HEADER: signing.header(body, secret=registering.secret_of(callback), at=now),
    }


def _judge(status: int, wait: str) -> None:
    """2xx is taken. 410 wants no more of it. A redirect is not followed; who moved registers anew."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status == HTTPStatus.GONE:
        raise pump.Permanent(f"answered {status}")
    if wait.isdecimal() and status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise pump.Later(min(timedelta(seconds=max(int(wait[:9]), 1)), _LONGEST_WAIT))
    raise TransportError(f"answered {status}")


def _given_up(callback: Callback, told: Ended, *, why: str) -> NoReturn:
    _record(Event.NOTIFICATION_FAILED, callback, told, why=why)
    raise pump.Permanent(why)


def _words(error: Exception) -> str:
    """Ours, where they are; of anything else only what it is."""
    match error:
        case TransportError():
            return str(error)
        case pump.Later():
            return "asked for more time for a day"
        case _:
            return f"unexpected: {type(error).__name__}"


def _record(event: Event, callback: Callback, told: Ended, **more: str) -> None:
    with transaction.atomic():
        locked = lifecycle.locked(told.request.pk, tenant_id=told.request.tenant_id)
        detail = {"kind": "webhook", "place": callback.name, **more}
        lifecycle.record(event, locked, actor=_SYSTEM, now=clock.now(), detail=detail, task=told.task.pk)
