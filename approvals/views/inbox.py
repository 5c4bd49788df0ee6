"""What waits for whom, kept fresh without a reload."""

from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from approvals import inbox
from approvals.views.chrome import NOTHING_NEW, for_members
from evidence import clock
from registry.models import Membership

_PAGES = 5  # digits of a page number anybody may ask for


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    return render(request, "inbox.html", _context(request, membership))


@require_safe
@for_members
def rows(request: HttpRequest, membership: Membership) -> HttpResponse:
    """The lists alone, for the page that is open; nothing at all if they read as they did."""
    context = _context(request, membership)
    if context["version"] == request.GET.get("was"):
        return HttpResponse(status=NOTHING_NEW)
    return render(request, "parts/inbox_rows.html", {**context, "swapped": True})


def _context(request: HttpRequest, membership: Membership) -> dict[str, Any]:
    now = clock.now()
    agent = request.GET.get("agent") or None
    number = request.GET.get("page", "")
    asked = int(number) if number.isdecimal() and len(number) <= _PAGES else 1
    found = inbox.of(membership, now=now, agent=agent, page=asked)
    context = {"inbox": found, "now": now, "agent": agent, "grouped": found.total > inbox.GROUPED_ABOVE}
    lists = render_to_string("parts/inbox_lists.html", context)
    return {**context, "lists": lists, "version": sha256(lists.encode()).hexdigest()[:16]}
