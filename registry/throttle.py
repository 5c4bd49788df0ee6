"""A name and a moment in, whether a secret tried under it may be looked at now out. All state is in the database.

Names that exist and names that do not are counted alike, so that waiting tells a stranger nothing. Each kind of secret
has names of its own: what somebody types in a chat neither bars nor clears anybody's sign-in.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction

from evidence import keys
from registry.models import PasswordTries

FREE_FAILURES = 5  # the wait begins after these
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)


class Tried(StrEnum):
    """What is tried: a password under a user name, or a linking code under an account of another system."""

    PASSWORD = "registry/password-tries"
    LINKING_CODE = "registry/linking-code-tries"


class Waiting(Exception):
    """Too many wrong ones under this name; none is looked at before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"waits until {until.isoformat()}")
        self.until = until


def admit(name: str, *, now: datetime, tried: Tried = Tried.PASSWORD) -> None:
    """Count a try before its secret is looked at, so that tries at once are not one. Raises Waiting."""
    name_hash = _hash(name, tried)
    _forget(now)
    with transaction.atomic():
        PasswordTries.objects.get_or_create(name_hash=name_hash, defaults={"last_at": now})
        row = PasswordTries.objects.select_for_update().get(name_hash=name_hash)
        if row.locked_until is not None and now < row.locked_until:
            raise Waiting(row.locked_until)
        row.failures += 1
        wait = wait_after(row.failures)
        row.locked_until = now + wait if wait else None  # never "until now": another's now is a moment earlier
        row.last_at = now
        row.save(update_fields=["failures", "locked_until", "last_at"])


def clear(name: str, *, tried: Tried = Tried.PASSWORD) -> None:
    """The secret was right: what was counted against the name is forgotten."""
    PasswordTries.objects.filter(name_hash=_hash(name, tried)).delete()


def wait_after(failures: int) -> timedelta:
    """Nothing below five, then one second, doubling, at most a quarter of an hour."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(failures - FREE_FAILURES, 20)), LONGEST_WAIT)


def _forget(now: datetime) -> None:
    """Made-up names must not fill the table: a day after its last try a row goes."""
    PasswordTries.objects.filter(last_at__lt=now - FORGOTTEN_AFTER).delete()


def _hash(name: str, tried: Tried) -> bytes:
    """User names are lower case; what differs only in case is one name here."""
    return keys.mac(tried, name.strip().casefold().encode(errors="replace"))
