"""What an escalation offers its caller, as the AuthZEN access request profile shapes it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals.handle import PATH as PATH
from countersign.policy.values import Reason
from evidence.journal import timestamp

NEXT_ACTION: Mapping[Reason, str] = {
    Reason.APPROVAL_EXPIRED: "request",
    Reason.APPROVAL_USED: "request",
    Reason.OUT_OF_SCOPE: "request",
    Reason.GRANT_PENDING: "retry",
    Reason.POLICY_DENIED: "none",
    Reason.APPROVAL_UNVERIFIABLE: "none",
}
"""What a PEP should do after a refused re-evaluation (profile, completion semantics). Any other reason: nothing."""


def endpoint(base_url: str) -> str:
    return base_url + PATH


RETRY_AFTER = 5
"""Seconds after which a refusal that will pass is worth another try, where nothing better is known."""


def requestable(
    *, expires_at: datetime, description: str, base_url: str, found: Mapping[str, Any], **offered: str | None
) -> dict[str, Any]:
    """`context.access_request`: how to ask people, until when, and the task that is there already.

    `offered` are further members of the profile; None is not offered.
    """
    access: dict[str, Any] = {
        "endpoint": endpoint(base_url),
        "expires_at": timestamp(expires_at),
        "display": {"title": "Approval needed", "description": description},
    }
    return {**access, **{name: value for name, value in offered.items() if value is not None}, **found}
