"""A request in, the task its requester may be told of out, as the AuthZEN access request profile shapes it."""

from collections.abc import Mapping
from typing import Any

from approvals.models import AccessRequest, Approval, Decision, Status, Vote
from countersign.inspection.redact import redact
from evidence.journal import timestamp

PATH = "/access/v1/requests"
REASON = "urn:countersign:display:reason"
"""Where the denier's own words are: the profile lets `display` grow, by members whose name is a URI."""

REASON_LENGTH = 500

_TOLD = {
    Status.PENDING: ("Waiting for approval", "People have been asked. The call may run once they agree."),
    Status.APPROVED: ("Approved", "Ask again with this approval; it is good for this very call."),
    Status.DENIED: ("Denied", "The people asked said no."),
    Status.EXPIRED: ("Expired", "Nobody answered in time. Ask again if it still matters."),
    Status.CANCELLED: ("Cancelled", "The request was withdrawn."),
    Status.FAILED: ("Failed", "The request could not be completed."),
}


def document(request: AccessRequest, *, base_url: str, brief: bool) -> dict[str, Any]:
    """All that a caller is told of a request as it stands. With `brief` no word of a person is among it."""
    approval = Approval.objects.filter(request=request).first() if request.status == Status.APPROVED else None
    reason = _denied_because(request) if request.status == Status.DENIED and not brief else ""
    return told(request, approval, base_url=base_url, reason=reason)


def told(request: AccessRequest, approval: Approval | None, *, base_url: str, reason: str = "") -> dict[str, Any]:
    """`{"task": …}` and, once approved, `"result"`. Pure."""
    whole: dict[str, Any] = {"task": _task(request, base_url=base_url, reason=reason)}
    if request.status == Status.APPROVED and approval is not None:
        whole["result"] = _result(approval)
    return whole


def _task(request: AccessRequest, *, base_url: str, reason: str) -> dict[str, Any]:
    """The task handle. Says nothing of who was asked, nor of who said no: a caller need not know."""
    status_endpoint = f"{base_url}{PATH}/{request.pk}"
    told: dict[str, Any] = {
        "id": request.pk,
        "status": request.status,
        "status_endpoint": status_endpoint,
        "expires_at": timestamp(request.expires_at),
        "display": _display(Status(request.status), reason),
    }
    if request.status == Status.PENDING:
        told["links"] = {"cancel": f"{status_endpoint}/cancel"}
    return told


def _display(status: Status, reason: str) -> dict[str, str]:
    title, description = _TOLD[status]
    if not reason:
        return {"title": title, "description": description}
    return {"title": title, "description": f"{description} They wrote: {reason}", REASON: reason}


def _result(approval: Approval) -> Mapping[str, Any]:
    """The only completion mode there is: ask again, and present this."""
    return {
        "mode": "reevaluate",
        "approval": {
            "id": approval.pk,
            "approved_at": timestamp(approval.issued_at),
            "approved_until": timestamp(approval.expires_at),
        },
    }


def _denied_because(request: AccessRequest) -> str:
    """What the one who denied wrote, if anything, without secrets and not endless. One denial ends a request."""
    denials = Vote.objects.filter(request=request, decision=Decision.DENY).order_by("-pk")
    said = denials.values_list("reason", flat=True).first()
    words = redact(said or "").text.strip()
    return words if len(words) <= REASON_LENGTH else words[: REASON_LENGTH - 1] + "…"
