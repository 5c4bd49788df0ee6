"""One waiver: what it lets through, on which grounds, how it is used, and the two ways to end it early."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from approvals import counting, problems, requirements, story
from approvals.models import Waiver
from approvals.views import waivers_states, waivers_uses, waivers_values
from approvals.views.chrome import READ_EVIDENCE, for_members
from approvals.waivers import ending, holding, moving, register, wording
from approvals.waivers.models import LIVE, Control, ControlKind, State
from countersign.policy.faults import Form
from countersign.policy.waiver_terms import moment
from evidence import clock
from registry.models import Membership

_RENEWALS: Final = 20  # of a chain, that a page follows
_LONGEST: Final = 2000


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership, waiver_id: str) -> HttpResponse:
    return _shown(request, membership, _of_tenant(waiver_id, membership))


@require_POST
@for_members
def revoke(request: HttpRequest, membership: Membership, waiver_id: str) -> HttpResponse:
    def act(why: str) -> str:
        ending.revoke(waiver_id, tenant_id=membership.tenant_id, by=membership, why=why, now=clock.now())
        return "Revoked. The next call is judged without it."

    return _acted(request, membership, waiver_id, "revoke", act)


@require_POST
@for_members
def shorten(request: HttpRequest, membership: Membership, waiver_id: str) -> HttpResponse:
    def act(why: str) -> str:
        until = _moment(request.POST.get("expires_at", ""))
        if until is None:
            raise ending.NotShorter(waiver_id)
        ending.shorten(
            waiver_id, tenant_id=membership.tenant_id, by=membership, expires_at=until, why=why, now=clock.now()
        )
        return f"It ends {wording.moment(until)} now."

    return _acted(request, membership, waiver_id, "shorten", act)


def _moment(text: str) -> datetime | None:
    return moment(Form(), waivers_values.value("expires_at", text), ())


def _acted(
    request: HttpRequest, membership: Membership, waiver_id: str, which: str, act: Callable[[str], str]
) -> HttpResponse:
    """An end that somebody brings about, with the reason they give for it."""
    why = request.POST.get("why", "").strip()
    if not why or len(why) > _LONGEST:
        words = "Say why, in at most 2,000 characters: it is kept as evidence."
        return _again(request, membership, waiver_id, which, words, status=422)
    return answered(request, membership, waiver_id, which, lambda: act(why))


def answered(
    request: HttpRequest,
    membership: Membership,
    waiver_id: str,
    which: str,
    act: Callable[[], str],
    *,
    not_yours: str = "",
) -> HttpResponse:
    """Do it and say what was done; where it is refused, say why, at the form `which`."""
    try:
        done = act()
    except moving.UnknownWaiver:
        raise Http404 from None
    except problems.REFUSALS as error:
        told = problems.refusal(error)
        words = not_yours if not_yours and isinstance(error, ending.NotYours) else told.words
        return _again(request, membership, waiver_id, which, words, status=told.status)
    messages.success(request, done, extra_tags="done")
    return redirect(f"/waivers/{waiver_id}/")


def _again(
    request: HttpRequest, membership: Membership, waiver_id: str, which: str, words: str, *, status: int
) -> HttpResponse:
    """The page with what is wrong at the form that was sent, and what was typed still in it."""
    waiver = _of_tenant(waiver_id, membership)
    typed = {"why": request.POST.get("why", ""), "expires_at": request.POST.get("expires_at", "")}
    return _shown(request, membership, waiver, status=status, wrong={"which": which, "words": words}, typed=typed)


def _of_tenant(waiver_id: str, membership: Membership) -> Waiver:
    """Another tenant's is as absent as one that never was."""
    rows = Waiver.objects.select_related("request__tenant", "tenant", "owner__user", "asked_by__user", "renews")
    found = rows.filter(pk=waiver_id, tenant_id=membership.tenant_id).first()
    if found is None:
        raise Http404
    return found


def _shown(
    request: HttpRequest, membership: Membership, waiver: Waiver, *, status: int = 200, **more: Any
) -> HttpResponse:
    return render(request, "waivers_one.html", {**_context(waiver, membership, now=clock.now()), **more}, status=status)


def _context(waiver: Waiver, membership: Membership, *, now: datetime) -> dict[str, Any]:
    asked, terms = waiver.request, waiver.terms["terms"]
    cast = counting.votes_of(asked)
    standing = waivers_states.of(waiver, now=now)
    live = waiver.state in LIVE and now < waiver.expires_at
    return {
        "waiver": waiver,
        "asked": asked,
        "title": wording.title_of(terms),
        "facts": wording.facts(terms),
        "standing": standing,
        "now": now,
        "live": live,
        "lack": holding.why_not(waiver, now=now) if waiver.state == State.SUSPENDED and live else "",
        "shortened": waiver.version > 1,
        "flags": register.flags(waiver, now=now) if live else (),
        "controls": [_control(one, membership, now=now, open_=live or _waits(waiver)) for one in _controls(waiver)],
        "tally": counting.count(asked, requirements.from_json(asked.requirements), cast),
        "votes": cast,
        "uses": waivers_uses.of(waiver, now=now),
        "timeline": story.story(asked, now=now).timeline,
        "before": _before(waiver),
        "after": list(waiver.renewals.order_by("asked_at", "pk")[:_RENEWALS]),
        "pins": waiver.terms["pinned"],
        "may_end": live and ending.may_end(waiver, membership),
        "reads_evidence": bool(READ_EVIDENCE & set(membership.roles)),
        "latest": waivers_values.local(waiver.expires_at),
    }


def _waits(waiver: Waiver) -> bool:
    return waiver.state == State.PENDING


def _controls(waiver: Waiver) -> list[Control]:
    return list(holding.controls_of(waiver))


def _control(control: Control, membership: Membership, *, now: datetime, open_: bool) -> dict[str, Any]:
    """How one control stands, and whether the reader is the one to vouch for it."""
    mine = control.kind == ControlKind.ATTESTATION and control.person_id == membership.pk
    return {
        "row": control,
        "words": wording.control(control.said),
        "lack": holding.lack_of(control, now=now).partition(": ")[2],
        "is_promise": control.kind == ControlKind.OBLIGATION,
        "confirms": mine and open_ and control.good_until is None,
        "takes_back": mine and open_ and control.good_until is not None,
        "found": "" if control.kind == ControlKind.ATTESTATION else control.found,
        "until": holding.good_until(control),
    }


def _before(waiver: Waiver) -> list[Waiver]:
    """What it renews, and what that renewed: the nearest first."""
    chain: list[Waiver] = []
    earlier = waiver.renews
    while earlier is not None and len(chain) < _RENEWALS:
        chain.append(earlier)
        earlier = earlier.renews
    return chain
