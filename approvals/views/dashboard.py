"""The first page: what waits for me, and where to go."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals import inbox
from approvals.views.chrome import for_members
from approvals.views.decisions import READERS
from evidence import clock
from registry.models import Membership


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    mine = inbox.of(membership, now=clock.now())
    reads = bool(READERS & set(membership.roles))
    return render(request, "dashboard.html", {"inbox": mine, "now": clock.now(), "reads_decisions": reads})
