"""A member's own calendar address: made, replaced or stopped here. Its feed is read without a session."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from approvals.views.chrome import for_members
from approvals.waivers import calendar
from registry.models import Membership


@never_cache
@require_POST
@for_members
def make(request: HttpRequest, membership: Membership) -> HttpResponse:
    """A new address, shown on this answer alone; the one before answers nothing any more."""
    address = calendar.address(calendar.issue(membership))
    return render(request, "waivers_calendar.html", {"address": address})


@require_POST
@for_members
def stop(request: HttpRequest, membership: Membership) -> HttpResponse:
    if calendar.stop(membership):
        messages.success(request, "Your calendar address answers nothing any more.", extra_tags="done")
    return redirect("/waivers/")
