"""The person whom a waiver names vouches for a control of it, or takes their word back."""

from collections.abc import Callable
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from approvals.models import Waiver
from approvals.views.chrome import for_members
from approvals.views.waivers_one import answered
from approvals.waivers import controls
from evidence import clock
from registry.models import Membership

AT: Final = "controls"
_DIGITS: Final = 4  # of a control's place
_NOT_YOURS: Final = "Only the person whom the exception names confirms this."


@require_POST
@for_members
def confirm(request: HttpRequest, membership: Membership, waiver_id: str) -> HttpResponse:
    return _said(request, membership, waiver_id, controls.attest, "Your confirmation is recorded.")


@require_POST
@for_members
def take_back(request: HttpRequest, membership: Membership, waiver_id: str) -> HttpResponse:
    return _said(request, membership, waiver_id, controls.take_back, "Taken back. It lets nothing through without it.")


def _said(
    request: HttpRequest, membership: Membership, waiver_id: str, say: Callable[..., Waiver], done: str
) -> HttpResponse:
    place = request.POST.get("place", "")
    if not (place.isdecimal() and len(place) <= _DIGITS):
        raise Http404

    def act() -> str:
        say(waiver_id, int(place), tenant_id=membership.tenant_id, by=membership, now=clock.now())
        return done

    return answered(request, membership, waiver_id, AT, act, not_yours=_NOT_YOURS)
