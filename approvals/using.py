"""An approval's id and the call it is to serve in, one use of it taken out, or the reason why not."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import F

from approvals import counting, issuing, lifecycle, references
from approvals import requirements as codec
from approvals.lifecycle import announce, asker, record
from approvals.models import AccessRequest, Approval, RequestParty, Status
from approvals.quorum import Standing
from approvals.signals import Change
from countersign.policy.values import Reason, Requirement
from countersign.proof.events import Event
from evidence import clock

UNSAID = object()
"""No `state` was presented, which is not an empty one."""


class NotUsable(Exception):
    """The approval does not serve this call. `reason` is what the caller is told, `why` what an operator reads."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(f"{reason}: {why}")
        self.reason = reason
        self.why = why


def use(
    approval_id: str,
    *,
    tenant_id: int,
    action_digest: str,
    credential_id: int,
    requirements: Sequence[Requirement],
    now: datetime,
    state: object = UNSAID,
) -> AccessRequest:
    """Take one use of an approval, in the caller's transaction. Raises NotUsable and then has changed nothing.

    Locks the request, then the approval. `requirements` are those of the policy of now: the votes must meet them and
    the ones they were asked under. `state` is what the caller presented beside the id, if anything. Time is the
    database's, read again once the locks are held: a caller that waited behind a revocation, or whose clock is slow,
    does not slip through.
    """
    request, approval = _locked(approval_id, tenant_id=tenant_id)
    at = max(now, clock.now())
    if state is not UNSAID:
        _check_state(state, approval, request)
    check_usable(
        approval, request, action_digest=action_digest, credential_id=credential_id, requirements=requirements, now=at
    )
    live = Approval.objects.filter(pk=approval.pk, uses=approval.uses, revoked_at__isnull=True, expires_at__gt=at)
    if not live.filter(uses__lt=F("uses_allowed")).update(uses=F("uses") + 1):
        raise NotUsable(Reason.APPROVAL_USED, "another call took the last use")
    approval.uses += 1
    record(
        Event.APPROVAL_USED, request, actor=asker(credential_id), now=at,
        entitlement={"approval": approval.pk, "use": approval.uses, "of": approval.uses_allowed},
    )  # fmt: skip
    announce(request, Change.USED)
    return request


def check_usable(
    approval: Approval,
    request: AccessRequest,
    *,
    action_digest: str,
    credential_id: int,
    requirements: Sequence[Requirement],
    now: datetime,
) -> None:
    """Every condition of a use, scope first, under the request's lock. Raises NotUsable."""
    # 1. This caller, this action.
    if not RequestParty.objects.filter(request=request, credential_id=credential_id).exists():
        raise NotUsable(Reason.OUT_OF_SCOPE, "the credential neither opened nor joined the request")
    if not action_digest == approval.action_digest == request.action_digest:
        raise NotUsable(Reason.OUT_OF_SCOPE, "another action was approved")
    # 2. Still alive. Revoked reads as expired: ARAP, re-evaluation denial reasons.
    if approval.revoked_at is not None:
        raise NotUsable(Reason.APPROVAL_EXPIRED, "revoked")
    if now >= approval.expires_at:
        raise NotUsable(Reason.APPROVAL_EXPIRED, "past its time")
    if approval.uses >= approval.uses_allowed:
        raise NotUsable(Reason.APPROVAL_USED, "no use is left")
    # 3. What people voted, in evidence and signed.
    if request.status != Status.APPROVED:
        raise NotUsable(Reason.APPROVAL_UNVERIFIABLE, "the request is not approved")
    try:
        votes = issuing.verified(approval, request, used_by=asker(credential_id))
    except issuing.Unverifiable as error:
        raise NotUsable(Reason.APPROVAL_UNVERIFIABLE, str(error)) from error
    # 4. Enough for then and for now, by the teams people are in now.
    for wanted in (_stored(request), requirements):
        if counting.count(request, wanted, votes).standing is not Standing.MET:
            raise NotUsable(Reason.OUT_OF_SCOPE, "the votes no longer meet what is required")


def _check_state(state: object, approval: Approval, request: AccessRequest) -> None:
    """A state is never needed, for the row is at hand; one that is presented must be this approval's own."""
    try:
        references.check_state(state, approval, request)
    except references.BadState as error:
        raise NotUsable(Reason.APPROVAL_UNVERIFIABLE, f"the state presented: {error}") from error


def _locked(approval_id: str, *, tenant_id: int) -> tuple[AccessRequest, Approval]:
    """Both rows, the request first as everywhere. An unknown id and another tenant's are told alike."""
    found = Approval.objects.filter(pk=approval_id, tenant_id=tenant_id).first()
    try:
        request = lifecycle.locked(found.request_id if found else "", tenant_id=tenant_id)
    except lifecycle.UnknownRequest:
        raise NotUsable(Reason.APPROVAL_UNVERIFIABLE, "no such approval here") from None
    approval = Approval.objects.select_for_update().get(pk=approval_id)
    approval.request = request
    return request, approval


def _stored(request: AccessRequest) -> tuple[Requirement, ...]:
    return codec.from_json(request.requirements)
