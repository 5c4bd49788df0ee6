"""A code made in somebody's own session in, their Slack account bound to them out: offered there, confirmed here.

No link in a chat binds anything: whoever opened it would be bound to whoever sent it. The code is made on our page and
typed in Slack, where the answer names whose it is; then our page names the Slack account, and only a press there binds
the two.
"""

import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from connectors.models import Linking
from connectors.slack.clicks import Person
from connectors.slack.signature import KIND
from evidence import keys
from evidence.ledger import Actor
from registry import people, throttle
from registry.models import Membership
from registry.throttle import Tried

GOOD_FOR = timedelta(minutes=5)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: nothing to misread
_LENGTH = 8  # forty bits, for five minutes, behind a throttle
_MISREAD = str.maketrans("oil", "011")
_LABEL = "connectors/slack/linking"
_SHOWN = 200


class UnknownCode(LookupError):
    """No code that waits to be typed: never made, typed before, too old, or another tenant's."""


class LinkingOver(Exception):
    """What was offered is confirmed already, too old, or replaced by a newer code."""


def begin(membership: Membership, *, now: datetime) -> str:
    """A code for this member to type in Slack, shown once. Earlier ones of theirs are worth nothing any more."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    with transaction.atomic():
        Linking.objects.filter(membership=membership, kind=KIND, confirmed_at__isnull=True).delete()
        Linking.objects.create(
            id=_id(code), tenant_id=membership.tenant_id, membership=membership, kind=KIND, identity="", shown_as="",
            created_at=now, expires_at=now + GOOD_FOR,
        )  # fmt: skip
    return f"{code[:4]}-{code[4:]}"


def offer(tenant_id: int, code: str, person: Person, *, now: datetime) -> Membership:
    """Note which Slack account typed the code, once, and answer whose code it is. Raises UnknownCode, throttle.Waiting.

    Wrong codes are counted against the Slack account that types them.
    """
    name = f"{KIND} {person.identity}"
    throttle.admit(name, now=now, tried=Tried.LINKING_CODE)
    typed = _open(now).filter(pk=_id(code), tenant_id=tenant_id, identity="")
    shown = person.shown_as[:_SHOWN]
    if not typed.update(identity=person.identity, shown_as=shown, expires_at=now + GOOD_FOR):
        raise UnknownCode
    throttle.clear(name, tried=Tried.LINKING_CODE)
    return Linking.objects.select_related("membership__user").get(pk=_id(code)).membership


def offered(membership: Membership, *, now: datetime) -> Linking | None:
    """The Slack account that typed this member's code and waits for their word."""
    return _open(now).filter(membership=membership).exclude(identity="").first()


def confirm(linking_id: str, membership: Membership, *, now: datetime) -> str:
    """Bind what was offered to its member, at their own word; the identity. Raises LinkingOver, IdentityTaken."""
    with transaction.atomic():
        mine = _open(now).filter(pk=linking_id, membership=membership).exclude(identity="")
        if not mine.update(confirmed_at=now):
            raise LinkingOver
        identity = Linking.objects.get(pk=linking_id).identity
        people.set_identity(membership, KIND, identity, actor=_actor(membership), now=now)
    return identity


def forget(membership: Membership, *, now: datetime) -> None:
    """Nobody in Slack is this member any more."""
    people.set_identity(membership, KIND, None, actor=_actor(membership), now=now)


def _open(now: datetime) -> QuerySet[Linking]:
    return Linking.objects.filter(kind=KIND, confirmed_at__isnull=True, expires_at__gt=now)


def _id(code: str) -> str:
    """What is kept of a code; as people type it: any case, dashes, spaces, o for 0."""
    typed = "".join(character for character in code.lower() if character.isalnum()).translate(_MISREAD)
    return f"lnk_{keys.mac(_LABEL, typed.encode('utf-8', 'replace'))[:16].hex()}"


def _actor(membership: Membership) -> Actor:
    return Actor("person", membership.user.username)
