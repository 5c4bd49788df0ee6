"""An execution whose end nobody knows, and a person who looked, in; what became of it, as one fact, out. Blocking.

Who asked for the call, whom it was for and who owns its agent do not say what came of it: theirs is the interest that
the block stands against. It gives no budget back; that takes a verifier.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.db import transaction

from approvals import separation
from approvals.models import AccessRequest
from countersign import ids
from countersign.proof import digests
from countersign.proof.events import Event
from enforcement import executions
from enforcement.allowed import Allowed, of_record
from enforcement.models import Custody, Execution, Reconciliation
from evidence import ledger
from evidence.ledger import Actor
from registry import changes
from registry.models import Membership, Role, Tenant

MAY: Final = frozenset({Role.ADMIN.value, Role.OPERATOR.value})
OUTCOMES: Final = (Custody.COMMITTED, Custody.FAILED)
MAX_WORDS: Final = 2000


class UnknownExecution(LookupError):
    """No such execution in this tenant. Another tenant's is as unknown as none."""


class NotIndeterminate(Exception):
    """There is nothing to reconcile: its end is known, or still to come. `status` is where it stands."""

    def __init__(self, evaluation_id: str, status: str) -> None:
        super().__init__(f"{evaluation_id} is {status}")
        self.status = status


class NotAuthorized(Exception):
    """Only operators and administrators reconcile."""


class Partial(Exception):
    """The person is on the side that asked for the call."""


def reconcile(
    evaluation_id: str, *, by: Membership, outcome: Custody, reason: str, evidence: str, now: datetime
) -> Reconciliation:
    """Say once whether the call took effect. The action may be asked for again from the next call on.

    The same person saying the same in the same words gets what is there: whose answer was lost says it again. Raises
    NotAuthorized, UnknownExecution, NotIndeterminate, Partial.
    """
    if not may(by):
        raise NotAuthorized(by.user.username)
    found = of_tenant(evaluation_id, by.tenant)
    with transaction.atomic():
        asked = executions.request_of(found.request_id, tenant_id=by.tenant_id)
        allowed = _allowed(found, by.tenant)
        if by.user.human_id in parties(found, allowed, asked, tenant=by.tenant):
            raise Partial(evaluation_id)
        waiting = Execution.objects.filter(pk=evaluation_id, status=Custody.INDETERMINATE)
        if not waiting.update(status=outcome):
            said = Reconciliation.objects.filter(execution_id=evaluation_id, by=by, outcome=outcome)
            if (known := said.filter(reason=reason, evidence=evidence).first()) is not None:
                return known
            raise NotIndeterminate(evaluation_id, Execution.objects.get(pk=evaluation_id).status)
        made = Reconciliation.objects.create(
            id=ids.new("rec"), execution_id=evaluation_id, by=by, outcome=outcome, reason=reason, evidence=evidence,
            made_at=now,
        )  # fmt: skip
        executions.record(
            Event.EXECUTION_RECONCILED, allowed, tenant=by.tenant.slug, event_id=made.pk, now=now,
            actor=Actor("person", by.user.username), execution=_told(made),
        )  # fmt: skip
        executions.announce(asked)
        changes.bump(by.tenant, registry=False)
    return made


def may(member: Membership) -> bool:
    """Whether this member's roles let them reconcile at all."""
    return bool(MAY & set(member.roles))


def is_party(found: Execution, member: Membership) -> bool:
    """Whether the member is on the side that asked for this call."""
    asked = AccessRequest.objects.filter(pk=found.request_id, tenant_id=found.tenant_id).first()
    return member.user.human_id in parties(found, _allowed(found, member.tenant), asked, tenant=member.tenant)


def of_tenant(evaluation_id: str, tenant: Tenant) -> Execution:
    """Raises UnknownExecution."""
    found = Execution.objects.filter(pk=evaluation_id, tenant=tenant).first()
    if found is None:
        raise UnknownExecution(evaluation_id)
    return found


def parties(found: Execution, allowed: Allowed, asked: AccessRequest | None, *, tenant: Tenant) -> frozenset[int]:
    """The humans on the asking side: of the request or the waiver, of the agent or person that called, and whom the
    call was for.
    """
    others = separation.excluded(asked) if asked is not None else frozenset()
    for_whom = () if found.principal_human_id is None else (found.principal_human_id,)
    return others.union(for_whom, _who_called(allowed, tenant))


def _who_called(allowed: Allowed, tenant: Tenant) -> Iterator[int]:
    agent, subject = allowed.action.get("agent"), allowed.action.get("subject")
    owner = separation.owner_of(agent, tenant_id=tenant.pk) if agent else None
    person = separation.human_named(tenant, subject["id"]) if subject else None
    yield from (human.pk for human in (owner, person) if human is not None)


def _allowed(found: Execution, tenant: Tenant) -> Allowed:
    return of_record(ledger.find(tenant.slug, found.pk) or {})


def _told(made: Reconciliation) -> dict[str, str]:
    """Words may quote what must be erasable, so that the record has their digests alone."""
    return {
        "evaluation_id": made.execution_id,
        "status": made.outcome,
        "custody": Custody.INDETERMINATE.value,
        "reason_digest": digests.sha256(made.reason.encode()),
        "evidence_digest": digests.sha256(made.evidence.encode()),
    }
