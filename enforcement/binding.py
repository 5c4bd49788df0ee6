"""A denial in, the token that binds a request to it out; a denial that is echoed in, the recorded one out or a Problem.

The evaluation that was recorded is the truth. A `binding_token` proves that its answer was ours, also to an access
request service that has no such record; where one is presented here, it must be the token of that very record.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.conf import settings
from jwt.utils import base64url_encode

from countersign.proof import canonical
from enforcement import arap
from enforcement.authn import Caller
from enforcement.models import Escalation
from enforcement.problems import Kind, Problem
from evidence import ledger, tokens
from evidence.journal import timestamp

# Members of the context that are about the asking, not about what is asked (profile, terminology).
_MACHINERY = frozenset(
    {"access_request", "evaluation_id", "evaluated_at", "reason", "business_justification", "justification", "attempt",
     "approval", "open_request", "supported_obligations", "origin", "principal_token"}
)  # fmt: skip
_BINDING = frozenset({"arguments", "intent", "principal", "session", "transaction", "usage", "environment"})
RELEVANT = ("arguments", "environment", "intent", "principal", "transaction")
"""The authorization-relevant context: what an approval binds, and so what a token does."""


def token(recorded: Mapping[str, Any], *, evaluation_id: str, now: datetime, expires_at: datetime) -> str:
    """The `binding_token` of a denial (profile, binding token integrity), in the hashed form: arguments may be long.

    `jti` is the evaluation: presented again, it leads to the same task, which is all that a replay can win.
    """
    return tokens.sign(
        {
            "iss": _issuer(),
            "aud": _audience(),
            "jti": evaluation_id,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "evaluation_id": evaluation_id,
            "denial_expires_at": timestamp(expires_at),
            "binding_context_members": _members(recorded),
            "binding_hash": binding_hash(recorded),
        },
        tokens.BINDING,
    )


def binding_hash(asked: Mapping[str, Any]) -> str:
    """SHA-256 over the RFC 8785 form of subject, resource, action and relevant context, in base64url."""
    context = asked.get("context", {})
    bound = {
        "subject": without_actor(asked["subject"]),
        "resource": asked["resource"],
        "action": asked["action"],
        "context": {name: context[name] for name in _members(asked)},
    }
    return base64url_encode(sha256(canonical.dumps(bound)).digest()).decode()


def escalation(caller: Caller, denial: object, *, now: datetime) -> tuple[Escalation, Mapping[str, Any]]:
    """The recorded escalation that a denial names, still fresh, and the claims of its token. Raises Problem."""
    if not isinstance(denial, dict):
        raise _unbound("`denial` must be an object that names the evaluation that was denied.")
    claims = _claims(denial, now=now)
    found = _found(caller, denial.get("evaluation_id", claims.get("evaluation_id")))
    if claims and claims["evaluation_id"] != found.pk:
        raise _unbound("`denial.binding_token` is that of another evaluation.")
    if now >= found.expires_at:
        raise Problem(Kind.EXPIRED_DENIAL, "Evaluate the call again and submit the new denial.")
    if "expires_at" in denial and denial["expires_at"] != timestamp(found.expires_at):
        raise _unbound("`denial.expires_at` is not that of the denied evaluation.")
    return found, claims


def check(recorded: Mapping[str, Any], submission: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    """Subject, resource and action as they were; of the context what is given as it was, what is left out as well.

    Raises Problem.
    """
    for name in ("subject", "resource", "action"):
        if name not in submission or not _same(without_actor(submission[name]), without_actor(recorded[name])):
            raise _unbound(f"`{name}` is not that of the denied evaluation.")
    context = submission.get("context", {})
    if not isinstance(context, dict):
        raise Problem(Kind.MALFORMED, "`context` must be an object.")
    was = recorded.get("context", {})
    for name in context.keys() - _MACHINERY:
        if not _same(context[name], was[name]) if name in was else name in _BINDING:
            raise _unbound(f"`context.{name}` is not that of the denied evaluation.")
    if claims and claims.get("binding_hash") != binding_hash(recorded):
        raise _unbound("`denial.binding_token` is not that of the denied evaluation.")


def without_actor(entity: Any) -> Any:
    """A PEP may move the actor out of the subject into `client.actor`: it is not compared (profile, PEP rules)."""
    properties = entity.get("properties") if isinstance(entity, dict) else None
    if not isinstance(properties, dict) or "act" not in properties:
        return entity
    left = {name: value for name, value in properties.items() if name != "act"}
    rest = {name: value for name, value in entity.items() if name != "properties"}
    return {**rest, "properties": left} if left else rest


def _claims(denial: Mapping[str, Any], *, now: datetime) -> Mapping[str, Any]:
    if "binding_token" not in denial:
        return {}
    try:
        return tokens.verify(
            denial["binding_token"], tokens.BINDING, issuer=_issuer(), audience=_audience(), now=now
        )  # fmt: skip
    except tokens.Expired as error:
        raise Problem(Kind.EXPIRED_DENIAL, "Evaluate the call again and submit the new denial.") from error
    except tokens.NotOurs as error:
        raise _unbound("`denial.binding_token` cannot be verified; send it as it was given.") from error


def _found(caller: Caller, evaluation_id: object) -> Escalation:
    if not isinstance(evaluation_id, str):
        raise _unbound("`denial.evaluation_id` must name the evaluation that was denied.")
    found = Escalation.objects.filter(pk=evaluation_id, tenant_id=caller.world.tenant_id).first()
    if found is not None:
        return found
    if ledger.find(caller.world.tenant, evaluation_id) is not None:
        raise Problem(Kind.NOT_REQUESTABLE, "That evaluation did not offer an access request.")
    raise _unbound("No such evaluation.")


def _members(asked: Mapping[str, Any]) -> list[str]:
    return [name for name in RELEVANT if name in asked.get("context", {})]


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return canonical.dumps(one) == canonical.dumps(other)


def _issuer() -> str:
    address: str = settings.COUNTERSIGN.base_url
    return address


def _audience() -> str:
    return arap.endpoint(_issuer())


def _unbound(words: str) -> Problem:
    return Problem(Kind.INVALID_DENIAL_BINDING, words)
