"""What waits for whom, kept fresh without a reload."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals import inbox
from approvals.views.chrome import for_members
from evidence import clock
from registry.models import Membership


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    return render(request, "inbox.html", _context(membership))


@require_safe
@for_members
def rows(request: HttpRequest, membership: Membership) -> HttpResponse:
    """The lists alone, for the page that is open."""
    return render(request, "parts/inbox_rows.html", _context(membership))


def _context(membership: Membership) -> dict[str, Any]:
    now = clock.now()
    return {"inbox": inbox.of(membership, now=now), "now": now}
