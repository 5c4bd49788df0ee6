"""A vote begun in a chat, confirmed here: the request in full, the number shown there, and a fresh code."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from approvals import intents, problems
from approvals.models import Intent
from approvals.views.chrome import for_members
from approvals.views.request import first_seen, note_first_seen, whole
from evidence import clock
from registry import access
from registry.models import Membership


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def page(request: HttpRequest, membership: Membership, request_id: str) -> HttpResponse:
    """Opening the link shows; only the form votes. It is the same page whatever tenant the person works in just now."""
    given = request.POST if request.method == "POST" else request.GET
    intent = _mine(given.get("intent", ""), request_id, membership)
    if request.method == "POST":
        return _confirmed(request, intent)
    note_first_seen(request, request_id)
    context = _context(intent, now=clock.now())
    return render(request, "confirm.html", context, status=200 if context["open"] else 410)


def _confirmed(request: HttpRequest, intent: Intent) -> HttpResponse:
    try:
        intents.confirm(
            intent,
            number=request.POST.get("number", ""),
            code=request.POST.get("code", ""),
            seen=request.POST.get("seen", ""),
            now=clock.now(),
            first_seen_at=first_seen(request, intent.request_id),
        )
    except problems.REFUSALS as error:
        told = problems.refusal(error)
        intent.request.refresh_from_db()
        context = {**_context(intent, now=clock.now()), "error": told.words}
        return render(request, "confirm.html", context, status=told.status)
    access.choose(request, intent.membership.tenant.slug)
    messages.success(request, f"Your vote is recorded: {intent.get_decision_display().lower()}.", extra_tags="done")
    return redirect(f"/requests/{intent.request_id}/")


def _mine(intent_id: str, request_id: str, membership: Membership) -> Intent:
    try:
        return intents.find(intent_id, request_id=request_id, user=membership.user)
    except intents.UnknownIntent:
        raise Http404 from None


def _context(intent: Intent, *, now: datetime) -> dict[str, Any]:
    shown = whole(intent.request, intent.membership, now=now)
    return {**shown, "intent": intent, "open": shown["pending"] and intents.is_open(intent, now=now)}
