"""Approve and remember: from a request, a draft of a waiver of exactly its shape. It asks for nothing by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from approvals import card, problems, shown, votes
from approvals.models import AccessRequest
from approvals.views import waivers_ask, waivers_form, waivers_values
from approvals.views.chrome import for_members
from approvals.waivers import asking, remembering
from approvals.waivers.remembering import CannotRemember, Choice, Shape
from countersign.policy.bundle import CompiledTool
from countersign.policy.faults import InvalidError
from countersign.policy.waiver_scope import CEILINGS, NO_TOOL
from evidence import clock, keys
from registry import snapshot
from registry.models import Membership

_USUALLY: Final = timedelta(days=7)
_SAID: Final = ("reason", "owner", "ticket", "expires_at", "max_uses")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, the shape of its call, and the tool as it is registered now (None: it is none)."""

    request: AccessRequest
    shape: Shape
    tool: CompiledTool | None

    @property
    def choices(self) -> list[Choice]:
        spend = self.tool.tool.caps.spend if self.tool else None
        return remembering.choices(self.shape, money=spend.argument if spend else None)

    @property
    def is_wrapper(self) -> bool:
        return self.tool is not None and self.tool.tool.wrapper


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def page(request: HttpRequest, membership: Membership, request_id: str) -> HttpResponse:
    """Only for who could vote on the request: they have read it."""
    found = AccessRequest.objects.select_related("tenant").filter(pk=request_id, tenant_id=membership.tenant_id).first()
    if found is None or found.asked_by_id is not None:
        raise Http404
    try:
        votes.needed_step_up(found, membership)
        asked = _asked(found, membership)
    except votes.NotEligible as error:
        return _refused(request, found, problems.refusal(error).words)
    except CannotRemember as error:
        return _refused(request, found, str(error))
    if request.method != "POST":
        return _shown(request, membership, asked, chosen=None)
    return _drafted(request, membership, asked)


def _asked(found: AccessRequest, membership: Membership) -> _Asked:
    try:
        action, arguments = shown.action_of(found), shown.arguments_of(found)
    except keys.CannotUnseal:
        action = arguments = None
    if action is None or arguments is None or not shown.is_whole(found):
        raise CannotRemember("What this request asked for was erased, or is not what was recorded.")
    rules = [one["rule"] for one in found.reasons if one.get("rule")]
    shape = remembering.shape(action, arguments, rules)
    bundle = snapshot.at_least(membership.tenant.slug, membership.tenant.epoch).bundle
    return _Asked(found, shape, bundle.tools.get(shape.resource[1]) if shape.resource[0] == "tool" else None)


def _drafted(request: HttpRequest, membership: Membership, asked: _Asked) -> HttpResponse:
    """In words, on the page from which it is asked for; this one again if it could not be asked for."""
    chosen = set(request.POST.getlist("argument"))
    said = {name: waivers_values.value(name, request.POST.get(name, "")) for name in _SAID}
    terms = remembering.terms(
        asked.shape,
        [one for one in asked.choices if str(one.place) in chosen],
        for_principal="principal" in request.POST,
        wrapper=asked.is_wrapper,
        **{name: value for name, value in said.items() if value or name in {"reason", "owner", "expires_at"}},
    )
    try:
        asking.draft(membership.tenant, terms, by=membership, now=clock.now())
    except InvalidError as error:
        return _shown(request, membership, asked, chosen=chosen, error=error)
    return waivers_ask.preview(request, membership, waivers_form.of_terms(terms))


def _shown(
    request: HttpRequest,
    membership: Membership,
    asked: _Asked,
    *,
    chosen: set[str] | None,
    error: InvalidError | None = None,
) -> HttpResponse:
    now = clock.now()
    form = _typed(request, membership, asked, now=now)
    if error is not None:
        form.refuse(error.faults)
    context = {
        "asked": asked.request,
        "shape": asked.shape,
        "form": form,
        "arguments": [_argument(one, chosen) for one in asked.choices],
        "for_principal": chosen is None or "principal" in request.POST,
        "people": waivers_ask.people(membership),
        "days": _ceiling(asked).days,
        "is_wrapper": asked.is_wrapper,
        "elsewhere": [one for name in _elsewhere(form.errors) for one in form.errors[name]],
    }
    return render(request, "waivers_remember.html", context, status=waivers_ask.WRONG if error else 200)


def _typed(request: HttpRequest, membership: Membership, asked: _Asked, *, now: datetime) -> waivers_form.Typed:
    if request.method == "POST":
        return waivers_form.typed(request.POST, lambda _: [])
    until = now + min(_USUALLY, _ceiling(asked) - timedelta(hours=1))
    return waivers_form.empty(owner=membership.user.username, expires_at=waivers_values.local(until))


def _argument(one: Choice, chosen: set[str] | None) -> dict[str, Any]:
    return {"choice": one, "rows": card.card(one.lines).what, "chosen": chosen is None or str(one.place) in chosen}


def _elsewhere(errors: dict[str, list[str]]) -> Sequence[str]:
    """What is wrong with something that this page does not ask for."""
    return [name for name in errors if name not in _SAID]


def _ceiling(asked: _Asked) -> timedelta:
    return CEILINGS[asked.tool.tool.risk_tier if asked.tool else NO_TOOL]


def _refused(request: HttpRequest, found: AccessRequest, words: str) -> HttpResponse:
    return render(request, "waivers_remember_refused.html", {"asked": found, "words": words}, status=403)
