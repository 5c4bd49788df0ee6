"""A verdict and what became of it in, the answer to the caller and the members of the record out. Pure.

The record never says more than codes, rules and numbers: words may quote, and records cannot be deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from countersign.policy.values import Because, Mode, Outcome, Reason, Requirement, Risk, Verdict
from countersign.proof import base64text, canonical
from enforcement.memory import World
from enforcement.parse import Asked
from evidence.journal import timestamp
from registry.snapshot import KeyView

_AGENT, _TOOL = "agent", "tool"


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one call in the end. `permitted` is the decision; `outcome` what enforcing would have said."""

    permitted: bool
    outcome: Outcome
    mode: Mode
    reason: Reason
    reasons: tuple[Because, ...]
    obligations: tuple[Mapping[str, Any], ...] = ()
    risk: Risk | None = None


def of_verdict(verdict: Verdict) -> Said:
    """As the policy has it: observing relaxes policy, never the registry."""
    observed = verdict.mode is Mode.OBSERVE and not verdict.registry_denied
    permitted = verdict.outcome is Outcome.ALLOW or observed
    return Said(
        permitted, verdict.outcome, verdict.mode, verdict.reason, verdict.reasons,
        verdict.obligations if permitted or verdict.outcome is Outcome.ESCALATE else (), verdict.risk,
    )  # fmt: skip


def over_cap(said: Said, because: Because) -> Said:
    """A cap is used up: the end of an allow, unless only observed."""
    permitted = said.mode is Mode.OBSERVE
    return replace(
        said, permitted=permitted, outcome=Outcome.DENY, reason=because.code, reasons=(because, *said.reasons),
        obligations=said.obligations if permitted else (),
    )  # fmt: skip


def approved(said: Said) -> Said:
    """People have said yes to this call, and their yes is used up with it."""
    return replace(said, permitted=True, outcome=Outcome.ALLOW, reason=Reason.RULE)


def because_of(said: Said, because: Because, *, outcome: Outcome) -> Said:
    """Refused for another reason than the policy's own, which stays visible behind it."""
    return replace(
        said, permitted=False, outcome=outcome, reason=because.code, reasons=(because, *said.reasons),
        obligations=said.obligations if outcome is Outcome.ESCALATE else (),
    )  # fmt: skip


# --- to the caller


def answer(
    said: Said,
    *,
    asked: Asked,
    world: World,
    brief: bool,
    evaluation_id: str,
    at: datetime,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """The RFC 8785 form of the answer, its receipt aside. `more` are members of ARAP, which few answers have."""
    if more:
        context = {**_particulars(asked, evaluation_id, at), **_generals(said, world, brief=brief), **more}
        return canonical.dumps({"context": context, "decision": said.permitted})
    call = asked.call
    return (
        f'{{"context":{{"action_digest":"{call.action_digest}","arguments_digest":"{call.arguments_digest}",'
        f'"commitment_salt":"{base64text.encode(asked.salt)}","evaluated_at":"{timestamp(at)}",'
        f'"evaluation_id":"{evaluation_id}",'
    ).encode() + tail(said, world, brief=brief)


def tail(said: Said, world: World, *, brief: bool) -> bytes:
    """What many answers have in common, from `mode` to the end: those members sort behind all the others."""
    end = b'},"decision":true}' if said.permitted else b'},"decision":false}'
    return canonical.dumps(_generals(said, world, brief=brief))[1:-1] + end


def with_receipt(answer: bytes, receipt: Mapping[str, Any]) -> bytes:
    """The answer with its receipt as the first member of `context`."""
    return b'{"context":{"receipt":' + canonical.dumps(receipt) + b"," + answer[len(b'{"context":{') :]


def _particulars(asked: Asked, evaluation_id: str, at: datetime) -> dict[str, Any]:
    return {
        "action_digest": asked.call.action_digest,
        "arguments_digest": asked.call.arguments_digest,
        "commitment_salt": base64text.encode(asked.salt),
        "evaluated_at": timestamp(at),
        "evaluation_id": evaluation_id,
    }


def _generals(said: Said, world: World, *, brief: bool) -> dict[str, Any]:
    """`brief` hides what thresholds could be felt out by: rule ids, score and factors."""
    members: dict[str, Any] = {
        "outcome": said.outcome,
        "mode": said.mode,
        "reason": said.reason,
        "reasons": [_because(one, brief=brief) for one in said.reasons],
        "policy": world.policy,
        "registry": world.registry,
        "obligations": list(said.obligations),
    }
    if said.risk is not None and not brief:
        factors = [{"name": factor.name, "points": factor.points} for factor in said.risk.factors]
        members["risk"] = {"score": said.risk.score, "factors": factors}
    return members


def _because(one: Because, *, brief: bool) -> dict[str, str]:
    told = {"code": one.code.value, "message": one.message}
    if one.rule is not None and not brief:
        told["rule"] = one.rule
    return told


# --- to the record


def actor(key: KeyView) -> dict[str, Any]:
    """Who asked: the credential, by its public id."""
    return {"type": key.kind, "id": key.key_id, "auth": {"method": "bearer"}}


def action(asked: Asked) -> dict[str, Any]:
    """Who, with what, how; never an argument. The commitment says the rest."""
    call = asked.call
    told: dict[str, Any] = {"method": call.action_name}
    if call.subject_type == _AGENT:
        told["agent"] = call.subject_id
    else:
        told["subject"] = {"type": call.subject_type, "id": call.subject_id}
    if call.resource_type == _TOOL:
        told["tool"] = call.resource_id
    else:
        told["resource"] = {"type": call.resource_type, "id": call.resource_id}
    return told


def decision(said: Said, world: World) -> dict[str, Any]:
    """What was said, in codes and numbers."""
    told: dict[str, Any] = {
        "permitted": said.permitted,
        "outcome": said.outcome.value,
        "mode": said.mode.value,
        "reason": said.reason.value,
        "reasons": [_code(one) for one in said.reasons],
        "policy": world.policy,
        "registry": world.registry,
    }
    if said.risk is not None:
        told["risk"] = said.risk.score
    return told


def _code(one: Because) -> dict[str, str]:
    return {"code": one.code.value} if one.rule is None else {"code": one.code.value, "rule": one.rule}


def budget(charged: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What the call took from which counter."""
    return {"charges": list(charged)}


def template_of(verdict: Verdict) -> str:
    """What the escalation is called to the caller: the rule's id, or where the requirement comes from."""
    first: Requirement = verdict.requirements[0]
    return verdict.rule or first.source
