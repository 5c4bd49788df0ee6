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


def requestable(
    *, expires_at: datetime, template: str | None, description: str, found: Mapping[str, Any], base_url: str
) -> dict[str, Any]:
    """`context.access_request`: how to ask people, until when, and the task that is there already."""
    access: dict[str, Any] = {
        "endpoint": endpoint(base_url),
        "expires_at": timestamp(expires_at),
        "display": {"title": "Approval needed", "description": description},
    }
    if template is not None:
        access["template"] = template
    return {**access, **found}
