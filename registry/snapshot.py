"""Tenant in, the one immutable snapshot this process judges with out; replaced whole, rebuilt only in what changed.

Readers take no lock: a snapshot is published by one assignment. A change committed while one is being built leaves
that one labelled with the older epoch, so whoever compares epochs asks again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import connection
from django.db.models import Q

from countersign.policy import bundle as bundles
from countersign.policy.bundle import Bundle
from registry import releases, rows
from registry.models import Credential, Issuer, Tenant

MAX_STRANGERS = 4096
STRANGER_SECONDS = 1.0


class UnknownTenant(LookupError):
    """No tenant of that slug."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """A live credential as the hot path needs it. Revoked ones are absent; `expires_at` is the reader's to compare."""

    id: int
    key_id: str
    tenant: str
    tenant_id: int
    kind: str
    secret_hash: bytes
    agents: tuple[str, ...]
    subjects: tuple[str, ...]
    scopes: tuple[str, ...]
    brief: bool
    expires_at: datetime | None
    issuer_id: int | None = None
    method: str = "bearer"  # how its callers prove themselves, as evidence says it


@dataclass(frozen=True, slots=True)
class IssuerView:
    """An issuer that is believed, as its row says; `agent` is whom a certificate's identity speaks as."""

    id: int
    name: str
    tenant: str
    kind: str
    issuer: str
    audience: str
    jwks: Mapping[str, Any]
    jwks_url: str
    algorithms: tuple[str, ...]
    agent_claim: str
    principal_claim: str
    max_lifetime: int  # seconds
    agent: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one tenant is judged with, at one epoch. `release_revision` 0: no policy, everything is denied."""

    tenant: str
    tenant_id: int
    epoch: int
    bundle: Bundle
    release_revision: int
    release_digest: str
    registry_revision: int
    waiver_revision: int
    keys: Mapping[str, KeyView]
    issuers: Mapping[tuple[str, str, str], IssuerView]  # by kind, issuer and audience
    standing: Mapping[tuple[int, str], str]  # by issuer and agent, the id of the key that stands for them
    keep_arguments: bool
    max_open_requests: int


_snapshots: dict[str, Snapshot] = {}
_tenant_of_key: dict[str, str] = {}  # replaced with the snapshots; only ever says where to look
_strangers: OrderedDict[str, float] = OrderedDict()  # key ids that did not exist a moment ago
_building: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def current(tenant: str) -> Snapshot:
    """From memory, else built. Raises UnknownTenant, releases.ReleaseRefused."""
    return _snapshots.get(tenant) or at_least(tenant, 0)


def at_least(tenant: str, epoch: int) -> Snapshot:
    """The snapshot in memory if it is of this epoch or later, else a new one. Raises as `current`.

    A tenant whose release is refused loses its snapshot: nothing is judged by what the database no longer vouches for.
    """
    known = _snapshots.get(tenant)
    if known and known.epoch >= epoch:
        return known
    with _lock_of(tenant):
        known = _snapshots.get(tenant)
        if known and known.epoch >= epoch:
            return known
        return _rebuilt(tenant, known)


def tenant_of(key_id: str) -> str | None:
    """Whose key this is, and that tenant's snapshot knows it; None for a stranger.

    A new key works at once: what memory does not know is looked up, and a snapshot that lacks it is rebuilt. A stranger
    is remembered for a second, so that one misconfigured caller does not become one query a call; key ids are random,
    so nobody can get a key that does not exist yet remembered as a stranger.
    """
    tenant = _tenant_of_key.get(key_id)
    if tenant is not None:
        return tenant
    if _strangers.get(key_id, 0.0) > time.monotonic():
        return None
    found = (
        Credential.objects.filter(key_id=key_id, revoked_at__isnull=True)
        .values_list("tenant__slug", "tenant__epoch")
        .first()
    )
    if found is None:
        _remember_stranger(key_id)
        return None
    tenant, epoch = found
    at_least(tenant, epoch)
    return tenant


def forget(tenant: str | None = None) -> None:
    """Drop what is in memory, of one tenant or of all; the next question builds it again."""
    with _guard:
        for slug in [tenant] if tenant else list(_snapshots):
            gone = _snapshots.pop(slug, None)
            for key_id in gone.keys if gone else ():
                _tenant_of_key.pop(key_id, None)
        _strangers.clear()


def _lock_of(tenant: str) -> threading.Lock:
    with _guard:
        return _building.setdefault(tenant, threading.Lock())


def _rebuilt(slug: str, known: Snapshot | None) -> Snapshot:
    try:
        built = _build(slug, known)
    except (UnknownTenant, releases.ReleaseRefused):
        forget(slug)
        raise
    # Inside a transaction it may hold changes that are rolled back, under an epoch that another change will get.
    if not connection.in_atomic_block:
        _publish(built, known)
    return built


def _publish(built: Snapshot, known: Snapshot | None) -> None:
    with _guard:
        for key_id in known.keys if known else ():
            if key_id not in built.keys:
                _tenant_of_key.pop(key_id, None)
        _tenant_of_key.update(dict.fromkeys(built.keys, built.tenant))
        _snapshots[built.tenant] = built


def _build(slug: str, known: Snapshot | None) -> Snapshot:
    # The epoch is read first: whatever is read after it is at least as new.
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        with _guard:
            _building.pop(slug, None)
        raise UnknownTenant(slug)
    bundle, digest = _bundle(tenant, known)
    keys = _keys(tenant)
    return Snapshot(
        tenant=slug,
        tenant_id=tenant.pk,
        epoch=tenant.epoch,
        bundle=bundle,
        release_revision=tenant.policy_revision,
        release_digest=digest,
        registry_revision=tenant.registry_revision,
        waiver_revision=tenant.waiver_revision,
        keys=keys,
        issuers=_issuers(tenant),
        standing={(one.issuer_id, one.agents[0]): one.key_id for one in keys.values() if one.issuer_id is not None},
        keep_arguments=tenant.keep_arguments,
        max_open_requests=tenant.max_open_requests,
    )


def _bundle(tenant: Tenant, known: Snapshot | None) -> tuple[Bundle, str]:
    """The dear part, only where it changed: for keys nothing, for the registry its tools, for a release its rules."""
    if known is None or known.release_revision != tenant.policy_revision:
        release = releases.load(tenant, not_below=known.release_revision if known else 0)
        policy, digest = releases.compiled(release, tenant=tenant.slug), release.digest if release else ""
        if known is None:
            return bundles.build(policy, rows.registry(tenant), epoch=tenant.epoch), digest
        bundle = bundles.with_policy(known.bundle, policy, epoch=tenant.epoch)
    else:
        bundle, digest = bundles.with_epoch(known.bundle, tenant.epoch), known.release_digest
    if known.registry_revision != tenant.registry_revision:
        bundle = bundles.with_registry(bundle, rows.registry(tenant))
    return bundle, digest


def _keys(tenant: Tenant) -> Mapping[str, KeyView]:
    believed = Q(issuer__isnull=True) | Q(issuer__active=True)
    live = Credential.objects.filter(believed, tenant=tenant, revoked_at__isnull=True).select_related("issuer")
    return MappingProxyType({row.key_id: _view(row, tenant) for row in live})


def _view(row: Credential, tenant: Tenant) -> KeyView:
    return KeyView(
        id=row.pk,
        key_id=row.key_id,
        tenant=tenant.slug,
        tenant_id=tenant.pk,
        kind=row.kind,
        secret_hash=bytes(row.secret_hash),
        agents=tuple(row.agents),
        subjects=tuple(row.subjects),
        scopes=tuple(row.scopes),
        brief=row.brief,
        expires_at=row.expires_at,
        issuer_id=row.issuer_id,
        method=row.issuer.kind if row.issuer else "bearer",
    )


def _issuers(tenant: Tenant) -> Mapping[tuple[str, str, str], IssuerView]:
    active = Issuer.objects.filter(tenant=tenant, active=True).select_related("agent")
    return MappingProxyType({(row.kind, row.issuer, row.audience): _issuer(row, tenant) for row in active})


def _issuer(row: Issuer, tenant: Tenant) -> IssuerView:
    return IssuerView(
        id=row.pk,
        name=row.issuer_id,
        tenant=tenant.slug,
        kind=row.kind,
        issuer=row.issuer,
        audience=row.audience,
        jwks=row.jwks,
        jwks_url=row.jwks_url,
        algorithms=tuple(row.algorithms),
        agent_claim=row.agent_claim,
        principal_claim=row.principal_claim,
        max_lifetime=row.max_lifetime,
        agent=row.agent.agent_id if row.agent else "",
    )


def _remember_stranger(key_id: str) -> None:
    with _guard:
        _strangers[key_id] = time.monotonic() + STRANGER_SECONDS
        while len(_strangers) > MAX_STRANGERS:
            _strangers.popitem(last=False)
