"""Custody of what a PEP does with an allow: reserved → executing → committed, failed or indeterminate. Blocking.

`executing` is won by one UPDATE or one INSERT; a second claim loses, so a replayed allow cannot run twice. Spend comes
back only if the call never ran; after `executing` nothing that the caller says gives it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from approvals import lifecycle
from approvals.models import AccessRequest
from approvals.signals import Change
from countersign.proof.events import Event
from enforcement import caps
from enforcement.allowed import Allowed, decided, of_record
from enforcement.memory import World
from enforcement.models import Custody, Execution
from enforcement.moments import Moment
from enforcement.problems import Kind, Problem
from evidence import ledger
from evidence.ledger import Actor
from outbox.queue import enqueue
from registry.models import CredentialKind
from registry.snapshot import KeyView

REMINDER = "enforcement.custody"
OPEN = (Custody.RESERVED, Custody.EXECUTING)
_AFTER = {
    Custody.EXECUTING: (Custody.RESERVED,),
    Custody.COMMITTED: (Custody.EXECUTING,),
    Custody.FAILED: OPEN,
    Custody.INDETERMINATE: OPEN,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a PEP says. `key` marks repeats of this one report; `told` is the rest of it, kept beside the evidence."""

    evaluation_id: str
    status: Custody
    member: Mapping[str, Any]
    told: Mapping[str, Any]
    key: str = ""


def report(said: Report, *, key: KeyView, world: World, moment: Moment) -> Custody:
    """Take a report in. Answers where the execution stands now. Raises Problem: 403, 404, 409."""
    allowed = _allowed(said.evaluation_id, key, world)
    asked = request_of(allowed.request_id, tenant_id=world.tenant_id)
    row = Execution.objects.select_for_update().filter(pk=said.evaluation_id, tenant_id=world.tenant_id).first()
    if row is None:
        _first(said, allowed, key=key, world=world, moment=moment)
    elif _is_repeat(row, said):
        return Custody(row.status)
    else:
        _next(row, said, moment)
    if said.status is Custody.EXECUTING:
        remind(
            said.evaluation_id, tenant=world.tenant, status=Custody.EXECUTING,
            at=moment.now + settings.COUNTERSIGN.execution_limit,
        )  # fmt: skip
    elif said.status is Custody.FAILED and (row is None or row.status == Custody.RESERVED):
        _never_ran(key, world.tenant_id, allowed.charges, moment)
    actor = Actor(key.kind, key.key_id, {"method": "bearer"})
    member = {"evaluation_id": said.evaluation_id, **said.member}
    record(Event.EXECUTION_REPORTED, allowed, tenant=world.tenant, actor=actor, now=moment.now, execution=member)
    announce(asked)
    return said.status


def overdue(evaluation_id: str, status: Custody, *, now: datetime) -> datetime | None:
    """Draw the conclusion of silence, in a transaction of its own. Answers when to look again, if it is too early.

    What was never taken up lapses and its spend returns; what may have run is indeterminate until a person says.
    """
    found = Execution.objects.filter(pk=evaluation_id).select_related("tenant").first()
    if found is None or found.status != status:
        return None
    with transaction.atomic():
        asked = request_of(found.request_id, tenant_id=found.tenant_id)
        row = Execution.objects.select_for_update().get(pk=evaluation_id)
        if row.status != status or row.deadline is None:
            return None
        if now < row.deadline:
            return row.deadline
        lapsed = status is Custody.RESERVED
        after = Custody.LAPSED if lapsed else Custody.INDETERMINATE
        Execution.objects.filter(pk=evaluation_id, status=status).update(status=after, finished_at=now)
        if lapsed:
            with transaction.get_connection().cursor() as cursor:
                caps.give_back(cursor, row.tenant_id, row.budget)
        event = Event.EXECUTION_REPORTED if lapsed else Event.EXECUTION_INDETERMINATE
        allowed = of_record(ledger.find(found.tenant.slug, evaluation_id) or {})
        actor = Actor("system", "enforcement")
        member = {"evaluation_id": evaluation_id, "status": after.value}
        record(event, allowed, tenant=found.tenant.slug, actor=actor, now=now, execution=member)
        announce(asked)
    return None


def request_of(request_id: str, *, tenant_id: int) -> AccessRequest | None:
    """The request that the call was approved or waived by, locked: its thread is where the execution is recorded."""
    return lifecycle.locked(request_id, tenant_id=tenant_id) if request_id else None


def announce(asked: AccessRequest | None) -> None:
    """Who approved it hears what became of it, wherever they were asked. Who granted a waiver is spared each use."""
    if asked is not None and asked.asked_by_id is None:
        lifecycle.announce(asked, Change.REPORTED)


def remind(evaluation_id: str, *, tenant: str, at: datetime, status: Custody) -> None:
    """Set the timer for what stays in `status`, in the caller's transaction."""
    payload = {"evaluation_id": evaluation_id, "status": status.value}
    enqueue(REMINDER, payload, run_at=at, dedupe=f"{REMINDER}:{evaluation_id}:{status}", tenant=tenant)


def _allowed(evaluation_id: str, key: KeyView, world: World) -> Allowed:
    """Raises Problem: 404 for what this tenant never decided, 403 for another's allow, 409 for what was no allow."""
    statement = decided(evaluation_id, world)
    if statement["predicate"]["actor"]["id"] != key.key_id:
        raise Problem(Kind.FORBIDDEN, "Only the credential that was given this decision may report on it.")
    return of_record(statement)


# --- the steps


def hold(evaluation_id: str, allowed: Allowed, *, tenant_id: int, credential_id: int, now: datetime) -> Execution:
    """Keep an allow that nobody reports on, for whoever speaks of it next. It may still be taken up at any time, and
    does not lapse: a PEP that reports nothing may have run it, so that its silence gives no spend back.
    """
    return Execution.objects.create(
        evaluation_id=evaluation_id, tenant_id=tenant_id, credential_id=credential_id, request_id=allowed.request_id,
        action_digest="", thread=allowed.thread, status=Custody.RESERVED, reserved_at=now, budget=list(allowed.charges),
    )  # fmt: skip


def _first(said: Report, allowed: Allowed, *, key: KeyView, world: World, moment: Moment) -> None:
    """An allow that used no approval comes into custody with its first report: whose INSERT holds has won.

    Raises Problem (409).

    Who loses gets an IntegrityError, looks again and finds the winner's row.
    """
    if allowed.is_reserved or said.status is Custody.COMMITTED:
        raise _conflict(Custody.RESERVED)
    executing = said.status is Custody.EXECUTING
    Execution.objects.create(
        evaluation_id=said.evaluation_id,
        tenant_id=world.tenant_id,
        credential_id=key.id,
        request_id=allowed.request_id,
        action_digest="",
        thread=allowed.thread,
        status=said.status,
        reserved_at=moment.now,
        started_at=moment.now if executing else None,
        finished_at=None if executing else moment.now,
        deadline=moment.now + settings.COUNTERSIGN.execution_limit if executing else None,
        report={**said.told, "key": said.key},
        budget=list(allowed.charges),
    )


def _is_repeat(row: Execution, said: Report) -> bool:
    """The same report again, its answer having been lost: nothing happens twice, and nobody is refused for it."""
    return bool(said.key) and row.report.get("key") == said.key and row.status == said.status


def _next(row: Execution, said: Report, moment: Moment) -> None:
    """One guarded UPDATE; raises Problem (409) if the execution is not where this can follow."""
    changes: dict[str, Any] = {"status": said.status, "report": {**row.report, **said.told, "key": said.key}}
    rows = Execution.objects.filter(pk=row.pk, status__in=_AFTER[said.status])
    if said.status is Custody.EXECUTING:
        rows = rows.filter(Q(deadline__isnull=True) | Q(deadline__gt=moment.now))  # none: it may be taken up any time
        changes |= {"started_at": moment.now, "deadline": moment.now + settings.COUNTERSIGN.execution_limit}
    else:
        changes |= {"finished_at": moment.now}
    if not rows.update(**changes):
        raise _conflict(Custody(row.status))


def _never_ran(key: KeyView, tenant_id: int, charges: tuple[Mapping[str, str], ...], moment: Moment) -> None:
    """Spend returns on a PEP's word alone: an agent that enforces upon itself could run the call and say it did not."""
    if key.kind == CredentialKind.PEP:
        caps.give_back(moment.cursor, tenant_id, charges)


def _conflict(status: Custody) -> Problem:
    return Problem(Kind.CONFLICT, f"The execution is {status.value}; this report cannot follow.")


def record(
    event: Event,
    allowed: Allowed,
    *,
    tenant: str,
    actor: Actor,
    now: datetime,
    execution: Mapping[str, Any],
    event_id: str | None = None,
) -> None:
    """One more record of an execution, in the thread of its decision, whose lock the caller holds."""
    ledger.append(
        event,
        event_id=event_id,
        tenant=tenant,
        thread=allowed.thread,
        actor=actor,
        now=now,
        commitment=allowed.commitment,
        session=allowed.session,
        transaction=allowed.transaction,
        request=allowed.request_id,
        action=allowed.action,
        execution=execution,
    )
