"""A fresh code in, a proof good for one vote out: bound to request, decision, action digest and what was seen."""

import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction

from approvals import lifecycle, totp
from approvals.lifecycle import record
from approvals.models import AccessRequest, Decision, StepUpProof
from countersign import ids
from countersign.policy.values import StepUp
from countersign.proof import digests
from countersign.proof.events import Event
from evidence import clock, ledger
from evidence.ledger import Actor
from registry.models import Membership

GOOD_FOR = timedelta(minutes=5)
_NONCE_BYTES = 32
_TOTP_DIGITS = 8  # what is longer is a recovery code


class Method(StrEnum):
    """How somebody proved themselves."""

    TOTP = "totp"
    RECOVERY = "recovery"


ASSURANCE = {Method.TOTP: StepUp.TOTP, Method.RECOVERY: StepUp.TOTP}


def method_of(code: str) -> Method:
    """What is meant by a code in a field that takes both."""
    return Method.RECOVERY if len(totp.normalised(code)) > _TOTP_DIGITS else Method.TOTP


class SeenOther(Exception):
    """What the person saw is not what is shown now."""


class ProofRefused(Exception):
    """The step-up is of another person, request, decision or display; used, too old, or written by hand."""


def pass_totp(
    request_id: str,
    *,
    tenant_id: int,
    membership: Membership,
    method: Method = Method.TOTP,
    decision: Decision,
    seen: str,
    code: str,
    surface: str = "",
    now: datetime,
) -> StepUpProof:
    """Check and use up a code, and bind what it proves to this one vote for five minutes.

    `surface` is told in evidence: a code typed into somebody else's window is worth less than one typed into ours.

    Raises UnknownRequest, NotPending, SeenOther before the code is looked at, then `totp.NotPassed` in its kinds; a
    code that did not pass is recorded. Must not run inside a transaction.
    """
    with transaction.atomic():
        request = lifecycle.locked(request_id, tenant_id=tenant_id)
        _check_askable(request, membership, seen=seen, now=max(now, clock.now()))
    verify = {Method.TOTP: totp.verify, Method.RECOVERY: totp.verify_recovery}[method]
    try:
        verify(membership.user, code, now=now)
    except totp.NotPassed as error:
        _record_failure(request_id, membership, method=method, surface=surface, error=error, now=now)
        raise
    return _proof(
        request_id, membership, method=method, decision=decision, seen=seen, surface=surface, now=now
    )  # fmt: skip


def consume(
    proof_id: str, request: AccessRequest, membership: Membership, *, decision: Decision, seen: str, now: datetime
) -> StepUpProof:
    """Use up a proof for the vote being cast, under the request's lock, in its transaction. Raises ProofRefused."""
    # 1. One guarded UPDATE: right person, request, decision and display; in time; not used before.
    mine = StepUpProof.objects.filter(
        pk=proof_id, tenant_id=request.tenant_id, request=request, user_id=membership.user_id, decision=decision,
        action_digest=request.action_digest, seen=seen, used_at__isnull=True, passed_at__lte=now, expires_at__gt=now,
    )  # fmt: skip
    if not mine.update(used_at=now):
        raise ProofRefused("no step-up of this person for this vote is open")
    proof = StepUpProof.objects.get(pk=proof_id)
    # 2. The authenticator it was passed with is still the person's.
    since = totp.live_since(membership.user)
    if since is None or since > proof.passed_at:
        raise ProofRefused("the authenticator was replaced since")
    # 3. The row is the one that was recorded when the code was checked.
    statement = ledger.find(request.tenant.slug, proof_id)
    said = statement["predicate"].get("detail", {}) if statement else {}
    if said.get("challenge") != challenge_of(proof) or said.get("method") != proof.method:
        raise ProofRefused("the step-up is not in evidence")
    return proof


def challenge_of(proof: StepUpProof) -> str:
    """What the proof answers, computed from its row."""
    return digests.challenge(
        request=proof.request_id,
        decision=proof.decision,
        action_digest=proof.action_digest,
        seen=proof.seen,
        nonce=proof.nonce,
    )


def assurance_of(proof: StepUpProof) -> StepUp:
    """How strong a vote with this proof is."""
    return ASSURANCE[Method(proof.method)]


def auth_of(proof: StepUpProof) -> dict[str, object]:
    """As a vote's record tells it."""
    return {
        "acr": assurance_of(proof).value,
        "amr": ["otp" if proof.method == Method.TOTP else "recovery"],
        "auth_time": int(proof.passed_at.timestamp()),
        "step_up_id": proof.pk,
    }


def _check_askable(request: AccessRequest, membership: Membership, *, seen: str, now: datetime) -> None:
    if membership.tenant_id != request.tenant_id:
        raise lifecycle.UnknownRequest(request.pk)
    lifecycle.check_pending(request, now=now)
    if seen != request.display_hash:
        raise SeenOther(request.pk)


def _proof(
    request_id: str,
    membership: Membership,
    *,
    method: Method,
    decision: Decision,
    seen: str,
    surface: str,
    now: datetime,
) -> StepUpProof:
    with transaction.atomic():
        request = lifecycle.locked(request_id, tenant_id=membership.tenant_id)
        at = max(now, clock.now())
        proof = StepUpProof(
            id=ids.new("su"),
            tenant_id=request.tenant_id,
            request=request,
            user=membership.user,
            decision=decision,
            action_digest=request.action_digest,
            seen=seen,
            nonce=secrets.token_hex(_NONCE_BYTES),
            method=method,
            passed_at=at,
            expires_at=at + GOOD_FOR,
        )
        proof.challenge = challenge_of(proof)
        proof.save(force_insert=True)
        record(
            Event.STEPUP_PASSED, request, actor=_actor(membership), now=at, event_id=proof.pk,
            detail={**_how(method, surface), "decision": decision.value, "challenge": proof.challenge},
        )  # fmt: skip
    return proof


def _record_failure(
    request_id: str, membership: Membership, *, method: Method, surface: str, error: totp.NotPassed, now: datetime
) -> None:
    with transaction.atomic():
        request = lifecycle.locked(request_id, tenant_id=membership.tenant_id)
        record(
            Event.STEPUP_FAILED, request, actor=_actor(membership), now=max(now, clock.now()),
            detail={**_how(method, surface), "reason": type(error).__name__},
        )  # fmt: skip


def _how(method: Method, surface: str) -> dict[str, str]:
    return {"method": method.value, "surface": surface} if surface else {"method": method.value}


def _actor(membership: Membership) -> Actor:
    return Actor(type="person", id=membership.user.username)
