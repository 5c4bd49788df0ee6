"""One request: what is asked, who said what, and the form in which a person decides."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_safe

from approvals import card, counting, inbox, problems, requirements, shortage, shown, story, totp, votes
from approvals.models import AccessRequest, Decision, Status
from approvals.stepup import method_of, pass_totp
from approvals.views import waivers_grant
from approvals.views.chrome import NOTHING_NEW, for_members, reads_decisions
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
    note_first_seen(request, request_id)
    return render(request, "request.html", whole(asked, membership, now=clock.now()))


@require_safe
@for_members
def live(request: HttpRequest, membership: Membership, request_id: str) -> HttpResponse:
    """The part that changes while one looks: state, votes, time left, timeline. Never the form one is filling in."""
    context = _context(_of_tenant(request_id, membership), membership, now=clock.now())
    if request.GET.get("state") == Status.PENDING and context["state"] != Status.PENDING:
        response = HttpResponse(status=NOTHING_NEW)
        response["HX-Refresh"] = "true"  # decided elsewhere: the form must go
        return response
    if request.GET.get("was") == context["version"]:
        return HttpResponse(status=NOTHING_NEW)
    return render(request, "parts/request_live.html", {**context, "swapped": True})


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def vote(request: HttpRequest, membership: Membership, request_id: str) -> HttpResponse:
    """Takes a vote. Who comes by GET, as after signing in anew, is shown the request and has voted nothing."""
    asked = _of_tenant(request_id, membership)
    if request.method != "POST":
        return redirect(f"/requests/{request_id}/")
    try:
        decision = Decision(request.POST.get("decision", ""))
        _cast(request, asked, membership, decision)
    except ValueError:
        return _again(request, asked, membership, "Choose approve or deny.", status=400)
    except problems.REFUSALS as error:
        told = problems.refusal(error)
        return _again(request, asked, membership, told.words, status=told.status)
    messages.success(request, f"Your vote is recorded: {decision.label.lower()}.", extra_tags="done")
    return redirect(f"/requests/{request_id}/")


def _cast(request: HttpRequest, asked: AccessRequest, membership: Membership, decision: Decision) -> None:
    """The step-up if one is needed, then the vote, both bound to what the page showed."""
    now, seen, code = clock.now(), request.POST.get("seen", ""), request.POST.get("code", "")
    bound: dict[str, Any] = {"tenant_id": membership.tenant_id, "membership": membership}
    bound |= {"decision": decision, "seen": seen}
    proof = None
    if code.strip() and votes.needed_step_up(asked, membership) != StepUp.NONE:
        proof = pass_totp(asked.pk, method=method_of(code), code=code, surface=SURFACE, now=now, **bound).pk
    votes.cast(
        asked.pk,
        reason=request.POST.get("reason", "").strip(),
        step_up=proof,
        surface=SURFACE,
        now=now,
        first_seen_at=first_seen(request, asked.pk),
        **bound,
    )


def _again(
    request: HttpRequest, asked: AccessRequest, membership: Membership, words: str, *, status: int
) -> HttpResponse:
    """The same page with what is wrong, and what the person had written still in the form."""
    asked.refresh_from_db()
    context = whole(asked, membership, now=clock.now())
    context |= {"error": words, "reason": request.POST.get("reason", "")}
    return render(request, "request.html", context, status=status)


def _of_tenant(request_id: str, membership: Membership) -> AccessRequest:
    """Another tenant's request is as absent as one that never was."""
    found = AccessRequest.objects.select_related("tenant").filter(pk=request_id, tenant_id=membership.tenant_id).first()
    if found is None:
        raise Http404
    return found


def whole(asked: AccessRequest, membership: Membership, *, now: datetime) -> dict[str, Any]:
    """All that a page about one request needs to show it to this member."""
    reads_why = reads_decisions(membership) or inbox.concerns(membership, asked.pk)
    context = _context(asked, membership, now=now)
    grant = waivers_grant.of(asked, membership, pending=context["pending"], now=now)
    return {**context, "reads_why": reads_why, "grant": grant}


def _context(asked: AccessRequest, membership: Membership, *, now: datetime) -> dict[str, Any]:
    cast = counting.votes_of(asked)
    asks = requirements.from_json(asked.requirements)
    pending = asked.status == Status.PENDING and now < asked.expires_at
    told = story.story(asked, now=now)
    lines = shown.lines_of(asked)
    grants = asked.asked_by_id is not None
    live = {
        "asked": asked,
        "now": now,
        "pending": pending,
        "state": asked.status if pending or asked.status != Status.PENDING else Status.EXPIRED,
        "tally": counting.count(asked, asks, cast),
        "short": shortage.of(asked) if pending else None,
        "votes": cast,
        "timeline": told.timeline,
        "after": told.after,
        "waiver": asked.waiver if grants else None,
    }
    standing = render_to_string("parts/request_standing.html", live)
    return {
        **live,
        "standing": standing,
        "version": sha256(f"{standing}{told.timeline}".encode()).hexdigest()[:16],
        "card": card.card(lines, grants=grants),
        "title": card.exception((line["label"], line["value"]) for line in lines) if grants else "",
        "mine": next((one for one in cast if one.human_id == membership.user.human_id), None),
        **_may(asked, membership, now=now),
    }


def _may(asked: AccessRequest, membership: Membership, *, now: datetime) -> dict[str, Any]:
    if not shown.is_whole(asked):
        return {"eligible": False, "why_not": "What is shown is not what was recorded. Tell an administrator."}
    try:
        needed = votes.needed_step_up(asked, membership)
    except votes.NotEligible as error:
        return {"eligible": False, "why_not": problems.refusal(error).words}
    counts_from = totp.counts_from(membership.user, now=now)
    return {"eligible": True, "needs_code": needed != StepUp.NONE, "counts_from": counts_from}


def note_first_seen(request: HttpRequest, request_id: str) -> None:
    """Kept in the reader's session: looking at a page changes nothing that anybody else could see."""
    seen = request.session.get(_FIRST_SEEN, {})
    if request_id not in seen:
        kept = dict(list(seen.items())[-_REMEMBERED:])
        request.session[_FIRST_SEEN] = {**kept, request_id: clock.now().isoformat()}


def first_seen(request: HttpRequest, request_id: str) -> datetime | None:
    """When this session first saw it; None if it never did."""
    at = request.session.get(_FIRST_SEEN, {}).get(request_id)
    return datetime.fromisoformat(at) if at else None
