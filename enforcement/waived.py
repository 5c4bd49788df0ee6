"""A call that a waiver lets through in; its answer out, one use taken with it, or as if there were none. Blocking.

The use, the caps and the record are one transaction. Locks: the waiver's request, the waiver, counters.
"""

from typing import Any

from django.db import transaction

from approvals import separation
from approvals.waivers import using
from approvals.waivers.using import NotWaived, Use
from countersign.policy.values import Because, Outcome
from countersign.policy.waivers import Lifted
from enforcement import asking, budgets, caps, obliging, telling
from enforcement.asking import Step
from enforcement.budgets import Asks, Claim
from enforcement.clock import at
from enforcement.models import Custody, Execution
from enforcement.moments import Moment
from evidence.journal import timestamp


class _OverCap(Exception):
    """Rolls the use back: a call that may not run uses nothing up."""

    def __init__(self, because: Because) -> None:
        super().__init__(because.message)
        self.because = because


def answer(step: Step, moment: Moment, asks: Asks) -> bytes:
    """Allow under the first waiver whose use can be taken; else what the policy says without any."""
    if (given := asking.repeated(step, moment)) is not None:
        return given
    tried: set[str] = set()
    lacking: tuple[str, ...] = ()
    lifted = step.lifted
    while lifted is not None:
        try:
            with transaction.atomic():
                return _allow(step, moment, asks, lifted)
        except NotWaived:
            tried.add(lifted.waiver.id)
        except _OverCap as over:
            told = telling.because_of(telling.of_verdict(lifted.verdict), over.because, outcome=Outcome.DENY)
            return asking.recorded(step, moment, told, thread=step.evaluation_id)
        lifted, missing = obliging.next_waiver(step.world, step.asked, step.verdict, now=at(step.offset), tried=tried)
        lacking = lacking or missing
    verdict = obliging.refused(step.world, step.verdict, lacking)
    return _without(step._replace(verdict=verdict), moment, asks)


def _allow(step: Step, moment: Moment, asks: Asks, lifted: Lifted) -> bytes:
    principal = step.asked.call.principal
    taken = using.use(
        lifted.waiver.id,
        tenant_id=step.world.tenant_id,
        version=lifted.waiver.version,
        wanted=step.verdict.requirements,
        principal=principal.id if principal else None,
        now=moment.now,
    )
    if asks.refusal is not None:
        raise _OverCap(asks.refusal)
    (failed,) = caps.reserve(moment.cursor, [Claim(asks.demands)], moment.now)
    if failed is not None:
        raise _OverCap(failed.refusal)
    charged = budgets.charges(asks.demands, int(moment.now.timestamp()))
    _reserve(step, moment, taken, charged)
    members: dict[str, Any] = {"budget": telling.budget(charged)} if charged else {}
    told = asking.recorded(
        step,
        moment,
        telling.of_verdict(lifted.verdict),
        thread=taken.waiver.request_id,
        request_id=taken.waiver.request_id,
        more={} if step.key.brief else {"waiver": _told(taken, lifted)},
        waiver=taken.member | {"would_have": _without_it(lifted)},
        **members,
    )
    using.finish(taken, now=moment.now)
    return told


def _reserve(step: Step, moment: Moment, taken: Use, charged: list[dict[str, str]]) -> None:
    """Hand the call into custody, without an end: what a PEP never reports on stays as it is, and neither its spend nor
    the use comes back, for it may have run. The waiver itself goes on. Its request does not know whom each call is for.
    """
    principal = step.asked.call.principal
    Execution.objects.create(
        evaluation_id=step.evaluation_id, tenant_id=step.world.tenant_id, credential_id=step.key.id,
        request_id=taken.waiver.request_id, action_digest=step.asked.call.action_digest,
        principal_human=separation.human_named(taken.waiver.tenant, principal.id) if principal else None,
        thread=taken.waiver.request_id, status=Custody.RESERVED, reserved_at=moment.now, budget=charged,
    )  # fmt: skip


def _without(step: Step, moment: Moment, asks: Asks) -> bytes:
    """What anybody is told whose call no waiver covers."""
    said = telling.of_verdict(step.verdict)
    if step.verdict.outcome is not Outcome.ESCALATE:
        return asking.recorded(step, moment, said, thread=step.evaluation_id)
    if asks.refusal is not None:
        told = telling.because_of(said, asks.refusal, outcome=Outcome.DENY)
        return asking.recorded(step, moment, told, thread=step.evaluation_id)
    return asking.escalate(step, moment, said)


def _told(taken: Use, lifted: Lifted) -> dict[str, Any]:
    """What the caller may know: which exception it owes this to, and how much of it is left."""
    waiver = taken.waiver
    left = {} if waiver.max_uses is None else {"of": waiver.max_uses}
    return {
        "id": waiver.pk,
        "version": waiver.version,
        "use": taken.number,
        **left,
        "expires_at": timestamp(waiver.expires_at),
        "would_have": lifted.without.outcome.value,
    }


def _without_it(lifted: Lifted) -> dict[str, Any]:
    """Waived, never hidden: what would have happened, in codes and rules."""
    without = lifted.without
    rules = sorted({one.rule for one in without.reasons if one.rule})
    return {"outcome": without.outcome.value, "reason": without.reason.value, "rules": rules}
