"""Who vouches, and for whom, in; the one tenant that believes it, and the credential that stands for the caller, out.

A token or a certificate brings no row with it, but evidence, attempts and approvals speak of credentials: the first
time an issuer vouches for an agent, a credential is made that stands for the two, recorded like any other. To revoke
it is to turn this workload away for good; to switch the issuer off turns all of its workloads away.
"""

from datetime import datetime

from django.db import transaction

from evidence.ledger import Actor
from registry import changes, credentials, describe
from registry.models import Credential, CredentialKind, Issuer, Tenant

_SYSTEM = Actor(type="system", id="registry")


class TurnedAway(Exception):
    """The credential that stands for this workload was revoked, or its issuer switched off meanwhile."""


def tenant_of(kind: str, issuer: str, audience: str) -> tuple[str, int] | None:
    """The tenant that believes this issuer for this audience, and its epoch; there is one at most. One query."""
    believed = Issuer.objects.filter(kind=kind, issuer=issuer, audience=audience, active=True)
    return believed.values_list("tenant__slug", "tenant__epoch").first()


def admit(issuer_id: int, agent_id: str, *, now: datetime) -> str:
    """The key id of the credential that stands for this agent by this issuer, made if it is new. Raises TurnedAway."""
    with transaction.atomic():
        tenant = changes.lock(Tenant.objects.get(issuers__pk=issuer_id))
        issuer = Issuer.objects.get(pk=issuer_id)
        row = Credential.objects.filter(issuer=issuer, name=agent_id).first()
        if not issuer.active or (row is not None and row.revoked_at is not None):
            raise TurnedAway
        return row.key_id if row else _made(tenant, issuer, agent_id, now=now)


def _made(tenant: Tenant, issuer: Issuer, agent_id: str, *, now: datetime) -> str:
    row = Credential.objects.create(
        tenant=tenant,
        kind=CredentialKind.AGENT,
        key_id=credentials.new_id(),
        secret_hash=b"",
        name=agent_id,
        agents=[agent_id],
        issuer=issuer,
        brief=True,
        created_at=now,
    )
    changes.recorded(
        tenant, kind=changes.CREDENTIAL, key=row.key_id, actor=_SYSTEM, now=now,
        before=None, after=describe.credential(row),
    )  # fmt: skip
    return row.key_id
