"""A call of the instance's business rule in, a job to look for ourselves out: a call is a hint and decides nothing."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from connectors import once
from connectors.port import Account
from outbox.queue import enqueue

KIND = "servicenow"
LOOK = "connectors.servicenow.look"
LATE = timedelta(minutes=5)
_STAMP = re.compile(r"[1-9][0-9]{9}")
_SIGNATURE = re.compile(r"v1=([A-Za-z0-9+/]{43}=)")
_SYS_ID = re.compile(r"[0-9a-f]{32}")
_NAME = 200
_MOST = 2**31


class NotSigned(Exception):
    """No signature of any account's secret, or not of now: it tells nobody why."""


class NotUnderstood(ValueError):
    """Signed, but not what the documented rule sends."""


@dataclass(frozen=True, slots=True)
class Hint:
    """An approval that was answered: which, at which of its changes, and by whom, as the rule saw it."""

    sys_id: str
    mod_count: int
    updated_by: str


def mac_of(*, stamp: str, signature: str) -> bytes:
    """The MAC that the headers carry. Raises NotSigned for what can be nobody's, before anything is read or opened."""
    given = _SIGNATURE.fullmatch(signature)
    if given is None or not _STAMP.fullmatch(stamp):
        raise NotSigned
    try:
        return base64.b64decode(given[1], validate=True)
    except binascii.Error:
        raise NotSigned from None


def check_time(stamp: str, *, now: datetime) -> None:
    """Raises NotSigned for a signature that is not of now."""
    if abs(now.timestamp() - int(stamp)) > LATE.total_seconds():
        raise NotSigned


def senders(accounts: Iterable[Account], *, mac: bytes, stamp: str, body: bytes) -> list[Account]:
    """The accounts whose secret signed it, normally one. Raises NotSigned.

    Over `timestamp.body`, base64 as the platform's `generateMac` gives it. Each secret is tried, in constant time each.
    """
    signed = [account for account in accounts if _is_of(account.settings.get("webhook_secret", ""), mac, stamp, body)]
    if not signed:
        raise NotSigned
    return signed


def parse(body: bytes) -> Hint:
    """Raises NotUnderstood."""
    try:
        told = json.loads(body)
        sys_id, count, name = told["sys_id"], int(told["mod_count"]), told["updated_by"]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise NotUnderstood from None
    if not isinstance(sys_id, str) or not _SYS_ID.fullmatch(sys_id) or not 0 <= count < _MOST:
        raise NotUnderstood
    if not isinstance(name, str) or not name.isprintable() or len(name) > _NAME:
        raise NotUnderstood
    return Hint(sys_id, count, name)


def take(account: Account, hint: Hint, *, now: datetime) -> bool:
    """Whether this was new: the note that it was seen and the job commit together, so that neither is lost alone."""
    with transaction.atomic():
        if not once.first(KIND, f"{account.tenant_id}:{hint.sys_id}:{hint.mod_count}", now=now):
            return False
        payload = {
            "tenant": account.tenant_id, "sys_id": hint.sys_id, "mod_count": hint.mod_count,
            "updated_by": hint.updated_by, "at": now.isoformat(),
        }  # fmt: skip
        enqueue(LOOK, payload, tenant=account.tenant)
    return True


def _is_of(secret: str, mac: bytes, stamp: str, body: bytes) -> bool:
    """An empty secret signs nothing: anybody could compute it."""
    if not secret:
        return False
    wanted = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).digest()
    return hmac.compare_digest(wanted, mac)
