"""Asking for a waiver: the form, what it would mean in words, and then the asking itself."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals.models import Waiver
from approvals.views import waivers_form
from approvals.views.chrome import for_members
from approvals.views.waivers_controls import KINDS
from approvals.views.waivers_form import Typed
from approvals.views.waivers_grant import LATELY
from approvals.waivers import asking, drafting, drafts, register, wording
from approvals.waivers.asking import Drafted
from countersign.policy.faults import InvalidError
from countersign.policy.rules import TOOL_RULE
from countersign.policy.values import Outcome
from countersign.policy.waiver_scope import CEILINGS
from countersign.policy.waiver_terms import MAX_CONTROLS, Metric
from evidence import clock
from registry import snapshot
from registry.models import Membership

WRONG = 422
_LISTED = 500  # names that a form offers; more are typed
_METRICS = {
    Metric.USES: "calls it let through",
    Metric.FAILED: "of those that failed, in percent",
    Metric.DIVERGED: "of those that a verifier saw differ",
}


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Pressing a button that adds or takes away a control, or looks at it in words, asks for nothing yet."""
    if request.method != "POST":
        return _shown(request, membership, _begun(request, membership))
    form = waivers_form.typed(request.POST, request.POST.getlist)
    wanted, _, place = request.POST.get("do", "preview").partition("-")
    if wanted == "add":
        waivers_form.add(form, request.POST.get("add", ""))
    elif wanted == "remove":
        waivers_form.remove(form, place)
    elif wanted == "ask":
        return _asked(request, membership, form)
    elif wanted != "edit":
        return preview(request, membership, form)
    return _shown(request, membership, form)


def preview(request: HttpRequest, membership: Membership, form: Typed) -> HttpResponse:
    """What would be asked, in words; the form again if it could not be."""
    now = clock.now()
    try:
        drafted = asking.draft(membership.tenant, form.terms(), by=membership, now=now)
    except InvalidError as error:
        return _again(request, membership, form, error)
    return render(request, "waivers_preview.html", {"form": form, **_in_words(drafted, membership, now=now)})


def _asked(request: HttpRequest, membership: Membership, form: Typed) -> HttpResponse:
    try:
        waiver = drafting.once(membership.tenant, form.terms(), by=membership, now=clock.now())
    except InvalidError as error:
        return _again(request, membership, form, error)
    messages.success(request, "Asked. It lets nothing through before others have granted it.", extra_tags="done")
    return redirect(f"/waivers/{waiver.pk}/")


def _again(request: HttpRequest, membership: Membership, form: Typed, error: InvalidError) -> HttpResponse:
    form.refuse(error.faults)
    return _shown(request, membership, form, status=WRONG)


def _begun(request: HttpRequest, membership: Membership) -> Typed:
    """An empty form, what a draft proposes, or what an earlier waiver said, to be asked for anew."""
    drafted, earlier = request.GET.get("draft", ""), request.GET.get("renews", "")
    if drafted:
        return _proposed(drafted, membership)
    if not earlier:
        return waivers_form.empty(owner=membership.user.username)
    found = Waiver.objects.filter(tenant_id=membership.tenant_id, pk=earlier).first()
    if found is None:
        raise Http404
    return waivers_form.of_terms({**found.terms["terms"], "renews": found.pk, "not_before": None, "expires_at": None})


def _proposed(name: str, membership: Membership) -> Typed:
    """A blueprint's draft, word for word: it may be changed before it is asked for, as all that is typed may."""
    found = drafts.find(membership.tenant, name)
    if found is None:
        raise Http404
    return waivers_form.of_terms(dict(found.terms))


def _shown(request: HttpRequest, membership: Membership, form: Typed, *, status: int = 200) -> HttpResponse:
    return render(request, "waivers_new.html", {"form": form, **offered(membership, form)}, status=status)


def offered(membership: Membership, form: Typed) -> dict[str, Any]:
    """What the form offers to choose among: what the policy and the registry are now."""
    bundle = snapshot.at_least(membership.tenant.slug, membership.tenant.epoch).bundle
    rules = [
        {"id": rule.id, "effect": rule.effect.value, "words": rule.message, "chosen": rule.id in form.rules}
        for rule in bundle.policy.rules
        if rule.waivable and rule.effect is not Outcome.ALLOW
    ]
    if any(tool.tool.always_escalates for tool in bundle.tools.values()):
        words = "What a tool asks by itself, whatever the policy says. For one tool at a time."
        rules.append({"id": TOOL_RULE, "effect": "escalate", "words": words, "chosen": TOOL_RULE in form.rules})
    offered_ids = {rule["id"] for rule in rules}
    rules += [
        {"id": one, "effect": "", "words": "Not a rule that may be waived now.", "chosen": True}
        for one in form.rules
        if one not in offered_ids
    ]
    tools = [
        {"id": name, "tier": int(tool.tool.risk_tier), "days": CEILINGS[tool.tool.risk_tier].days}
        for name, tool in sorted(bundle.tools.items())
        if tool.tool.active
    ]
    return {
        "rules": rules,
        "tools": tools[:_LISTED],
        "agents": sorted(bundle.agents)[:_LISTED],
        "people": people(membership),
        "kinds": KINDS.values(),
        "metrics": [(name.value, words) for name, words in _METRICS.items()],
        "ceilings": [(int(tier), limit.days) for tier, limit in CEILINGS.items()],
        "full": len(form.controls) >= MAX_CONTROLS,
    }


def people(membership: Membership) -> list[str]:
    """Who may be named as an owner, or to confirm something."""
    active = membership.tenant.memberships.filter(active=True).order_by("user__username")
    return list(active.values_list("user__username", flat=True)[:_LISTED])


def _in_words(drafted: Drafted, membership: Membership, *, now: datetime) -> dict[str, Any]:
    scope = drafted.scope
    teams = sorted({team for one in scope.requirements for team in one.teams})
    kept_out = membership.tenant.memberships.filter(user__human_id__in=drafted.kept_out, active=True)
    may_see = register.may_see_calls(membership, teams)
    return {
        "title": wording.title_of(drafted.terms.written),
        "facts": wording.facts(drafted.terms.written),
        "scope": scope,
        "tier": int(scope.risk_tier),
        "ceiling": CEILINGS[scope.risk_tier].days,
        "kept_out": list(kept_out.order_by("user__username").values_list("user__username", flat=True)),
        "may_see": may_see,
        "covered": register.covered(membership.tenant, drafted.terms, since=now - LATELY) if may_see else None,
    }
