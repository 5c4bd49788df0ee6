"""Custody of what a PEP does with an allow: reserved → executing → committed, failed or indeterminate. Blocking.

`executing` is won by one UPDATE or one INSERT; a second claim loses, so a replayed allow cannot run twice. The same end
told again is one fact. What is indeterminate blocks its action until a person reconciles it (`blocking`, `unsettled`,
`reconciling`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from approvals import lifecycle, separation
from approvals.models import AccessRequest, Approval
from approvals.signals import Change
from countersign.proof import digests
from countersign.proof.events import Event
from enforcement import blocking, spending
from enforcement.allowed import Allowed, decided, of_record
from enforcement.memory import World
from enforcement.models import Custody, Execution
from enforcement.moments import Moment
from enforcement.problems import Kind, Problem
from enforcement.spending import Used
from evidence import ledger
from evidence.ledger import Actor
from outbox.queue import enqueue
from registry.models import Human, Tenant
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
    """What a PEP says. `key` marks repeats of this one report; `told` is the rest of it, kept beside the evidence.

    `action` names what the allow was for, by its digest and the salt of its commitment, as the answer told them;
    `principal` whom it was for. That is believed: naming somebody only keeps one more from saying how it ended.
    """

    evaluation_id: str
    status: Custody
    member: Mapping[str, Any]
    told: Mapping[str, Any]
    key: str = ""
    used: Used = field(default_factory=dict)
    action: tuple[str, bytes] | None = None
    principal: str | None = None


def report(said: Report, *, key: KeyView, world: World, moment: Moment) -> Custody:
    """Take a report in. Answers where the execution stands now. Raises Problem: 403, 404, 409."""
    allowed = _allowed(said.evaluation_id, key, world)
    asked = request_of(allowed.request_id, tenant_id=world.tenant_id)
    row = Execution.objects.select_for_update().filter(pk=said.evaluation_id, tenant_id=world.tenant_id).first()
    if row is not None and _is_repeat(row, said):
        return Custody(row.status)
    if said.status is Custody.EXECUTING and allowed.is_reserved:
        _check_stands(allowed.request_id)
    before = Custody(row.status) if row else Custody.RESERVED
    if row is None:
        row = _first(said, allowed, key=key, world=world, moment=moment)
    else:
        _next(row, said, moment)
    corrections: Mapping[str, Any] = {}
    if said.status is Custody.EXECUTING:
        remind(
            said.evaluation_id, tenant=world.tenant, status=Custody.EXECUTING,
            at=moment.now + settings.COUNTERSIGN.execution_limit,
        )  # fmt: skip
    else:
        corrections = spending.reported(
            row, before, said.used, kind=key.kind, allowed=allowed, world=world, cursor=moment.cursor
        )
    actor = Actor(key.kind, key.key_id, {"method": key.method})
    member = {"evaluation_id": said.evaluation_id, **said.member}
    record(
        Event.EXECUTION_REPORTED, allowed, tenant=world.tenant, actor=actor, now=moment.now, execution=member,
        **corrections,
    )  # fmt: skip
    announce(asked)
    if said.status is Custody.INDETERMINATE:
        blocking.block(row, allowed.action, tenant=Tenant.objects.get(pk=world.tenant_id), now=moment.now)
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
        corrections: Mapping[str, Any] = {}
        if lapsed:
            with transaction.get_connection().cursor() as cursor:
                corrections = spending.never_taken_up(row, cursor=cursor)
        event = Event.EXECUTION_REPORTED if lapsed else Event.EXECUTION_INDETERMINATE
        allowed = of_record(ledger.find(found.tenant.slug, evaluation_id) or {})
        actor = Actor("system", "enforcement")
        member = {"evaluation_id": evaluation_id, "status": after.value}
        record(event, allowed, tenant=found.tenant.slug, actor=actor, now=now, execution=member, **corrections)
        announce(asked)
        if not lapsed:
            blocking.block(row, allowed.action, tenant=found.tenant, now=now)
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


def _first(said: Report, allowed: Allowed, *, key: KeyView, world: World, moment: Moment) -> Execution:
    """An allow that used no approval comes into custody with its first report: whose INSERT holds has won.

    Raises Problem (409).

    Who loses gets an IntegrityError, looks again and finds the winner's row.
    """
    if allowed.is_reserved or said.status is Custody.COMMITTED:
        raise _conflict(Custody.RESERVED)
    executing = said.status is Custody.EXECUTING
    return Execution.objects.create(
        evaluation_id=said.evaluation_id,
        tenant_id=world.tenant_id,
        credential_id=key.id,
        request_id=allowed.request_id,
        action_digest=_action(said, allowed),
        principal_human=_for_whom(said, world.tenant_id),
        thread=allowed.thread,
        status=said.status,
        reserved_at=moment.now,
        started_at=moment.now if executing else None,
        finished_at=None if executing else moment.now,
        deadline=moment.now + settings.COUNTERSIGN.execution_limit if executing else None,
        report={**said.told, "key": said.key},
        budget=list(allowed.charges),
    )


def _action(said: Report, allowed: Allowed) -> str:
    """The action that a plain allow was for, which its record only commits to. Raises Problem (400).

    Without a transaction equal calls are told apart by nothing: another one is no repetition, and is not blocked.
    """
    if said.action is None:
        return ""
    digest, salt = said.action
    if len(salt) != digests.SALT_BYTES or digests.commitment(salt, digest) != allowed.commitment:
        raise Problem(Kind.MALFORMED, "`action_digest` and `commitment_salt` are not those of this evaluation.")
    return digest if allowed.transaction else ""


def _for_whom(said: Report, tenant_id: int) -> Human | None:
    if said.principal is None:
        return None
    return separation.human_named(Tenant.objects.get(pk=tenant_id), said.principal)


def _check_stands(request_id: str) -> None:
    """An approval that was taken back lets nothing begin any more; what has begun goes on. The request is locked.

    Raises Problem (409).
    """
    if Approval.objects.filter(request_id=request_id, revoked_at__isnull=False).exists():
        raise Problem(Kind.CONFLICT, "The approval was taken back before the call began; do not run it.")


def _is_repeat(row: Execution, said: Report) -> bool:
    """The same report again: nothing happens twice, and nobody is refused for it.

    A claim is told from a rival's by its key. An end is one fact, whoever repeats it, unless it has another result.
    """
    if row.status != said.status:
        return False
    if said.status is Custody.EXECUTING:
        return bool(said.key) and row.report.get("key") == said.key
    mine = row.report.get("result_digest")
    return bool(said.told.get("result_digest", mine) == mine)


def _next(row: Execution, said: Report, moment: Moment) -> None:
    """One guarded UPDATE; raises Problem (409) if the execution is not where this can follow."""
    moved: dict[str, Any] = {"status": said.status, "report": {**row.report, **said.told, "key": said.key}}
    rows = Execution.objects.filter(pk=row.pk, status__in=_AFTER[said.status])
    if said.status is Custody.EXECUTING:
        rows = rows.filter(Q(deadline__isnull=True) | Q(deadline__gt=moment.now))  # none: it may be taken up any time
        moved |= {"started_at": moment.now, "deadline": moment.now + settings.COUNTERSIGN.execution_limit}
    else:
        moved |= {"finished_at": moment.now}
    if not rows.update(**moved):
        raise _conflict(Custody(row.status))
    row.status = said.status


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
    **members: Mapping[str, Any],
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
        **members,
    )
