"""What was decided and why, for those who answer for it; of their own requests, for those who were asked."""

import json
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals import alerting, decisions, inbox
from approvals.decisions import Decided, Wanted
from approvals.views.chrome import for_members, reads_decisions
from evidence import clock
from registry.models import Membership

OUTCOMES = ("allow", "deny", "escalate")
_DIGITS = 18  # of a place in a log


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    if not reads_decisions(membership):
        return render(request, "decisions_refused.html", status=403)
    wanted = Wanted(*(request.GET.get(name, "").strip() for name in ("outcome", "agent", "tool")))
    before = request.GET.get("before", "")
    number = int(before) if before.isdecimal() and len(before) <= _DIGITS else None
    found = decisions.page(membership.tenant.slug, wanted=wanted, before=number)
    filters = {name: getattr(wanted, name) for name in ("outcome", "agent", "tool") if getattr(wanted, name)}
    context = {
        "found": found,
        "wanted": wanted,
        "outcomes": OUTCOMES,
        "filtered": bool(filters),
        "scanned": f"{decisions.SCANNED:,}",
        "newest": f"?{urlencode(filters)}" if filters else "/decisions/",
        "older": f"?{urlencode({**filters, 'before': found.following})}",
        "first": number is None,
        "alerts": alerting.latest(membership.tenant.slug, now=clock.now()) if number is None else (),
    }
    return render(request, "decisions.html", context)


@require_safe
@for_members
def why(request: HttpRequest, membership: Membership, evaluation_id: str) -> HttpResponse:
    found = decisions.one(membership.tenant.slug, evaluation_id)
    if not (reads_decisions(membership) or (found and _was_asked(found, membership))):
        return render(request, "decisions_refused.html", status=403)
    if found is None:
        raise Http404
    record = json.dumps(found.predicate, indent=2, ensure_ascii=True, sort_keys=True)
    return render(request, "decision.html", {"decided": found, "record": record})


def _was_asked(decided: Decided, membership: Membership) -> bool:
    return decided.request_id is not None and inbox.concerns(membership, decided.request_id)
