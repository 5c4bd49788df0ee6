"""Key id in, the world of its tenant out: what this process judges with, reachable without a query or a lock.

Staleness is harmless here. The transaction that records a decision compares epochs, and what was judged in an older
world is judged again before its answer leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from approvals.waivers import live
from countersign.policy.bundle import Bundle
from countersign.policy.globs import Memo
from countersign.policy.waivers import Waivers
from enforcement import blocking
from enforcement.blocking import Unsettled
from registry import releases, snapshot
from registry.snapshot import KeyView, Snapshot

REMEMBERED = 8192


@dataclass(frozen=True, slots=True)
class World:
    """A snapshot, and what every answer under it repeats."""

    snapshot: Snapshot
    tenant: str
    tenant_id: int
    epoch: int
    bundle: Bundle
    policy: Mapping[str, Any]
    registry: Mapping[str, Any]
    waivers: Waivers
    used_up: Waivers
    """Waivers without a use left: an answer that one gave may have been lost."""
    unsettled: Unsettled
    """What may have run already: nobody knows how it ended, and no person has said yet."""
    memo: Memo[Any] = field(default_factory=lambda: Memo(REMEMBERED), compare=False, repr=False)
    """What was worked out of the snapshot alone. Not state: it is gone with the snapshot, and worked out again."""


class NoWorld(Exception):
    """A tenant whose policy or registry cannot be vouched for is served nothing."""


_worlds: dict[str, World] = {}
_tenants: dict[str, str] = {}  # key id → tenant; only ever says where to look


def known(key_id: str) -> tuple[KeyView, World] | None:
    """From memory alone. None: ask `learn`, which may take a query."""
    world = _worlds.get(_tenants.get(key_id, ""))
    if world is None:
        return None
    view = world.snapshot.keys.get(key_id)
    return None if view is None else (view, world)


def learn(key_id: str) -> tuple[KeyView, World] | None:
    """Look a key up. None if there is no such live key. Blocking. Raises NoWorld."""
    try:
        tenant = snapshot.tenant_of(key_id)
        if tenant is None:
            return None
        world = _remember(snapshot.current(tenant))
    except (snapshot.UnknownTenant, releases.ReleaseRefused) as error:
        raise NoWorld(str(error)) from error
    view = world.snapshot.keys.get(key_id)
    if view is None:
        return None
    _tenants[key_id] = tenant
    return view, world


def renew(tenant: str, epoch: int) -> World:
    """The world at `epoch` or later. Blocking. Raises NoWorld."""
    world = _worlds.get(tenant)
    if world is not None and world.epoch >= epoch:
        return world
    try:
        return _remember(snapshot.at_least(tenant, epoch))
    except (snapshot.UnknownTenant, releases.ReleaseRefused) as error:
        _worlds.pop(tenant, None)
        raise NoWorld(str(error)) from error


def forget() -> None:
    """Drop everything; the next question looks it up again."""
    _worlds.clear()
    _tenants.clear()


def _remember(found: Snapshot) -> World:
    world = _worlds.get(found.tenant)
    if world is None or world.snapshot is not found:
        world = _worlds[found.tenant] = build(found, before=world)
    return world


def build(found: Snapshot, *, before: World | None = None) -> World:
    """The world of one snapshot. Waivers are read only if they changed since the world `before`."""
    same = before if before is not None and before.snapshot.waiver_revision == found.waiver_revision else None
    return World(
        snapshot=found,
        tenant=found.tenant,
        tenant_id=found.tenant_id,
        epoch=found.epoch,
        bundle=found.bundle,
        policy={"revision": found.release_revision, "digest": found.release_digest},
        registry={"revision": found.registry_revision},
        waivers=same.waivers if same else live.load(found.tenant_id),
        used_up=same.used_up if same else live.used_up(found.tenant_id),
        unsettled=blocking.of_tenant(found.tenant_id),
    )
