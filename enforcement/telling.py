"""A verdict and what became of it in, the answer to the caller and the members of the record out. Pure.

The record never says more than codes, rules and numbers: words may quote, and records cannot be deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from countersign.policy.values import Because, Mode, Outcome, Reason, Requirement, Risk, Verdict
from countersign.proof import base64text, canonical
from enforcement.asked import Asked
from enforcement.memory import World
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
    next_action: str | None = None  # to whom presented an approval in vain (ARAP, completion semantics)


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


def because_of(said: Said, because: Because, *, outcome: Outcome, next_action: str | None = None) -> Said:
    """Refused for another reason than the policy's own, which stays visible behind it."""
    return replace(
        said, permitted=False, outcome=outcome, reason=because.code, reasons=(because, *said.reasons),
        obligations=said.obligations if outcome is Outcome.ESCALATE else (), next_action=next_action,
    )  # fmt: skip


class Told(NamedTuple):
    """What is said, and the parts of answer and record that follow from it alone, written once for many calls."""

    source: object  # what this was worked out of: held, so that its identity stays its own
    said: Said
    full: bytes
    brief: bytes
    decision: bytes

    def tail(self, *, brief: bool) -> bytes:
        return self.brief if brief else self.full


def told(source: object, said: Said, world: World) -> Told:
    """Everything about `said` that calls have in common."""
    written = canonical.dumps(decision(said, world))
    return Told(source, said, tail(said, world, brief=False), tail(said, world, brief=True), written)


def told_verdict(verdict: Verdict, world: World) -> Told:
    """As the policy has it. Verdicts are constants of their bundle, so what follows from them is too."""
    known: Told | None = world.memo.get(id(verdict))
    if known is None or known.source is not verdict:
        known = told(verdict, of_verdict(verdict), world)
        world.memo.put(id(verdict), known)
    return known


def told_over_cap(before: Told, because: Because, world: World) -> Told:
    """As the policy had it, but for a cap."""
    place = (id(before), because)
    known: Told | None = world.memo.get(place)
    if known is None or known.source is not before:
        known = told(before, over_cap(before.said, because), world)
        world.memo.put(place, known)
    return known


# --- to the caller


def answer(
    said: Said,
    *,
    asked: Asked,
    world: World,
    brief: bool,
    evaluation_id: str,
    at: datetime,
    more: Mapping[str, Any],
) -> bytes:
    """The RFC 8785 form of an answer with members of ARAP, its receipt aside."""
    context = {**_particulars(asked, evaluation_id, at), **_generals(said, world, brief=brief), **more}
    return canonical.dumps({"context": context, "decision": said.permitted})


def plain_answer(asked: Asked, tail: bytes, *, evaluation_id: str, at: str) -> bytes:
    """The same for the many that have none: the particulars sort before all that is told."""
    call = asked.call
    return (
        f'{{"context":{{"action_digest":"{call.action_digest}","arguments_digest":"{call.arguments_digest}",'
        f'"commitment_salt":"{base64text.encode(asked.salt)}","evaluated_at":"{at}",'
        f'"evaluation_id":"{evaluation_id}",'
    ).encode() + tail


def tail(said: Said, world: World, *, brief: bool) -> bytes:
    """An answer from `mode` to its end."""
    end = b'},"decision":true}' if said.permitted else b'},"decision":false}'
    return canonical.dumps(_generals(said, world, brief=brief))[1:-1] + end


def with_receipt(answer: bytes, receipt: bytes) -> bytes:
    """The answer with its receipt as the first member of `context`."""
    return b'{"context":{"receipt":' + receipt + b"," + answer[len(b'{"context":{') :]


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
        "obligations": [{"id": f"obl-{n}", "properties": {}, **one} for n, one in enumerate(said.obligations, start=1)],
    }
    if said.next_action is not None:
        members["next_action"] = said.next_action
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
    """Who asked: the credential, by its public id, and how it was shown."""
    return {"type": key.kind, "id": key.key_id, "auth": {"method": key.method}}


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
    if asked.proven_by is not None:  # who it is, the commitment says
        told["principal"] = {"verified_by": asked.proven_by}
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
