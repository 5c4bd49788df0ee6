"""A person and a moment in, an authenticator out: seed shown once, confirmed with a code, counting after a while."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyotp
import segno
from django.conf import settings
from django.db import transaction

from approvals import totp
from approvals.issuing import timestamp
from approvals.models import RecoveryCode, TotpDevice
from countersign.proof.events import Event
from evidence import keys, ledger
from evidence.ledger import Actor
from registry import changes
from registry.models import Membership, User

ISSUER = "Countersign"
RECOVERY_CODES = 10
_SECRET_LENGTH = 32  # base32 characters: 160 bits
_GROUPS = 4
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: nothing to misread; 5 bits a character


class AlreadyEnrolled(Exception):
    """There is a live authenticator; a code of it must speak for its replacement."""


class WrongFirstCode(Exception):
    """The new authenticator does not show the code it should: the seed was not taken over, or its clock is off."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the person sees once. Never printed, logged or stored as it stands here."""

    device_id: int
    secret: str = field(repr=False)
    uri: str = field(repr=False)

    @property
    def qr(self) -> str:
        """The provisioning URI as an SVG image for a `src` attribute; no script, no style, no network."""
        return segno.make(self.uri, micro=False).svg_data_uri(scale=5, border=2)


def begin(user: User, *, now: datetime) -> Enrolment:
    """A new seed, not yet counting for anything. Earlier unconfirmed ones are forgotten."""
    secret = pyotp.random_base32(_SECRET_LENGTH)
    with transaction.atomic():
        TotpDevice.objects.filter(user=user, confirmed_at__isnull=True).delete()
        device = TotpDevice.objects.create(user=user, secret=b"", created_at=now)
        device.secret = keys.seal(secret.encode(), bound_to=totp.place(device))
        device.save(update_fields=["secret"])
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=ISSUER)
    return Enrolment(device.pk, secret, uri)


def confirm(
    membership: Membership, device_id: int, code: str, *, current_code: str | None = None, now: datetime
) -> Sequence[str]:
    """Make the device the person's authenticator; answers the recovery codes, shown once.

    Where one is live already, `current_code` of it (or a recovery code) must speak for the change. Raises
    AlreadyEnrolled without one, WrongFirstCode, totp.NoDevice for a device that is not theirs, totp.Barred after
    too many wrong codes, and what `totp.verify_any` raises.
    """
    user = membership.user
    device = TotpDevice.objects.filter(pk=device_id, user=user, confirmed_at__isnull=True).first()
    if device is None:
        raise totp.NoDevice("no authenticator waits to be confirmed")
    step = totp.matching_step(totp.secret_of(device), code, now=now)
    if step is None:
        raise WrongFirstCode("the code is not the new authenticator's")
    if totp.live_since(user) is not None:
        if current_code is None:
            raise AlreadyEnrolled(user.username)
        totp.verify_any(user, current_code, now=now)
    elif totp.barred(user):
        raise totp.Barred(user.username)
    actor = Actor(type="person", id=user.username)
    return _install(device, membership, step=step, actor=actor, now=now)


def issue(membership: Membership, *, actor: Actor, now: datetime) -> Enrolment:
    """An authenticator confirmed by whoever stands at the machine, for a person without one. Raises AlreadyEnrolled."""
    if totp.live_since(membership.user) is not None:
        raise AlreadyEnrolled(membership.user.username)
    enrolment = begin(membership.user, now=now)
    device = TotpDevice.objects.get(pk=enrolment.device_id)
    _install(device, membership, step=0, actor=actor, now=now)
    return enrolment


def _install(device: TotpDevice, membership: Membership, *, step: int, actor: Actor, now: datetime) -> Sequence[str]:
    """Old device out, new one in, fresh recovery codes, one record; it counts after the cool-down."""
    user = membership.user
    usable_from = now + settings.COUNTERSIGN.enrolment_cooldown
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        live = TotpDevice.objects.filter(user=user, confirmed_at__isnull=False, disabled_at__isnull=True)
        replaced = live.update(disabled_at=now)
        waiting = TotpDevice.objects.filter(pk=device.pk, confirmed_at__isnull=True)
        if not waiting.update(confirmed_at=now, usable_from=usable_from, last_step=step):
            raise totp.NoDevice("no authenticator waits to be confirmed")
        RecoveryCode.objects.filter(user=user).delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(user=user, code_hash=totp.recovery_hash(user, code), created_at=now) for code in codes
        )
        ledger.append(
            Event.CREDENTIAL_ISSUED,
            tenant=membership.tenant.slug,
            thread=changes.thread("totp", user.username),
            actor=actor,
            now=now,
            detail={
                "kind": "totp", "key": str(device.pk), "person": user.username, "replaced": bool(replaced),
                "usable_from": timestamp(usable_from),
            },
        )  # fmt: skip
    return codes


def _recovery_code() -> str:
    """Eighty bits in four groups of four."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_GROUPS))
