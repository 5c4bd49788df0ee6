"""Pages of executions whose end nobody knows: which wait for a person, one of them whole, and the form to settle it."""

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from approvals.views.chrome import READ_EXECUTIONS, for_members
from enforcement import custody, reconciling
from enforcement.custody import Row
from enforcement.models import Custody
from enforcement.refused import REFUSALS, refusal
from evidence import clock
from registry.models import Membership

_DIGITS: Final = 5  # of a page number anybody may ask for
_TOO_LITTLE: Final[Mapping[str, str]] = {
    "outcome": "Say whether it took effect.",
    "reason": "Say why you are sure, in at most 2,000 characters.",
    "evidence": "Name where others can look it up, in at most 2,000 characters.",
}
_DONE: Final = {
    Custody.COMMITTED: "Settled: the call took effect. It may be asked for again, as a new one.",
    Custody.FAILED: "Settled: the call took no effect. It may be asked for again.",
}


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    if not _reads(membership):
        return render(request, "executions_refused.html", status=403)
    asked = request.GET.get("page", "")
    number = max(int(asked), 1) if asked.isdecimal() and len(asked) <= _DIGITS else 1
    waiting = custody.waiting(membership.tenant, page=number)
    context = {
        "waiting": waiting[: custody.PAGE],
        "lately": custody.lately(membership.tenant) if number == 1 else (),
        "earlier": f"?page={number - 1}" if number > 1 else "",
        "later": f"?page={number + 1}" if len(waiting) > custody.PAGE else "",
        "now": clock.now(),
    }
    return render(request, "executions.html", context)


@require_safe
@for_members
def one(request: HttpRequest, membership: Membership, evaluation_id: str) -> HttpResponse:
    if not _reads(membership):
        return render(request, "executions_refused.html", status=403)
    return _shown(request, membership, _row(evaluation_id, membership))


@require_POST
@for_members
def reconcile(request: HttpRequest, membership: Membership, evaluation_id: str) -> HttpResponse:
    """What a person found out, or the form again with what is wrong with it and what was typed."""
    if not _reads(membership):
        return render(request, "executions_refused.html", status=403)
    typed = {name: request.POST.get(name, "").strip() for name in _TOO_LITTLE}
    wrong = {name: words for name, words in _TOO_LITTLE.items() if not 0 < len(typed[name]) <= reconciling.MAX_WORDS}
    if typed["outcome"] not in reconciling.OUTCOMES:
        wrong["outcome"] = _TOO_LITTLE["outcome"]
    if wrong:
        return _shown(request, membership, _row(evaluation_id, membership), status=422, wrong=wrong, typed=typed)
    outcome = Custody(typed["outcome"])
    try:
        reconciling.reconcile(
            evaluation_id, by=membership, outcome=outcome, reason=typed["reason"], evidence=typed["evidence"],
            now=clock.now(),
        )  # fmt: skip
    except reconciling.UnknownExecution:
        raise Http404 from None
    except REFUSALS as error:
        told = refusal(error)
        again = _row(evaluation_id, membership)
        return _shown(request, membership, again, status=told.status, refused=told.words, typed=typed)
    messages.success(request, _DONE[outcome], extra_tags="done")
    return redirect(f"/executions/{evaluation_id}/")


def _reads(membership: Membership) -> bool:
    return bool(READ_EXECUTIONS & set(membership.roles))


def _row(evaluation_id: str, membership: Membership) -> Row:
    """Another tenant's is as absent as one that never was."""
    try:
        return custody.one(evaluation_id, membership.tenant)
    except reconciling.UnknownExecution:
        raise Http404 from None


def _shown(request: HttpRequest, membership: Membership, row: Row, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "row": row,
        "execution": row.execution,
        "settled": getattr(row.execution, "reconciliation", None),
        "told": row.execution.report,
        "findings": custody.findings(row),
        "why_not": custody.why_not(row, membership),
        "now": clock.now(),
    }
    return render(request, "execution.html", {**context, **more}, status=status)
