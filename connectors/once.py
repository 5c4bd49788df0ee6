"""A key in, True for the first who brings it out: what other systems deliver twice counts once."""

from datetime import datetime, timedelta
from hashlib import sha256

from django.db import connection

from connectors.models import Seen

KEPT = timedelta(days=30)  # longer than any of them redelivers
_LONGEST = 200
_INSERT = "INSERT INTO connectors_seen (kind, key, seen_at) VALUES (%s, %s, %s) ON CONFLICT (kind, key) DO NOTHING"


def first(kind: str, key: str, *, now: datetime) -> bool:
    """True exactly once for each kind and key. In a transaction it counts only if that commits.

    Two at once stand behind the unique row: the second waits for the first's commit, and is first if that rolls back.
    """
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [kind, _short(key), connection.ops.adapt_datetimefield_value(now)])
        return bool(cursor.rowcount == 1)


def happened(kind: str, key: str) -> bool:
    """Whether somebody was first."""
    return Seen.objects.filter(kind=kind, key=_short(key)).exists()


def _short(key: str) -> str:
    return key if len(key) <= _LONGEST else f"sha256:{sha256(key.encode('utf-8', 'replace')).hexdigest()}"


def forget_old(now: datetime) -> int:
    """Delete what nobody redelivers any more; how many rows went."""
    return Seen.objects.filter(seen_at__lt=now - KEPT).delete()[0]
