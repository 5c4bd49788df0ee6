"""What somebody answered in another system in, their vote cast or plain words of why not out. Never raises a refusal.

Who it was is the other system's stable id, proven by its signature; never a name or an address. That is not an
authentication: where a vote needs one, the answer is a link to our own page.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from django.conf import settings

from approvals import problems, votes
from approvals.models import AccessRequest, Decision, Status
from evidence.queries import Compiled
from registry.models import Membership

_LONGEST_REASON = 2000
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")  # what no database or record can keep


@dataclass(frozen=True, slots=True)
class Counted:
    """The vote stands (now, or already); the request as it is after it."""

    request: AccessRequest


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed. `words` say why and what to do, for that person alone."""

    words: str


@dataclass(frozen=True, slots=True)
class StepUpNeeded:
    """The intent is understood; the vote itself is cast on our page, where the person proves who they are."""

    link: str
    request: AccessRequest


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Nobody here is known by this identity. `link` is where people link theirs, signed in."""

    link: str


Answer = Counted | Refused | StepUpNeeded | Unlinked


def answer(
    *,
    tenant_id: int,
    kind: str,
    identity: str,
    request_id: str,
    decision: Decision,
    reason: str,
    seen: str,
    now: datetime,
    said_at: datetime | None = None,
) -> Answer:
    """Cast the vote of whoever is known by `identity` at `kind`; `seen` is the display hash their card carried.

    `said_at` is when they said it, where that may be long before `now`.
    """
    member = member_of(tenant_id, kind, identity)
    if member is None:
        return Unlinked(account_link())
    try:
        counted = votes.cast(
            request_id, tenant_id=tenant_id, membership=member, decision=decision, reason=_kept(reason), seen=seen,
            step_up=None, surface=kind, now=now, meant_at=said_at or now,
        )  # fmt: skip
    except votes.StepUpFirst as needed:
        return StepUpNeeded(request_link(request_id), needed.request)
    except problems.REFUSALS as error:
        return Refused(_words(error, request_id))
    return Counted(counted)


def member_of(tenant_id: int, kind: str, identity: str) -> Membership | None:
    """The active member known by this identity; nobody if two are, for one click must not be a choice of people."""
    if not identity:
        return None
    found = _known_as(kind)(tenant_id, json.dumps(identity))
    return found[0] if len(found) == 1 else None


@cache
def _known_as(kind: str) -> Compiled[Membership]:
    members = Membership.objects.filter(active=True, user__is_active=True).select_related("user__human", "tenant")
    return Compiled(lambda tenant, name: members.filter(tenant_id=tenant, **{f"identities__{kind}": name})[:2])


def request_link(request_id: str) -> str:
    """Our page of one request: the whole of it, and the form that asks for a step-up."""
    return f"{settings.COUNTERSIGN.base_url}/requests/{request_id}/"


def account_link() -> str:
    """Our page where people see and link their identities, signed in."""
    return f"{settings.COUNTERSIGN.base_url}/account/"


def _words(error: Exception, request_id: str) -> str:
    link = request_link(request_id)
    match error:
        case votes.UnknownRequest():
            return "There is no such request here any more."
        case votes.NotPending(status=status):
            return f"This request is {_STATES.get(status, 'closed')} already, so nothing changed. See {link}"
        case votes.SeenOther():
            return f"What you saw is not the request as it stands now. Read it and decide here: {link}"
        case _:
            return f"{problems.refusal(error).words} See {link}"


_STATES: Mapping[str, str] = {
    Status.APPROVED: "approved",
    Status.DENIED: "denied",
    Status.EXPIRED: "expired",
    Status.CANCELLED: "withdrawn",
    Status.FAILED: "failed",
}


def _kept(reason: str) -> str:
    return _UNKEEPABLE.sub("�", reason).strip()[:_LONGEST_REASON]
