"""Credentials entered by an administrator: recorded, told to the others, and counting after a while or a second yes.

Whoever may replace a signing secret, or the address that is believed, can answer for others. So what one person enters
waits, as long as another can undo it; what another confirms counts at once. Deleting closes a way in, and waits for
nobody; nor does who stands at the machine, where the environment could be changed as well.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from connectors import form, held
from connectors.held import Given, Held, Next
from connectors.models import Access
from countersign.proof.events import Event
from evidence import alerts, keys, ledger
from evidence.journal import timestamp
from evidence.ledger import Actor
from registry import changes
from registry.models import Tenant, User

KIND = "connector"
CHANGED = "connector.changed"


class NothingWaits(LookupError):
    """No change of these credentials waits: it counts already, was undone, or there was none."""


class OwnChange(Exception):
    """Who entered it does not confirm it, under whatever name they are signed in."""


def save(tenant: Tenant, kind: str, given: Mapping[str, str], *, actor: Actor, now: datetime) -> None:
    """Seal and keep a tenant's credentials in place of what was there; the change is recorded, no value of it.

    Raises form.BadSettings.
    """
    wanted = form.check(kind, given)
    with transaction.atomic():
        changes.lock(tenant)
        row = Access.objects.filter(tenant=tenant, kind=kind).first()
        there = _opened(row, tenant)
        waits = settings.COUNTERSIGN.connector_cooldown if actor.type == "person" else timedelta(0)
        if waits and wanted != there.settings:
            made = Held(there.settings, Next(wanted, now + waits, actor.id))
        else:
            made = Held(wanted)
        _keep(tenant, kind, made, now=now)
        before = None if row is None else _described(there)
        changes.recorded(tenant, kind=KIND, key=kind, actor=actor, now=now, before=before, after=_described(made))
        if made.next:
            _alert(tenant, kind, there.settings, made.next, actor=actor, now=now)


def undo(tenant: Tenant, kind: str, *, actor: Actor, now: datetime) -> None:
    """What waits will not count; recorded. Raises NothingWaits."""
    with transaction.atomic():
        there, _ = _waiting(tenant, kind)
        after = None
        if there.settings is None:
            Access.objects.filter(tenant=tenant, kind=kind).delete()
        else:
            after = Held(there.settings)
            _keep(tenant, kind, after, now=now)
        changes.recorded(
            tenant, kind=KIND, key=kind, actor=actor, now=now, before=_described(there),
            after=None if after is None else _described(after),
        )  # fmt: skip


def confirm(tenant: Tenant, kind: str, *, actor: Actor, now: datetime) -> None:
    """What another administrator entered counts at once; recorded. Raises NothingWaits, OwnChange."""
    with transaction.atomic():
        there, waits = _waiting(tenant, kind)
        if _human(waits.by) == _human(actor.id):
            raise OwnChange(waits.by)
        made = Held(waits.settings)
        _keep(tenant, kind, made, now=now)
        changes.recorded(
            tenant, kind=KIND, key=kind, actor=actor, now=now, before=_described(there), after=_described(made)
        )  # fmt: skip


def forget(tenant: Tenant, kind: str, *, actor: Actor, now: datetime) -> None:
    """Delete a tenant's credentials, recorded. What is there already stays told as it is."""
    with transaction.atomic():
        changes.lock(tenant)
        row = Access.objects.filter(tenant=tenant, kind=kind).first()
        if row is not None:
            row.delete()
            changes.recorded(tenant, kind=KIND, key=kind, actor=actor, now=now, before={}, after=None)


def waiting(row: Access) -> Next | None:
    """What waits in a row; nothing where it does not open."""
    return _opened(row, row.tenant).next


# --- inside


def _waiting(tenant: Tenant, kind: str) -> tuple[Held, Next]:
    """Under the tenant's lock: undone and confirmed at once is one of both."""
    changes.lock(tenant)
    there = _opened(Access.objects.filter(tenant=tenant, kind=kind).first(), tenant)
    if there.next is None:
        raise NothingWaits(kind)
    return there, there.next


def _opened(row: Access | None, tenant: Tenant) -> Held:
    """Nothing of a row that does not open, for entering anew is how it is mended."""
    try:
        return Held(None) if row is None else held.opened(row, tenant)
    except keys.CannotUnseal:
        return Held(None)


def _keep(tenant: Tenant, kind: str, made: Held, *, now: datetime) -> None:
    box = held.sealed(made, tenant, kind)
    Access.objects.update_or_create(tenant=tenant, kind=kind, defaults={"box": box, "updated_at": now})


def _human(username: str) -> int:
    return int(User.objects.values_list("human_id", flat=True).get(username=username))


def _described(there: Held) -> dict[str, str]:
    """Which settings there are and whether one changed; a keyed fingerprint, for evidence cannot be erased."""
    told = _fingerprints(there.settings or {})
    if there.next:
        told |= {f"next.{name}": value for name, value in _fingerprints(there.next.settings).items()}
        told["next.counts_from"] = timestamp(there.next.counts_from)
    return told


def _fingerprints(given: Given) -> dict[str, str]:
    return {name: keys.mac(f"connectors/{name}", value.encode())[:8].hex() for name, value in sorted(given.items())}


def _alert(tenant: Tenant, kind: str, before: Given | None, waits: Next, *, actor: Actor, now: datetime) -> None:
    """Evidence that something was loosened, and an alert, which the other administrators hear of."""
    detail = {
        "kind": kind, "by": waits.by, "counts_from": timestamp(waits.counts_from),
        "changed": sorted(name for name in {*(before or {}), *waits.settings} if _differs(name, before, waits)),
    }  # fmt: skip
    thread = changes.thread(KIND, kind)
    ledger.append(
        Event.CONFIG_WEAKENED, tenant=tenant.slug, thread=thread, actor=actor, now=now,
        detail={"setting": f"{KIND}.{kind}", **detail},
    )  # fmt: skip
    alerts.fire(CHANGED, tenant=tenant.slug, actor=actor, now=now, detail=detail)


def _differs(name: str, before: Given | None, waits: Next) -> bool:
    return (before or {}).get(name) != waits.settings.get(name)
