"""One-time sign-in links: made for a login, good once and for minutes, kept as a keyed hash."""

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from countersign.proof.events import Event
from evidence import keys, ledger
from evidence.ledger import Actor
from registry import changes
from registry.models import SignInLink, User

LIFETIME = timedelta(minutes=15)
PATH = "/sign-in/link/"

_LABEL = "registry/sign-in-link"


class TooLong(ValueError):
    """A link lives no longer than fifteen minutes."""


def issue(user: User, *, actor: Actor, now: datetime, lifetime: timedelta = LIFETIME) -> str:
    """A new link's token, shown once; each tenant the login belongs to keeps a record of it. Raises TooLong."""
    if not timedelta(0) < lifetime <= LIFETIME:
        raise TooLong(f"a sign-in link lives at most {LIFETIME}")
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        SignInLink.objects.create(user=user, token_hash=_hash(token), expires_at=now + lifetime)
        for membership in user.memberships.filter(active=True).select_related("tenant"):
            ledger.append(
                Event.CREDENTIAL_ISSUED,
                tenant=membership.tenant.slug,
                thread=changes.thread(changes.PERSON, user.username),
                actor=actor,
                now=now,
                detail={"kind": "sign_in_link", "person": user.username, "seconds": int(lifetime.total_seconds())},
            )
    return token


def address(token: str) -> str:
    """The link itself. Opening it shows a button; only pressing that uses it, so that previews do not."""
    return f"{settings.COUNTERSIGN.base_url}{PATH}{token}"


def whose(token: str, *, now: datetime) -> User | None:
    """Whom an unused link that is still good would sign in; looking uses nothing up."""
    return _user(_live(token, now=now))


def redeem(token: str, *, now: datetime) -> User | None:
    """The login of an unused link that is still good, and the link is used; None for every other token."""
    # One UPDATE whose filter is the guard: of two clicks at once, one finds no row left. It names columns of this table
    # alone: with a join it becomes `id IN (SELECT …)`, which PostgreSQL does not ask again after waiting for the row.
    if not _live(token, now=now).update(used_at=now):
        return None
    return _user(SignInLink.objects.filter(token_hash=_hash(token)))


def _live(token: str, *, now: datetime) -> QuerySet[SignInLink]:
    return SignInLink.objects.filter(token_hash=_hash(token), used_at__isnull=True, expires_at__gt=now)


def _user(links: QuerySet[SignInLink]) -> User | None:
    """Whose link it is, if they may still sign in."""
    return User.objects.filter(sign_in_links__in=links, is_active=True, is_service=False).first()


def _hash(token: str) -> bytes:
    return keys.mac(_LABEL, token.encode())
