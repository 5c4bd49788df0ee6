"""The first page: what waits for me, and where to go."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals import alerting, inbox, totp
from approvals.models import Waiver
from approvals.views.chrome import for_members, reads_decisions
from approvals.waivers.models import LIVE
from evidence import clock
from registry import people
from registry.models import Membership


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    now = clock.now()
    context = {
        "inbox": inbox.of(membership, now=now),
        "now": now,
        "waivers": Waiver.objects.filter(tenant=membership.tenant, state__in=LIVE, expires_at__gt=now).count(),
        "alerts": alerting.latest(membership.tenant.slug, now=now) if reads_decisions(membership) else (),
        "without_authenticator": bool(people.team_names(membership)) and totp.live_since(membership.user) is None,
    }
    return render(request, "dashboard.html", context)
