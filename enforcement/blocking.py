"""An execution whose end nobody knows in; its action denied from the next call on, and people told, not flooded, out.

A key that leaves many such ends gets a few words of its own to people, then one for all of them an hour. An agent whose
own key leaves `MOST` open is denied everything: nothing it claims then can cost anybody more.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db.models import QuerySet

from enforcement.models import Execution
from evidence import alerts
from evidence.ledger import Actor
from registry import changes
from registry.models import CredentialKind, Tenant

UNKNOWN_END: Final = "outcome.indeterminate"
UNKNOWN_ENDS: Final = "outcomes.coalesced"
TOLD: Final = 5  # unknown ends of one key within `WINDOW`, each with an alert of its own
WINDOW: Final = timedelta(hours=1)
MOST: Final = 20  # left open by an agent's own key
_SYSTEM: Final = Actor("system", "enforcement")


class Unsettled(NamedTuple):
    """What waits for a person's word: digests of actions that are not to be repeated, agents that are to do nothing."""

    actions: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()


def of_tenant(tenant_id: int) -> Unsettled:
    """Everything that is denied for it."""
    rows = Execution.unsettled(tenant_id).values_list(
        "action_digest", "credential_id", "credential__kind", "credential__agents"
    )
    actions, left, agents = set(), Counter[int](), set()
    for digest, credential_id, kind, own in rows:
        actions.add(digest)
        left[credential_id] += 1
        if kind == CredentialKind.AGENT and left[credential_id] >= MOST:
            agents.update(own)
    return Unsettled(frozenset(actions), frozenset(agents))


def block(row: Execution, action: Mapping[str, Any], *, tenant: Tenant, now: datetime) -> None:
    """Let nobody repeat the action, and tell those who can find out what became of it. In the caller's transaction.

    The tenant's row last, as everywhere. Where the action is not known, nothing is blocked and nobody called.
    """
    if not row.action_digest:
        return
    _tell(row, action, tenant=tenant, now=now)
    changes.lock(tenant)  # whoever reconciles another meanwhile comes before this is counted, or finds it
    if not _is_denied_everything(row):
        changes.bump(tenant, registry=False)


def _is_denied_everything(row: Execution) -> bool:
    """Whether its agent was before, so that no world need learn of it now: the reconciliation that frees it tells."""
    others = _of_key(row).exclude(pk=row.pk)
    return row.credential.kind == CredentialKind.AGENT and others[:MOST].count() == MOST


def _tell(row: Execution, action: Mapping[str, Any], *, tenant: Tenant, now: datetime) -> None:
    ends = _of_key(row).filter(finished_at__gt=now - WINDOW).count()
    if ends <= TOLD:
        about = {"evaluation": row.pk, "action": dict(action)}
        alerts.fire(UNKNOWN_END, tenant=tenant.slug, actor=_SYSTEM, now=now, detail=about)
        return
    key = row.credential.key_id
    lately = alerts.latest(tenant.slug, since=now - WINDOW)
    if any(one.name == UNKNOWN_ENDS and one.detail["credential"] == key for one in lately):
        return
    detail = {
        "credential": key, "kind": row.credential.kind, "name": row.credential.name, "ends": ends,
        "window_seconds": int(WINDOW.total_seconds()),
    }  # fmt: skip
    alerts.fire(UNKNOWN_ENDS, tenant=tenant.slug, actor=_SYSTEM, now=now, detail=detail)


def _of_key(row: Execution) -> QuerySet[Execution]:
    return Execution.unsettled(row.tenant_id).filter(credential_id=row.credential_id)
