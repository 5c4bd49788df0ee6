"""A webhook's bytes in, a job to look for ourselves out: what it says happened is a hint and decides nothing."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from connectors import once
from connectors.models import Delivery
from connectors.port import Account
from outbox.queue import enqueue

KIND = "jira"
LOOK = "connectors.jira.look"
ATTEMPTS = 60  # with pauses of ten minutes at most: longer than any outage of theirs
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_ID = re.compile(r"[0-9]{1,20}")


class NotSigned(Exception):
    """No signature of any account's secret. It tells nobody why."""


class NotUnderstood(ValueError):
    """Signed, but not the JSON that Jira sends."""


def mac_of(signature: str) -> str:
    """The MAC that the header carries. Raises NotSigned for what can be nobody's, before anything is read or opened.

    https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks
    """
    given = _SIGNATURE.fullmatch(signature)
    if given is None:
        raise NotSigned
    return given[1]


def senders(accounts: Iterable[Account], *, mac: str, body: bytes) -> list[Account]:
    """The accounts whose secret signed these very bytes, normally one. Raises NotSigned."""
    signed = [one for one in accounts if _is_of(one.settings.get("webhook_secret", ""), mac, body)]
    if not signed:
        raise NotSigned
    return signed


def issue_of(body: bytes) -> str | None:
    """Id of the issue it is about; None if it is about none. Raises NotUnderstood."""
    try:
        told = json.loads(body)
        issue = told.get("issue")
        named = str(issue["id"]) if issue is not None else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotUnderstood from None
    return named if named and _ID.fullmatch(named) else None


def take(account: Account, *, issue: str, names: Sequence[str], now: datetime) -> bool:
    """Whether there was something new to look at: the note that it came and the job commit together.

    None of `names` may have come before. An issue that is not one of ours concerns nobody.
    """
    rows = Delivery.objects.filter(tenant_id=account.tenant_id, kind=KIND, remote_id=issue)
    with transaction.atomic():
        delivery = rows.values_list("pk", flat=True).first()
        if delivery is None or not all(once.first(KIND, f"{account.tenant_id}:{name}", now=now) for name in names):
            return False
        enqueue(LOOK, {"delivery": delivery}, tenant=account.tenant, max_attempts=ATTEMPTS)
    return True


def names_of(identifier: str, body: bytes) -> Sequence[str]:
    """The bytes' own name, then Jira's for the delivery, the same on each retry.

    Only the bytes are signed: without theirs, who replays one under ever new names would have us read for ever.
    """
    own = f"sha256:{hashlib.sha256(body).hexdigest()}"
    return (own, f"id:{identifier}") if identifier else (own,)


def _is_of(secret: str, given: str, body: bytes) -> bool:
    """An empty secret signs nothing: anybody could compute it."""
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return bool(secret) and hmac.compare_digest(wanted, given)
