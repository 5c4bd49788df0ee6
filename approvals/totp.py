"""A login and a code in, passed or refused out. All state is in the database: a cache may be flushed at any time.

RFC 6238, six digits, thirty seconds, SHA-1 as every authenticator has it; one step of tolerance each way. Attempts on
one device stand behind its row, so neither a step nor a failure is counted twice or lost.
"""

import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from django.db import transaction

from approvals.models import RecoveryCode, TotpDevice
from evidence import keys
from registry.models import User

STEP = 30
TOLERANCE = 1
DIGITS = 6
FREE_FAILURES = 5  # the delay begins after these
LONGEST_LOCK = timedelta(minutes=15)
DISABLED_AT = 100  # NIST SP 800-63B: consecutive failures before the authenticator is disabled
RECOVERY_LABEL = "approvals/recovery-code"


class NotPassed(Exception):
    """The second factor did not hold."""


class NoDevice(NotPassed):
    """The person has no confirmed authenticator, or it was disabled."""


class Barred(NoDevice):
    """The authenticator was disabled after too many wrong codes: only an operator gives another."""


class WrongCode(NotPassed):
    """Not the code of this moment; counted as a failure."""


class CodeUsed(NotPassed):
    """The right code, but it or a later one was used already: a lost race or a replay, not a failure."""


class Locked(NotPassed):
    """Too many failures; no code is looked at before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"locked until {until.isoformat()}")
        self.until = until


class NotYetUsable(NotPassed):
    """The authenticator was enrolled a moment ago and counts from `since`."""

    def __init__(self, since: datetime) -> None:
        super().__init__(f"usable from {since.isoformat()}")
        self.since = since


@dataclass(frozen=True, slots=True)
class Passed:
    """A code held. `method` is totp or recovery."""

    device_id: int
    method: str


def verify(user: User, code: str, *, now: datetime) -> Passed:
    """Check a code and use it up. Raises NoDevice, NotYetUsable, Locked, WrongCode, CodeUsed.

    Must not run inside a transaction: a failure has to stay counted although this raises.
    """
    with transaction.atomic(durable=True):
        device = _usable(user, now=now)
        step = matching_step(secret_of(device), code, now=now)
        refusal = _failed(device, now=now) if step is None else _advanced(device, step)
    if refusal:
        raise refusal
    return Passed(device.pk, "totp")


def verify_recovery(user: User, code: str, *, now: datetime) -> Passed:
    """Use up a recovery code instead: same device, same throttle, same errors."""
    with transaction.atomic(durable=True):
        device = _usable(user, now=now)
        codes = RecoveryCode.objects.filter(user=user, code_hash=recovery_hash(user, code))
        refusal: NotPassed | None = None
        if codes.filter(used_at__isnull=True).update(used_at=now):
            TotpDevice.objects.filter(pk=device.pk).update(failures=0, locked_until=None)
        elif codes.exists():
            refusal = CodeUsed("this recovery code was used before")
        else:
            refusal = _failed(device, now=now)
    if refusal:
        raise refusal
    return Passed(device.pk, "recovery")


def verify_any(user: User, code: str, *, now: datetime) -> Passed:
    """A code of either sort in one field: six digits are a code of this moment, anything else a recovery code."""
    text = normalised(code)
    looks_like_totp = len(text) == DIGITS and text.isdecimal()
    return verify(user, code, now=now) if looks_like_totp else verify_recovery(user, code, now=now)


def live_since(user: User) -> datetime | None:
    """When the person's present authenticator was confirmed; None without one."""
    device = TotpDevice.objects.filter(user=user, confirmed_at__isnull=False, disabled_at__isnull=True).first()
    return device.confirmed_at if device else None


def counts_from(user: User, *, now: datetime) -> datetime | None:
    """From when the present authenticator counts, in whole seconds if that is to come; None without one."""
    live = TotpDevice.objects.filter(user=user, confirmed_at__isnull=False, disabled_at__isnull=True)
    at = live.values_list("usable_from", flat=True).first()
    return whole_second(at) if at and at > now else at


def whole_second(at: datetime) -> datetime:
    """Rounded up: what is told in whole seconds must not be too early."""
    return at + timedelta(microseconds=-at.microsecond % 1_000_000)


def barred(user: User) -> bool:
    """Whether the last authenticator was disabled by wrong codes: whoever guessed must not enrol the next one."""
    last = TotpDevice.objects.filter(user=user, confirmed_at__isnull=False).order_by("-confirmed_at", "-pk").first()
    return last is not None and last.disabled_at is not None and last.failures >= DISABLED_AT


# --- codes


def normalised(code: str) -> str:
    """Full-width digits, spaces and the dash people type are the same code."""
    text = unicodedata.normalize("NFKC", code)
    return "".join(character for character in text if not character.isspace() and character != "-")


def matching_step(secret: str, code: str, *, now: datetime) -> int | None:
    """The time step whose code this is, within the tolerance; the newest if (once in a million) two have it."""
    wanted = normalised(code)
    current = int(now.timestamp()) // STEP
    totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP)
    found = None
    for step in range(current - TOLERANCE, current + TOLERANCE + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), wanted.encode()):
            found = step
    return found


def recovery_hash(user: User, code: str) -> bytes:
    """What is stored of a recovery code."""
    return keys.mac(RECOVERY_LABEL, f"{user.pk}:{normalised(code).lower()}".encode())


def secret_of(device: TotpDevice) -> str:
    """The base32 seed. It opens for this user and device only."""
    return keys.unseal(bytes(device.secret), bound_to=place(device)).decode()


def place(device: TotpDevice) -> str:
    """What a seed is bound to."""
    return f"totp:{device.user_id}:{device.pk}"


# --- one attempt, behind the device's row


def _usable(user: User, *, now: datetime) -> TotpDevice:
    """The live device, held until the attempt is counted."""
    live = TotpDevice.objects.select_for_update().filter(
        user=user, confirmed_at__isnull=False, disabled_at__isnull=True
    )
    device = live.first()
    if device is None or device.usable_from is None:
        raise NoDevice("no authenticator")
    if now < device.usable_from:
        raise NotYetUsable(device.usable_from)
    if device.locked_until is not None and now < device.locked_until:
        raise Locked(device.locked_until)
    return device


def _advanced(device: TotpDevice, step: int) -> NotPassed | None:
    """The step moves forward and the failures are forgotten in one UPDATE, or the code was used before."""
    newer = TotpDevice.objects.filter(pk=device.pk, last_step__lt=step, disabled_at__isnull=True)
    if newer.update(last_step=step, failures=0, locked_until=None):
        return None
    return CodeUsed("this code or a later one was used already")


def _failed(device: TotpDevice, *, now: datetime) -> NotPassed:
    failures = device.failures + 1
    until = now + lock_after(failures)
    changes = {"failures": failures, "locked_until": until if until > now else None}
    if failures >= DISABLED_AT:
        changes["disabled_at"] = now
    TotpDevice.objects.filter(pk=device.pk).update(**changes)
    return WrongCode("not the code of this moment")


def lock_after(failures: int) -> timedelta:
    """Nothing below five failures, then one second, doubling, at most fifteen minutes."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(failures - FREE_FAILURES, 20)), LONGEST_LOCK)
