"""Keys of machines and people: shown once, kept as a keyed hash, compared in constant time, dead at revocation."""

import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import TYPE_CHECKING

from django.db import transaction

from evidence import keys
from evidence.ledger import Actor
from registry import changes, describe
from registry.models import Credential, CredentialKind, Membership, Tenant

if TYPE_CHECKING:
    from registry.snapshot import KeyView

READ, VOTE = "read", "vote"
SCOPES = frozenset({READ, VOTE})
ID_LENGTH, SECRET_LENGTH = 12, 43  # 62 and 256 bits
ANY_AGENT = "**"

_ALPHABET = string.ascii_letters + string.digits
_ID_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"csk_(agent|pep|verifier|person)_([a-z0-9]{12})_([A-Za-z0-9]{32,64})\Z")
_LABEL = "registry/credential"


class BadReach(ValueError):
    """A credential asked to reach what its kind cannot: the message says which and what to give instead."""


class AlreadyRevoked(Exception):
    """The credential is dead already."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A token somebody showed, taken apart and not yet believed."""

    kind: str
    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Presented({self.kind} key {self.key_id})"


def issue(
    tenant: Tenant,
    *,
    kind: str,
    name: str,
    actor: Actor,
    now: datetime,
    agents: Sequence[str] = (),
    subjects: Sequence[str] = (),
    scopes: Sequence[str] = (),
    membership: Membership | None = None,
    brief: bool | None = None,
    expires_at: datetime | None = None,
) -> str:
    """A new key, `csk_<kind>_<id>_<secret>`: the only time anybody sees it. Raises BadReach.

    An agent key speaks for the one agent in `agents`; a PEP key for agent globs and `type:glob` subjects (any agent if
    neither is given); a person's key reads, and votes only if `scopes` says so. `brief` hides rule ids and risk from
    the answers and is the default for agents.
    """
    kind = CredentialKind(kind)
    _check_giver(scopes, membership, actor)
    row = Credential(
        tenant=tenant,
        kind=kind,
        key_id=new_id(),
        name=name,
        agents=_agents(kind, agents, subjects),
        subjects=_subjects(kind, subjects),
        scopes=_scopes(kind, scopes),
        membership=_membership(kind, tenant, membership),
        brief=kind == CredentialKind.AGENT if brief is None else brief,
        created_at=now,
        expires_at=expires_at,
    )
    secret = _random(_ALPHABET, SECRET_LENGTH)
    row.secret_hash = _hash(Presented(kind, row.key_id, secret))
    with transaction.atomic():
        row.save(force_insert=True)
        changes.recorded(
            tenant, kind=changes.CREDENTIAL, key=row.key_id, actor=actor, now=now,
            before=None, after=describe.credential(row),
        )  # fmt: skip
    return f"csk_{kind}_{row.key_id}_{secret}"


def revoke(credential: Credential, *, actor: Actor, now: datetime) -> None:
    """Kill a key; the next request with it is refused. Raises AlreadyRevoked."""
    before = describe.credential(credential)
    with transaction.atomic():
        if not Credential.objects.filter(pk=credential.pk, revoked_at__isnull=True).update(revoked_at=now):
            raise AlreadyRevoked(f"key {credential.key_id} is revoked already")
        credential.revoked_at = now
        changes.recorded(
            credential.tenant, kind=changes.CREDENTIAL, key=credential.key_id, actor=actor, now=now,
            before=before, after=describe.credential(credential),
        )  # fmt: skip


def new_id() -> str:
    """The public part of a credential, by which evidence calls it."""
    return _random(_ID_ALPHABET, ID_LENGTH)


def parse(token: str) -> Presented | None:
    """The parts of a token, or None if it cannot be one of ours."""
    found = _TOKEN.match(token)
    return Presented(found[1], found[2], found[3]) if found else None


def matches(presented: Presented, view: "KeyView") -> bool:
    """Whether the secret is that of the key, in time that does not depend on where it differs."""
    return compare_digest(_hash(presented), view.secret_hash) and presented.kind == view.kind


def authenticate(token: str, *, now: datetime) -> Credential | None:
    """The live credential behind a token, from the database; None for a stranger, a dead key or a wrong secret.

    For people's pages and API. The hot path compares against its snapshot instead, with `matches`.
    """
    presented = parse(token)
    if presented is None:
        return None
    row = (
        Credential.objects.select_related("tenant", "membership__user")
        .filter(key_id=presented.key_id, kind=presented.kind, revoked_at__isnull=True)
        .first()
    )
    if row is None or not compare_digest(_hash(presented), bytes(row.secret_hash)):
        return None
    return row if row.expires_at is None or row.expires_at > now else None


def _hash(presented: Presented) -> bytes:
    return keys.mac(_LABEL, f"{presented.kind}_{presented.key_id}_{presented.secret}".encode())


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _agents(kind: CredentialKind, agents: Sequence[str], subjects: Sequence[str]) -> list[str]:
    if kind == CredentialKind.AGENT:
        if len(agents) != 1:
            raise BadReach("an agent key speaks for exactly one agent")
        return list(agents)
    if kind == CredentialKind.PEP:
        return list(agents) or ([] if subjects else [ANY_AGENT])
    if agents:
        raise BadReach(f"a {kind} key speaks for no agent")
    return []


def _subjects(kind: CredentialKind, subjects: Sequence[str]) -> list[str]:
    if subjects and kind != CredentialKind.PEP:
        raise BadReach(f"a {kind} key speaks for no subjects; only a PEP key may")
    for subject in subjects:
        type_, colon, glob = subject.partition(":")
        if not (type_ and colon and glob):
            raise BadReach(f"{subject!r}: subjects are written type:glob, such as user:*")
    return list(subjects)


def _scopes(kind: CredentialKind, scopes: Sequence[str]) -> list[str]:
    if kind != CredentialKind.PERSON:
        if scopes:
            raise BadReach("only a person's key has scopes")
        return []
    if unknown := set(scopes) - SCOPES:
        raise BadReach(f"no such scope: {', '.join(sorted(unknown))}; there are {', '.join(sorted(SCOPES))}")
    return sorted(set(scopes) | {READ})


def _check_giver(scopes: Sequence[str], membership: Membership | None, actor: Actor) -> None:
    """An administrator who could make others' voting keys would be every approver at once (no role approves)."""
    by_another = actor.type == "person" and membership is not None and membership.user.username != actor.id
    if VOTE in scopes and by_another:
        raise BadReach("a key that votes is issued by its own person, or at the console")


def _membership(kind: CredentialKind, tenant: Tenant, membership: Membership | None) -> Membership | None:
    if (kind == CredentialKind.PERSON) != (membership is not None):
        raise BadReach("a person's key needs its member, and no other key has one")
    if membership and membership.tenant_id != tenant.pk:
        raise BadReach("the person is no member of this tenant")
    return membership
