"""What is connected in, whether it works and what to do out: for `doctor` and for administrators."""

from collections.abc import Iterator
from dataclasses import dataclass

from connectors import accounts, entering, kinds, scrubbed
from connectors.models import Access, Delivery, State
from connectors.plain import moment
from connectors.port import Account, TransportError
from evidence import keys
from registry.models import Channel, Tenant


@dataclass(frozen=True, slots=True)
class Health:
    """One sentence about one tenant's access to one system, or about its channels."""

    tenant: str
    kind: str
    ok: bool
    text: str


def of_all() -> Iterator[Health]:
    """Every tenant's. Each account is tried over the network, one after the other."""
    try:
        accounts.check_environment()
    except accounts.TenantNotNamed as error:
        yield Health("", "environment", ok=False, text=str(error))
    for tenant in Tenant.objects.order_by("slug"):
        yield from of_tenant(tenant)


def of_tenant(tenant: Tenant) -> Iterator[Health]:
    """Its accounts, then channels that nobody connected, then what was given up."""
    connected = accounts.kinds_of(tenant)
    for kind in sorted(connected):
        yield _account(tenant, kind)
    yield from _waiting(tenant)
    yield from _channels(tenant, connected)
    dead = Delivery.objects.filter(tenant=tenant, state=State.DEAD).count()
    if dead:
        text = f"{dead} deliveries were given up. Look at them under Deliveries, mend the cause, send them again."
        yield Health(tenant.slug, "deliveries", ok=False, text=text)


def _waiting(tenant: Tenant) -> Iterator[Health]:
    """What was entered and does not count yet: nobody should wonder why."""
    for row in Access.objects.filter(tenant=tenant).order_by("kind"):
        if waits := entering.waiting(row):
            text = f"Other credentials, entered by {waits.by}, count from {moment(waits.counts_from)}, or once another"
            yield Health(tenant.slug, row.kind, ok=True, text=f"{text} administrator confirms them.")


def _account(tenant: Tenant, kind: str) -> Health:
    try:
        account = accounts.account(tenant, kind)
        ok, text = _tried(account) if account else (False, "Its credentials went a moment ago.")
    except keys.CannotUnseal:
        ok, text = False, "Its credentials cannot be opened with this service's key. Enter them again."
    return Health(tenant.slug, kind, ok=ok, text=text)


def _tried(account: Account) -> tuple[bool, str]:
    try:
        return True, scrubbed.raw(kinds.open_(account).check()).text
    except (TransportError, kinds.UnknownKind) as error:
        return False, scrubbed.raw(str(error)).text


def _channels(tenant: Tenant, connected: frozenset[str]) -> Iterator[Health]:
    """A channel whose system is not connected is told nothing, and nobody would notice."""
    rows = Channel.objects.filter(tenant=tenant).order_by("kind", "key")
    for kind, key in rows.values_list("kind", "key"):
        if kind not in kinds.KINDS:
            yield Health(tenant.slug, kind, ok=False, text=f"Channel {key}: this version has no connector for {kind}.")
        elif kind not in connected:
            text = f"Channel {key} is told nothing: {kind} is not connected. Its teams are asked in the inbox only."
            yield Health(tenant.slug, kind, ok=False, text=text)
