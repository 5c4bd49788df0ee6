"""One request: what is asked, who said what, and the form in which a person decides."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from approvals import counting, requirements, story, totp, votes
from approvals.models import AccessRequest, Decision, Status
from approvals.stepup import Method, pass_totp
from approvals.views.chrome import for_members
from countersign.policy.values import StepUp
from evidence import clock
from registry.models import Membership

SURFACE = "web"
_FIRST_SEEN = "first_seen"  # in the session: when this person's page first showed a request
_REMEMBERED = 50


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership, request_id: str) -> HttpResponse:
    asked = _of_tenant(request_id, membership)
    _note_first_seen(request, request_id)
    return render(request, "request.html", _context(asked, membership, now=clock.now()))


@require_safe
@for_members
def live(request: HttpRequest, membership: Membership, request_id: str) -> HttpResponse:
    """The part that changes while one looks: state, votes, time left, timeline. Never the form one is filling in."""
    asked = _of_tenant(request_id, membership)
    response = render(request, "parts/request_live.html", _context(asked, membership, now=clock.now()))
    if asked.status != Status.PENDING and request.GET.get("was") == Status.PENDING:
        response["HX-Refresh"] = "true"  # decided elsewhere: the form must go
    return response


@require_POST
@for_members
def vote(request: HttpRequest, membership: Membership, request_id: str) -> HttpResponse:
    asked = _of_tenant(request_id, membership)
    try:
        decision = Decision(request.POST.get("decision", ""))
        _cast(request, asked, membership, decision)
    except ValueError:
        return _again(request, asked, membership, "Choose approve or deny.", status=400)
    except tuple(_REFUSALS) as error:
        status, words = _refusal(error)
        return _again(request, asked, membership, words, status=status)
    messages.success(request, f"Your vote counts: {decision.label.lower()}.", extra_tags="done")
    return redirect(f"/requests/{request_id}/")


def _cast(request: HttpRequest, asked: AccessRequest, membership: Membership, decision: Decision) -> None:
    """The step-up if one is needed, then the vote, both bound to what the page showed."""
    now, seen, code = clock.now(), request.POST.get("seen", ""), request.POST.get("code", "")
    bound: dict[str, Any] = {"tenant_id": membership.tenant_id, "membership": membership}
    bound |= {"decision": decision, "seen": seen}
    proof = None
    if votes.needed_step_up(asked, membership) != StepUp.NONE:
        if not code.strip():
            raise _NoCode
        method = Method.RECOVERY if request.POST.get("method") == Method.RECOVERY else Method.TOTP
        proof = pass_totp(asked.pk, method=method, code=code, now=now, **bound).pk
    votes.cast(
        asked.pk,
        reason=request.POST.get("reason", "").strip(),
        step_up=proof,
        surface=SURFACE,
        now=now,
        first_seen_at=_first_seen(request, asked.pk),
        **bound,
    )


class _NoCode(Exception):
    """The form came without the code that this vote needs."""


_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    _NoCode: (401, "Enter the six-digit code your authenticator shows now."),
    totp.NoDevice: (401, "You have no authenticator yet. Set one up under your name at the top, then come back."),
    totp.NotYetUsable: (401, "Your authenticator is too new to count. It will be accepted after the waiting time."),
    totp.Locked: (429, "Too many wrong codes. Wait a little, then use a new code."),
    totp.CodeUsed: (401, "That code was used already. Wait for the next one (at most 30 seconds)."),
    totp.WrongCode: (401, "That code is wrong. Use the one your authenticator shows right now."),
    votes.NotPending: (409, "This request is decided or closed already. Below is how it ended."),
    votes.SelfApproval: (403, "You asked for this, it is done for you, or the agent is yours: others must decide."),
    votes.NotEligible: (403, "You are in none of the teams that are asked."),
    votes.SeenOther: (409, "The request was not shown to you as it stands now. Read it again, then decide."),
    votes.AlreadyVoted: (409, "You voted on this already, and a vote stands."),
    votes.StepUpNeeded: (401, "This vote needs a fresh code from your authenticator."),
    votes.ProofRefused: (401, "The confirmation ran out. Enter a new code."),
}


def _refusal(error: Exception) -> tuple[int, str]:
    return next(answer for kind, answer in _REFUSALS.items() if isinstance(error, kind))


def _again(
    request: HttpRequest, asked: AccessRequest, membership: Membership, words: str, *, status: int
) -> HttpResponse:
    """The same page with what is wrong, and what the person had written still in the form."""
    asked.refresh_from_db()
    context = _context(asked, membership, now=clock.now())
    context |= {"error": words, "reason": request.POST.get("reason", "")}
    return render(request, "request.html", context, status=status)


def _of_tenant(request_id: str, membership: Membership) -> AccessRequest:
    """Another tenant's request is as absent as one that never was."""
    found = AccessRequest.objects.select_related("tenant").filter(pk=request_id, tenant_id=membership.tenant_id).first()
    if found is None:
        raise Http404
    return found


def _context(asked: AccessRequest, membership: Membership, *, now: datetime) -> dict[str, Any]:
    cast = counting.votes_of(asked)
    asks = requirements.from_json(asked.requirements)
    pending = asked.status == Status.PENDING and now < asked.expires_at
    return {
        "asked": asked,
        "pending": pending,
        "state": asked.status if pending or asked.status != Status.PENDING else Status.EXPIRED,
        "left": asked.expires_at - now,
        "requirements": asks,
        "tally": counting.count(asked, asks, cast),
        "votes": cast,
        "mine": next((one for one in cast if one.human_id == membership.user.human_id), None),
        "timeline": story.timeline(asked),
        **_may(asked, membership),
    }


def _may(asked: AccessRequest, membership: Membership) -> dict[str, Any]:
    try:
        needed = votes.needed_step_up(asked, membership)
    except votes.SelfApproval:
        return {"eligible": False, "why_not": _REFUSALS[votes.SelfApproval][1]}
    except votes.NotEligible:
        return {"eligible": False, "why_not": "Only members of the teams that are asked can vote."}
    has_device = totp.live_since(membership.user) is not None
    return {"eligible": True, "needs_code": needed != StepUp.NONE, "has_device": has_device}


def _note_first_seen(request: HttpRequest, request_id: str) -> None:
    """Kept in the reader's session: looking at a page changes nothing that anybody else could see."""
    seen = request.session.get(_FIRST_SEEN, {})
    if request_id not in seen:
        kept = dict(list(seen.items())[-_REMEMBERED:])
        request.session[_FIRST_SEEN] = {**kept, request_id: clock.now().isoformat()}


def _first_seen(request: HttpRequest, request_id: str) -> datetime | None:
    at = request.session.get(_FIRST_SEEN, {}).get(request_id)
    return datetime.fromisoformat(at) if at else None
