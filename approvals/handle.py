"""A request in, the task its requester may be told of out, as the AuthZEN access request profile shapes it.

It says nothing of who is asked and who answered, nor which rule asks: a caller need not know.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from approvals import bundles, counting, references, requirements, shortage, shown
from approvals.models import AccessRequest, Approval, Bundle, Decision, Status, Vote
from countersign.inspection.redact import redact
from evidence import keys
from evidence.journal import timestamp

PATH = "/access/v1/requests"
REASON = "urn:countersign:display:reason"
"""Where the denier's own words are: the profile lets `display` grow, by members whose name is a URI."""

ITEM = "urn:countersign:link:item"
"""With `:` and its place, the link to the task of one item; `links` may grow in the same way."""

REASON_LENGTH = 500
TOLD_FOR = timedelta(hours=24)
"""How long an ended task can be looked at: as long as its Idempotency-Key leads to it."""

_TOLD = {
    Status.PENDING: ("Waiting for approval", "People have been asked. The call may run once they agree."),
    Status.APPROVED: ("Approved", "Ask again with this approval; it is good for this very call."),
    Status.DENIED: ("Denied", "The people asked said no."),
    Status.EXPIRED: ("Expired", "Nobody answered in time. Ask again if it still matters."),
    Status.CANCELLED: ("Cancelled", "The request was withdrawn."),
    Status.FAILED: ("Failed", "The request could not be completed."),
}
_SHORT = "Too few people can answer this, so it cannot be approved as things stand. An administrator can change that."
_SHORT_OF_ALL = "Too few people can answer some of the items, so those cannot be approved as things stand."
_PARTIAL = ("Decided one by one", "The items ended differently; each tells how.")


# --- one request


def document(request: AccessRequest, *, brief: bool, now: datetime) -> dict[str, Any]:
    """`{"task": …}` and, once approved, `"result"`. With `brief` no word of a person and no progress is among it."""
    short = status_of(request, now=now) == Status.PENDING and shortage.of(request) is not None
    return _document(request, brief=brief, short=short, now=now)


def _document(request: AccessRequest, *, brief: bool, short: bool, now: datetime) -> dict[str, Any]:
    status = status_of(request, now=now)
    approval = _approval_of(request)
    task: dict[str, Any] = {
        "id": request.pk,
        "status": status,
        "status_endpoint": _endpoint(request.pk),
        "expires_at": timestamp(_ends(request, approval, now=now)),
        "display": _display(status, _denied_because(request) if status == Status.DENIED and not brief else ""),
    }
    if short:
        task["display"]["description"] = _SHORT
    if status == Status.PENDING:
        task["links"] = {"cancel": _endpoint(request.pk) + "/cancel"}
        if not brief:
            task["progress"] = _progress(request)
    return {"task": task} if approval is None else {"task": task, "result": _result(approval, request)}


def status_of(request: AccessRequest, *, now: datetime) -> Status:
    """What it is by the clock: a period ends exclusive, whether or not a timer ran."""
    if request.status == Status.PENDING and now >= request.expires_at:
        return Status.EXPIRED
    return Status(request.status)


def is_over(request: AccessRequest, *, now: datetime) -> bool:
    """Whether the handle leads nowhere any more: the task ended, and long ago."""
    return status_of(request, now=now) != Status.PENDING and now >= _ends(request, _approval_of(request), now=now)


def _ends(request: AccessRequest, approval: Approval | None, *, now: datetime) -> datetime:
    """Until when the handle is good: of a pending one until it expires; then for a while, or as the approval lasts."""
    if status_of(request, now=now) == Status.PENDING:
        return request.expires_at
    after = (request.closed_at or request.expires_at) + TOLD_FOR
    return max(after, approval.expires_at) if approval is not None else after


def _approval_of(request: AccessRequest) -> Approval | None:
    return Approval.objects.filter(request=request).first() if request.status == Status.APPROVED else None


def _endpoint(task_id: str) -> str:
    return f"{settings.COUNTERSIGN.base_url}{PATH}/{task_id}"


def _display(status: Status, reason: str) -> dict[str, str]:
    title, description = _TOLD[status]
    if not reason:
        return {"title": title, "description": description}
    return {"title": title, "description": f"{description} They wrote: {reason}", REASON: reason}


def _result(approval: Approval, request: AccessRequest) -> Mapping[str, Any]:
    """The only completion mode there is: ask again, and present this."""
    told = {
        "id": approval.pk,
        "approved_at": timestamp(approval.issued_at),
        "approved_until": timestamp(approval.expires_at),
    }
    if settings.COUNTERSIGN.signed_references:
        told["state"] = references.state_of(approval, request)
    return {"mode": "reevaluate", "approval": told}


def _progress(request: AccessRequest) -> dict[str, int]:
    """One step for each yes that is needed; how many, but not whose."""
    wanted = requirements.from_json(request.requirements)
    votes = counting.votes_of(request)
    shares = counting.count(request, wanted, votes).shares if votes else ()
    done = sum(min(len(share.approvers), share.requirement.quorum) for share in shares)
    total = sum(one.quorum for one in wanted)
    return {"current_step": min(done + 1, total), "total_steps": total}


def _denied_because(request: AccessRequest) -> str:
    """What the one who denied wrote, if anything, without secrets and not endless. One denial ends a request."""
    denials = Vote.objects.filter(request=request, decision=Decision.DENY).order_by("-pk")
    said = denials.values_list("reason", flat=True).first()
    words = redact(said or "").text.strip()
    return words if len(words) <= REASON_LENGTH else words[: REASON_LENGTH - 1] + "…"


# --- several


def bundle(told: Bundle, *, brief: bool, now: datetime) -> dict[str, Any]:
    """One task for several requests; what counts is each item's own status and result."""
    requests = bundles.requests_of(told)
    pending = [request for request in requests if status_of(request, now=now) == Status.PENDING]
    short = shortage.of_each(pending)
    documents = [_document(request, brief=brief, short=request.pk in short, now=now) for request in requests]
    status = bundles.together([one["task"]["status"] for one in documents])
    title, description = _PARTIAL if status == bundles.PARTIAL else _TOLD[Status(status)]
    if short:
        description = _SHORT_OF_ALL
    links = {f"{ITEM}:{place}": one["task"]["status_endpoint"] for place, one in enumerate(documents)}
    task: dict[str, Any] = {
        "id": told.pk,
        "status": status,
        "status_endpoint": _endpoint(told.pk),
        "expires_at": max(one["task"]["expires_at"] for one in documents),
        "display": {"title": title, "description": description},
        "items": [_item(request, one) for request, one in zip(requests, documents, strict=True)],
        "links": links,
    }
    if status == Status.PENDING:
        links["cancel"] = _endpoint(told.pk) + "/cancel"
        task["progress"] = _decided(documents)
    return {"task": task}


def bundle_is_over(told: Bundle, *, now: datetime) -> bool:
    """Whether none of its items can be looked at any more."""
    return all(is_over(request, now=now) for request in bundles.requests_of(told))


def _item(request: AccessRequest, told: Mapping[str, Any]) -> dict[str, Any]:
    item = {**_asked(request), "status": told["task"]["status"]}
    return {**item, "result": told["result"]} if "result" in told else item


def _asked(request: AccessRequest) -> dict[str, Any]:
    """Resource and action word for word; once they are erased, their names."""
    try:
        action = shown.action_of(request)
    except keys.CannotUnseal:
        action = None
    if action is None:
        kind, _, name = request.tool_id.rpartition(":")
        return {"resource": {"type": kind or "tool", "id": name}, "action": {"name": request.method}}
    return {"resource": action["resource"], "action": action["action"]}


def _decided(documents: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """One step for each item."""
    done = sum(one["task"]["status"] != Status.PENDING for one in documents)
    return {"current_step": done + 1, "total_steps": len(documents)}
