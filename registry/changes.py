"""The one door for changing what exists: revision and epoch rise and the difference is recorded, with the row itself.

Call it inside the transaction that writes the row. Raising the epoch updates the tenant's row, which is also the lock
under which changes of one tenant follow each other.
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection

from countersign.proof import digests
from countersign.proof.events import Event
from evidence import ledger
from evidence.ledger import Actor
from evidence.ledger import NoTransaction as NoTransaction
from registry.models import Tenant

MAX_THREAD = 200
CREDENTIAL = "credential"
PERSON = "person"

_BUMP = (
    "UPDATE registry_tenant SET epoch = epoch + 1, registry_revision = registry_revision + %s,"
    " waiver_revision = waiver_revision + %s WHERE id = %s RETURNING epoch, registry_revision"
)
_OPAQUE = frozenset({"arguments_schema", "properties", "config", "jwks"})  # other people's keys, not ours: shown whole
_RIGHTS = frozenset({"roles", "teams", "active"})


def recorded(
    tenant: Tenant,
    *,
    kind: str,
    key: str,
    actor: Actor,
    now: Any,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    """Raise the epoch and record what is different about one row. Nothing happens if nothing is.

    `before` is None for a new row, `after` for one that is gone; both are `registry.describe` mappings, never secrets.
    """
    if difference(before, after) or (before is None) != (after is None):
        bump(tenant, registry=kind != CREDENTIAL)
        record(tenant, kind=kind, key=key, actor=actor, now=now, before=before, after=after)


def record(
    tenant: Tenant,
    *,
    kind: str,
    key: str,
    actor: Actor,
    now: Any,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    """The record alone, for a caller that changes many rows under one `bump`."""
    changes = difference(before, after)
    verb = "added" if before is None else "removed" if after is None else "changed"
    ledger.append(
        _event(kind, before, after, changes),
        tenant=tenant.slug,
        thread=thread(kind, key),
        actor=actor,
        now=now,
        detail={"kind": kind, "key": key, "verb": verb, "changes": changes},
    )


def bump(tenant: Tenant, *, registry: bool = True, waivers: bool = False) -> int:
    """Raise the tenant's epoch (and what else changed) and hold its row until commit. Answers the new epoch."""
    if not connection.in_atomic_block:
        raise NoTransaction("an epoch rises inside the transaction of the change it stands for")
    with connection.cursor() as cursor:
        cursor.execute(_BUMP, [int(registry), int(waivers), tenant.pk])
        epoch, revision = cursor.fetchone()
    tenant.epoch, tenant.registry_revision = epoch, revision
    return int(epoch)


def lock(tenant: Tenant) -> Tenant:
    """The tenant's row as it is now, held until commit: what is compared to it cannot change meanwhile."""
    return Tenant.objects.select_for_update().get(pk=tenant.pk)


def thread(kind: str, key: str) -> str:
    """The ledger thread of one row's history."""
    name = f"registry:{kind}:{key}"
    return name if len(name) <= MAX_THREAD else f"registry:{kind}:{digests.sha256(key.encode())}"


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """`{"approval.quorum": {"before": 2, "after": 3}, …}`; a side that had no such member is left out."""
    old, new = _flat(before or {}), _flat(after or {})
    return {
        name: {side: values[name] for side, values in (("before", old), ("after", new)) if name in values}
        for name in sorted(old.keys() | new.keys())
        if name not in old or name not in new or old[name] != new[name]
    }


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, member in value.items():
        if isinstance(member, Mapping) and member and name not in _OPAQUE:
            flat.update(_flat(member, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = member
    return flat


def _event(
    kind: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, changes: Mapping[str, Any]
) -> Event:
    if kind == CREDENTIAL:
        return Event.CREDENTIAL_ISSUED if before is None else Event.CREDENTIAL_REVOKED
    if kind == PERSON and before is not None and after is not None and _RIGHTS & changes.keys():
        return Event.ROLE_CHANGED
    return Event.REGISTRY_CHANGED
