"""The register of waivers: which there are, what ends soon, and what has become a habit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Case, DateTimeField, F, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals.models import Waiver
from approvals.views import waivers_states
from approvals.views.chrome import for_members
from approvals.views.waivers_states import Standing
from approvals.waivers import calendar, drafts, register, traffic, wording
from approvals.waivers.models import LIVE, State
from approvals.waivers.register import Flag
from evidence import clock
from registry.models import Membership

PAGE: Final = 50
_FILTERS: Final = ("state", "owner", "tool", "rule", "q")
_DIGITS: Final = 5  # of a page number anybody may ask for
_MOVES: Final = (*LIVE, State.PENDING)
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One waiver in a list."""

    waiver: Waiver
    title: str
    reason: str
    standing: Standing
    flags: Sequence[Flag]

    @property
    def ends(self) -> bool:
        """Whether it still has an end to come."""
        return self.standing.name in {*_MOVES, waivers_states.BEGINS_LATER}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A draft of a blueprint, which a person may take up."""

    id: str
    title: str
    reason: str


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    now = clock.now()
    wanted = {name: request.GET.get(name, "").strip()[:_LONGEST] for name in _FILTERS}
    chosen = {name: text for name, text in wanted.items() if text}
    number = _number(request.GET.get("page", ""))
    found = _soonest_first(register.listed(membership.tenant, **chosen))
    some = list(found[(number - 1) * PAGE : number * PAGE + 1])
    people = Waiver.objects.filter(tenant=membership.tenant).order_by("owner__user__username")
    context = {
        "rows": _rows(some[:PAGE], membership, now=now),
        "wanted": wanted,
        "filtered": bool(chosen),
        "states": (("live", "In force or suspended"), *waivers_states.STATES),
        "owners": list(people.values_list("owner__user__username", flat=True).distinct()[:_LONGEST]),
        "now": now,
        "calendar_since": calendar.issued_at(membership),
        "earlier": _address(chosen, number - 1) if number > 1 else "",
        "drafts": _drafts(membership) if number == 1 and not chosen else (),
        "as_file": f"/waivers/register.csv?{urlencode(chosen)}" if chosen else "/waivers/register.csv",
        "later": _address(chosen, number + 1) if len(some) > PAGE else "",
    }
    return render(request, "waivers.html", context)


def _drafts(membership: Membership) -> list[Proposed]:
    """What blueprints propose and nobody has asked for in these words."""
    open_ = [one for one in drafts.listed(membership.tenant) if one.asked is None]
    return [Proposed(one.id, wording.title_of(one.terms), str(one.terms["reason"])) for one in open_]


def _number(text: str) -> int:
    return max(int(text), 1) if text.isdecimal() and len(text) <= _DIGITS else 1


def _address(chosen: dict[str, str], number: int) -> str:
    return f"/waivers/?{urlencode({**chosen, 'page': number})}"


def _soonest_first(rows: QuerySet[Waiver]) -> QuerySet[Waiver]:
    """What is still to end by when it does, then what has ended, the last first."""
    rank = Case(When(state__in=_MOVES, then=Value(0)), default=Value(1), output_field=IntegerField())
    due = Case(When(state__in=_MOVES, then=F("expires_at")), default=None, output_field=DateTimeField())
    return rows.alias(rank=rank, due=due).order_by("rank", F("due").asc(nulls_last=True), "-ended_at", "pk")


def _rows(waivers: Sequence[Waiver], membership: Membership, *, now: datetime) -> list[Row]:
    """One look at the traffic serves all of them, and is spared where none was used enough to matter."""
    used = any(one.state in LIVE and one.uses >= register.LEAST_USES for one in waivers)
    seen = traffic.look(membership.tenant.slug, since=now - register.WINDOW) if used else None
    return [_row(one, seen, now=now) for one in waivers]


def _row(waiver: Waiver, seen: Any, *, now: datetime) -> Row:
    standing = waivers_states.of(waiver, now=now)
    told = register.flags(waiver, now=now, seen=seen) if waiver.state in _MOVES else ()
    terms = waiver.terms["terms"]
    return Row(waiver, wording.title_of(terms), str(terms["reason"]), standing, told)
