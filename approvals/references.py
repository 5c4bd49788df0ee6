"""An approval in, the signed state it is handed out with; a state that is presented in, a refusal unless it is that.

The state is no grant. It says of which approval it is; whether that serves is looked up, under its lock, at each use.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from approvals.models import AccessRequest, Approval
from evidence import tokens


class BadState(ValueError):
    """What was presented beside an approval's id is not what we signed for it. The text says why."""


def state_of(approval: Approval, request: AccessRequest) -> str:
    """The same bytes for as long as the key is the same: a PEP hands back what it was given."""
    claims = {**_facts(approval, request), **_between(), "iat": int(approval.issued_at.timestamp())}
    return tokens.sign({**claims, "exp": _end(approval.expires_at)}, tokens.APPROVAL)


def check_state(state: object, approval: Approval, request: AccessRequest) -> None:
    """Raises BadState. Whether its time is over is asked of the row, which may have been revoked before."""
    at = approval.issued_at
    try:
        claims = tokens.verify(state, tokens.APPROVAL, issuer=issuer(), audience=issuer(), now=at)
    except tokens.NotOurs as error:
        raise BadState(str(error)) from error
    for name, value in _facts(approval, request).items():
        if claims.get(name) != value:
            raise BadState(f"its {name} is another's")


def issuer() -> str:
    """Who signs, and who alone is to verify: this decision point."""
    address: str = settings.COUNTERSIGN.base_url
    return address


def _facts(approval: Approval, request: AccessRequest) -> Mapping[str, Any]:
    return {
        "jti": approval.pk,
        "approval_id": approval.pk,
        "task_id": request.pk,
        "evaluation_id": request.evaluation_id,
        "action_digest": approval.action_digest,
    }


def _between() -> Mapping[str, str]:
    return {"iss": issuer(), "aud": issuer()}


def _end(moment: datetime) -> int:
    """Whole seconds, the next one: a token must not end before what it is about."""
    return int(moment.timestamp()) + 1
