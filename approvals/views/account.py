"""One's own account: the authenticator that step-up asks for, and the tenant one works in."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from approvals import enrolment, totp
from approvals.models import TotpDevice
from approvals.views.chrome import for_members
from evidence import clock
from registry import access
from registry.models import Membership

_DIGITS = 18  # of a row's number


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    mine = TotpDevice.objects.filter(user=membership.user, confirmed_at__isnull=False, disabled_at__isnull=True)
    others = membership.user.memberships.filter(active=True).exclude(pk=membership.pk).select_related("tenant")
    now = clock.now()
    context = {"device": mine.first(), "counts_from": totp.counts_from(membership.user, now=now), "now": now}
    return render(request, "account.html", {**context, "others": others})


@never_cache
@require_POST
@for_members
def begin(request: HttpRequest, membership: Membership) -> HttpResponse:
    """A new seed, shown on this answer alone."""
    made = enrolment.begin(membership.user, now=clock.now())
    replacing = totp.live_since(membership.user) is not None
    return render(request, "account_enrol.html", {"enrolment": made, "replacing": replacing})


@never_cache
@sensitive_post_parameters()
@require_POST
@for_members
def confirm(request: HttpRequest, membership: Membership) -> HttpResponse:
    try:
        codes = enrolment.confirm(
            membership,
            _number(request.POST.get("device", "")),
            request.POST.get("code", ""),
            current_code=request.POST.get("current_code") or None,
            now=clock.now(),
        )
    except enrolment.WrongFirstCode:
        messages.error(request, "That code is not the new authenticator's. Start again with the new picture.", "error")
    except totp.Barred:
        messages.error(
            request, "Too many wrong codes disabled your authenticator. Ask an operator for another.", "error"
        )
    except (enrolment.AlreadyEnrolled, totp.NotPassed):
        messages.error(request, "To replace your authenticator, enter a code of the present one too.", "error")
    else:
        return render(request, "account_codes.html", {"codes": codes})
    return redirect("/account/")


def _number(text: str) -> int:
    """The device a form names; 0, which none has, for anything else."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0


@require_POST
@for_members
def choose_tenant(request: HttpRequest, membership: Membership) -> HttpResponse:  # noqa: ARG001  for_members passes it
    try:
        access.choose(request, request.POST.get("tenant", ""))
    except access.NoMembership:
        messages.error(request, "You are not an active member there.", "error")
    return redirect("/inbox/")
