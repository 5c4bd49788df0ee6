"""Escalated calls of a test world, asked and answered: what the rooms above would hand in, made by hand."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyotp
import pytest
from django.conf import settings
from django.db import transaction

from approvals import enrolment, requests, stepup, totp, votes
from approvals.models import AccessRequest, Approval, Decision, TotpDevice
from approvals.requests import Ask
from countersign import ids
from countersign.policy.values import (
    Because,
    Call,
    Outcome,
    Principal,
    Reason,
    Requirement,
    StepUp,
    Verdict,
)
from countersign.proof import digests
from evidence import clock
from evidence.ledger import Actor
from evidence.models import Record
from registry.models import Membership
from tests.worlds import AGENT, World

APPROVE, DENY = Decision.APPROVE, Decision.DENY
TESTS = Actor("command", "tests")


def requirement(**changes: Any) -> Requirement:
    return replace(Requirement(source="rule:refunds-over-100", teams=("finance",), quorum=2), **changes)


def call(world: World, arguments: Mapping[str, Any] | None = None, **changes: Any) -> Call:
    """A refund nobody asked for before. `changes` are members of the call; the digests follow them."""
    arguments = {"order": f"A-{secrets.token_hex(6)}", "amount": "250.00"} if arguments is None else arguments
    made = Call(
        subject_type="agent", subject_id=AGENT, action_name="create", resource_type="tool",
        resource_id="payments.refund", arguments=arguments, arguments_digest="", action={}, action_digest="",
        intent="customer-refund", session="s-81", transaction="case-4711",
    )  # fmt: skip
    return digested(world, replace(made, **changes))


def digested(world: World, made: Call) -> Call:
    arguments_digest = digests.arguments_digest(made.arguments)
    action: dict[str, Any] = {
        "tenant": world.slug, "subject": {"type": made.subject_type, "id": made.subject_id},
        "action": {"name": made.action_name}, "resource": {"type": made.resource_type, "id": made.resource_id},
        "arguments_digest": arguments_digest, "environment": dict(made.environment),
    }  # fmt: skip
    if made.principal:
        action["principal"] = {"type": made.principal.type, "id": made.principal.id}
    return replace(made, arguments_digest=arguments_digest, action=action, action_digest=digests.action_digest(action))


def verdict(requirements: Sequence[Requirement] | None = None) -> Verdict:
    return Verdict(
        outcome=Outcome.ESCALATE,
        reason=Reason.APPROVAL_REQUIRED,
        reasons=(Because(Reason.RULE, "Refunds of 100 or more need finance.", rule="refunds-over-100"),),
        rule="refunds-over-100",
        requirements=(requirement(),) if requirements is None else tuple(requirements),
    )


def ask(
    world: World,
    made: Call | None = None,
    *,
    requirements: Sequence[Requirement] | None = None,
    token: str | None = None,
    justification: str = "",
) -> Ask:
    made = made or call(world)
    salt = secrets.token_bytes(32)
    return Ask(
        tenant=world.slug, tenant_id=world.tenant.pk, call=made, verdict=verdict(requirements), salt=salt,
        commitment=digests.commitment(salt, made.action_digest), evaluation_id=ids.new("eva"),
        credential_id=world.credential(token or world.pep_key).pk, policy_revision=1, registry_revision=1, risk_tier=3,
        justification=justification,
    )  # fmt: skip


def opened(world: World, *, now: datetime | None = None, max_open: int = 10_000, **asked: Any) -> AccessRequest:
    with transaction.atomic():
        return requests.open_or_join(ask(world, **asked), max_open=max_open, now=now or clock.now()).request


def vote(
    request: AccessRequest,
    member: Membership,
    decision: Decision = APPROVE,
    *,
    step_up: str | None = None,
    seen: str | None = None,
    **changes: Any,
) -> AccessRequest:
    given: dict[str, Any] = {"tenant_id": request.tenant_id, "reason": "", "surface": "web", "now": clock.now()}
    return votes.cast(
        request.pk, membership=member, decision=decision, seen=seen or request.display_hash, step_up=step_up,
        **(given | changes),
    )  # fmt: skip


def pace(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """So many approvals a minute one person may give."""
    changed = settings.COUNTERSIGN.model_copy(update={"approvals_per_minute": most})
    monkeypatch.setattr(settings, "COUNTERSIGN", changed)


def approved(world: World, **asked: Any) -> Approval:
    """An approval for a fresh request, with as many votes of erin, frank and carol as it needs."""
    request = opened(world, **asked)
    for member in (world.erin, world.frank, world.carol):
        request = vote(request, member)
        if request.status == "approved":
            break
    return Approval.objects.get(request=request)


def use(approval: Approval, world: World, **changes: Any) -> AccessRequest:
    given: dict[str, Any] = {
        "tenant_id": world.tenant.pk, "action_digest": approval.action_digest, "now": clock.now(),
        "credential_id": world.credential(world.pep_key).pk, "requirements": (requirement(quorum=1),),
    }  # fmt: skip
    with transaction.atomic():
        return requests.use(approval.pk, **(given | changes))


# --- second factors


def enrolled(member: Membership, *, ago: timedelta = timedelta(hours=1)) -> str:
    """The seed of an authenticator whose cool-down is over."""
    return enrolment.issue(member, actor=TESTS, now=clock.now() - ago).secret


def code(secret: str, now: datetime, *, steps: int = 0) -> str:
    return pyotp.TOTP(secret).generate_otp(int(now.timestamp()) // totp.STEP + steps)


def proven(
    request: AccessRequest, member: Membership, secret: str, decision: Decision = APPROVE, **changes: Any
) -> str:
    """A step-up of this person for this vote. The device forgets its last step, so that tests need not wait for one."""
    TotpDevice.objects.filter(user=member.user).update(last_step=0)
    now = changes.pop("now", None) or clock.now()
    given: dict[str, Any] = {"tenant_id": request.tenant_id, "seen": request.display_hash, "code": code(secret, now)}
    return stepup.pass_totp(request.pk, membership=member, decision=decision, now=now, **(given | changes)).pk


# --- evidence


def events(request: AccessRequest) -> list[str]:
    """What the request's thread says happened, in order."""
    return list(Record.objects.filter(thread=request.pk).order_by("n").values_list("event", flat=True))


@contextmanager
def unchanged(request: AccessRequest) -> Iterator[None]:
    """Nothing of the request's state may move in here, save records of what was refused."""
    before = AccessRequest.objects.filter(pk=request.pk).values_list("status", "closed_at").get(), _votes(request)
    yield
    assert before == (
        AccessRequest.objects.filter(pk=request.pk).values_list("status", "closed_at").get(),
        _votes(request),
    )


def _votes(request: AccessRequest) -> int:
    return request.votes.count()


NONE, TOTP, WEBAUTHN = StepUp.NONE, StepUp.TOTP, StepUp.WEBAUTHN
__all__ = ["Principal"]
