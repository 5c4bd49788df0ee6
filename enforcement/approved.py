"""An escalated call that presents an approval in; its answer out, the approval used up with it or left alone. Blocking.

The use, the caps, the record and the custody of the execution are one transaction. Locks: request, approval, counters.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from approvals import requests
from approvals.models import AccessRequest, Approval
from countersign.policy.values import Because, Outcome, Reason
from enforcement import arap, asking, budgets, caps, executions, telling
from enforcement.asking import Step
from enforcement.budgets import Asks, Claim, Demand
from enforcement.models import Custody, Execution
from enforcement.moments import Moment
from evidence.journal import timestamp

_WORDS = {
    Reason.APPROVAL_EXPIRED: "The approval is past its time or was taken back.",
    Reason.APPROVAL_USED: "The approval has been used up.",
    Reason.OUT_OF_SCOPE: "The approval is not for this call by this caller.",
    Reason.APPROVAL_UNVERIFIABLE: "The approval cannot be verified.",
}
_A_TASK = "That is a task and no approval: look at it, and once it is approved present its `result.approval`."


class _OverCap(Exception):
    """Rolls the use back: a call that may not run uses nothing up."""

    def __init__(self, because: Because, next_action: Mapping[str, Any]) -> None:
        super().__init__(because.message)
        self.because = because
        self.next_action = next_action


def answer(step: Step, moment: Moment, asks: Asks) -> bytes:
    """Allow, with one use taken; or escalate or deny, with the reason and what to do next."""
    if (given := asking.repeated(step, moment)) is not None:
        return given
    said = telling.of_verdict(step.verdict)
    try:
        with transaction.atomic():
            return _allow(step, moment, asks)
    except _OverCap as over:
        told = telling.because_of(said, over.because, outcome=Outcome.DENY)
        return asking.recorded(step, moment, told, thread=step.evaluation_id, more=over.next_action)
    except requests.NotUsable as refused:
        return _refuse(step, moment, refused.reason)


def _allow(step: Step, moment: Moment, asks: Asks) -> bytes:
    request = requests.use(
        _approval_id(step),
        tenant_id=step.world.tenant_id,
        action_digest=step.asked.call.action_digest,
        credential_id=step.key.id,
        requirements=step.verdict.requirements,
        now=moment.now,
        state=step.asked.approval_state,
    )
    if asks.refusal is not None:
        raise _OverCap(asks.refusal, {"next_action": "none"})
    (failed,) = caps.reserve(moment.cursor, [Claim(asks.demands)], moment.now)
    if failed is not None:
        raise _OverCap(failed.refusal, _later(failed, int(moment.now.timestamp())))
    approval = Approval.objects.get(pk=_approval_id(step))
    charged = budgets.charges(asks.demands, int(moment.now.timestamp()))
    _reserve(step, moment, request, approval, charged)
    entitlement = {"approval": approval.pk, "request": request.pk}
    members = {"budget": telling.budget(charged)} if charged else {}
    bound = asking.under_commitment_of(request, step.asked, step.world)
    return asking.recorded(
        step._replace(asked=bound),
        moment,
        telling.approved(telling.of_verdict(step.verdict)),
        thread=request.pk,
        request_id=request.pk,
        more={"approval": {"id": approval.pk, "approved_until": timestamp(approval.expires_at)}},
        entitlement=entitlement,
        **members,
    )


def _later(failed: Demand, now: int) -> dict[str, Any]:
    """The approval is left as it was; the cap's next window may have room for it."""
    return {"next_action": "retry", "retry_after": budgets.window(failed.seconds, now) + failed.seconds - now}


def _reserve(
    step: Step, moment: Moment, request: AccessRequest, approval: Approval, charged: list[dict[str, str]]
) -> None:
    """Hand the call into custody: whoever got this allow may take it up once, before the approval's time is over."""
    Execution.objects.create(
        evaluation_id=step.evaluation_id,
        tenant_id=step.world.tenant_id,
        credential_id=step.key.id,
        request_id=request.pk,
        action_digest=step.asked.call.action_digest,
        thread=request.pk,
        status=Custody.RESERVED,
        reserved_at=moment.now,
        deadline=approval.expires_at,
        budget=charged,
    )
    executions.remind(step.evaluation_id, tenant=step.world.tenant, at=approval.expires_at, status=Custody.RESERVED)


def _refuse(step: Step, moment: Moment, reason: Reason) -> bytes:
    """What the profile says a PEP needs: the reason, and whether a new request makes sense."""
    next_action = arap.NEXT_ACTION.get(reason, "none")
    because = Because(reason, _words(step, reason))
    more: dict[str, Any] = {"next_action": next_action}
    if next_action == "retry":
        more["retry_after"] = arap.RETRY_AFTER
    said = telling.of_verdict(step.verdict)
    if next_action == "request":
        told = telling.because_of(said, because, outcome=Outcome.ESCALATE)
        return asking.escalate(step, moment, told, more=more)
    told = telling.because_of(said, because, outcome=Outcome.DENY)
    return asking.recorded(step, moment, told, thread=step.evaluation_id, more=more)


def _words(step: Step, reason: Reason) -> str:
    """A task's handle is taken for an approval easily. It is known by its form, so that nothing is told of any task."""
    if reason is Reason.APPROVAL_UNVERIFIABLE and _approval_id(step).startswith("arq_"):
        return _A_TASK
    return _WORDS.get(reason, "The approval does not serve this call.")


def _approval_id(step: Step) -> str:
    assert step.asked.approval is not None
    return step.asked.approval
