"""A name and a URL in, a registered callback and the secret that signs what is sent there out, shown once."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from approvals.models import Callback
from connectors.webhook import signing
from evidence import keys
from evidence.ledger import Actor
from outbox import outward
from registry import changes
from registry.models import Credential, Tenant

KIND = "callback"
MAX_NAME = 100


class NameTaken(ValueError):
    """A callback of this name is registered."""


class UnknownCallback(LookupError):
    """No callback of this name is registered."""


def add(tenant: Tenant, *, name: str, url: str, credential: Credential | None, actor: Actor, now: datetime) -> str:
    """Register and record it; the secret is answered once. Raises NameTaken, reachable.Forbidden."""
    outward.parse(url)
    secret = signing.new_secret()
    with transaction.atomic():
        changes.lock(tenant)
        if Callback.objects.filter(tenant=tenant, name=name, removed_at__isnull=True).exists():
            raise NameTaken(name)
        row = Callback.objects.create(
            tenant=tenant, name=name, url=url, credential=credential, created_at=now,
            secret=keys.seal(secret.encode(), bound_to=place(tenant.slug, name)),
        )  # fmt: skip
        changes.recorded(
            tenant, kind=KIND, key=name, actor=actor, now=now, before=None, after=_described(row)
        )  # fmt: skip
    return secret


def remove(tenant: Tenant, *, name: str, actor: Actor, now: datetime) -> None:
    """Nothing more is sent there, nor what waits to be. Recorded. Raises UnknownCallback."""
    with transaction.atomic():
        changes.lock(tenant)
        row = live(tenant, name)
        row.removed_at = now
        row.save(update_fields=["removed_at"])
        changes.recorded(tenant, kind=KIND, key=name, actor=actor, now=now, before=_described(row), after=None)


def live(tenant: Tenant, name: str) -> Callback:
    """Raises UnknownCallback."""
    found = Callback.objects.select_related("credential", "tenant").filter(
        tenant=tenant, name=name, removed_at__isnull=True
    )
    row = found.first()
    if row is None:
        raise UnknownCallback(name)
    return row


def all_of(tenant: Tenant) -> Sequence[Callback]:
    """The registered ones, by name."""
    rows = Callback.objects.select_related("credential").filter(tenant=tenant, removed_at__isnull=True)
    return list(rows.order_by("name"))


def secret_of(callback: Callback) -> str:
    """Raises keys.CannotUnseal on a row changed by hand."""
    return keys.unseal(bytes(callback.secret), bound_to=place(callback.tenant.slug, callback.name)).decode()


def place(tenant: str, name: str) -> str:
    """What a secret is bound to: one moved to another row does not open."""
    return f"approvals/callback/{tenant}/{name}"


def _described(row: Callback) -> dict[str, str]:
    """For evidence, which cannot be erased: a query may hold a token, so of the URL only where it leads."""
    target = outward.parse(row.url)
    return {
        "to": f"{target.scheme}://{target.authority}",
        "credential": row.credential.key_id if row.credential else "",
    }  # fmt: skip
