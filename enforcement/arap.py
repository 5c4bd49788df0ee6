"""Requests as rows in, tasks and results as the AuthZEN access request profile shapes them out. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals.models import AccessRequest, Approval, Status
from countersign.policy.values import Reason
from evidence.journal import timestamp

PATH = "/access/v1/requests"

NEXT_ACTION: Mapping[Reason, str] = {
    Reason.APPROVAL_EXPIRED: "request",
    Reason.APPROVAL_USED: "request",
    Reason.OUT_OF_SCOPE: "request",
    Reason.GRANT_PENDING: "retry",
    Reason.POLICY_DENIED: "none",
    Reason.APPROVAL_UNVERIFIABLE: "none",
}
"""What a PEP should do after a refused re-evaluation (profile, completion semantics). Any other reason: nothing."""

_TOLD = {
    Status.PENDING: ("Waiting for approval", "People have been asked. The call may run once they agree."),
    Status.APPROVED: ("Approved", "Ask again with this approval; it is good for this very call."),
    Status.DENIED: ("Denied", "The people asked said no."),
    Status.EXPIRED: ("Expired", "Nobody answered in time. Ask again if it still matters."),
    Status.CANCELLED: ("Cancelled", "The request was withdrawn."),
    Status.FAILED: ("Failed", "The request could not be completed."),
}


def endpoint(base_url: str) -> str:
    return base_url + PATH


def task(request: AccessRequest, *, base_url: str) -> dict[str, Any]:
    """The task handle. Says nothing of who was asked: a caller need not know."""
    status_endpoint = f"{base_url}{PATH}/{request.pk}"
    title, description = _TOLD[Status(request.status)]
    told: dict[str, Any] = {
        "id": request.pk,
        "status": request.status,
        "status_endpoint": status_endpoint,
        "expires_at": timestamp(request.expires_at),
        "display": {"title": title, "description": description},
    }
    if request.status == Status.PENDING:
        told["links"] = {"cancel": f"{status_endpoint}/cancel"}
    return told


def result(approval: Approval) -> dict[str, Any]:
    """The only completion mode there is: ask again, and present this."""
    return {
        "mode": "reevaluate",
        "approval": {
            "id": approval.pk,
            "approved_at": timestamp(approval.issued_at),
            "approved_until": timestamp(approval.expires_at),
        },
    }


def told(request: AccessRequest, approval: Approval | None, *, base_url: str) -> dict[str, Any]:
    """`{"task": …}` and, once approved, `"result"`."""
    whole: dict[str, Any] = {"task": task(request, base_url=base_url)}
    if request.status == Status.APPROVED and approval is not None:
        whole["result"] = result(approval)
    return whole


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
