"""What was decided and why, for those who answer for it."""

import json

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals import decisions
from approvals.views.chrome import for_members
from registry.models import Membership, Role

READERS = frozenset({Role.ADMIN.value, Role.AUDITOR.value, Role.OPERATOR.value, Role.POLICY_AUTHOR.value})


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    if not READERS & set(membership.roles):
        return render(request, "decisions_refused.html", status=403)
    before = request.GET.get("before", "")
    rows, following = decisions.page(membership.tenant.slug, before=int(before) if before.isdecimal() else None)
    return render(request, "decisions.html", {"rows": rows, "following": following, "first": not before})


@require_safe
@for_members
def why(request: HttpRequest, membership: Membership, evaluation_id: str) -> HttpResponse:
    if not READERS & set(membership.roles):
        return render(request, "decisions_refused.html", status=403)
    found = decisions.one(membership.tenant.slug, evaluation_id)
    if found is None:
        raise Http404
    record = json.dumps(found.predicate, indent=2, ensure_ascii=True, sort_keys=True)
    return render(request, "decision.html", {"decided": found, "record": record})
