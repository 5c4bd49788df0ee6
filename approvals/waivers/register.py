"""A tenant or a waiver in; the rows, numbers and warnings that pages, API and reminders tell of it out. Read only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from django.db.models import Q, QuerySet

from approvals.models import AccessRequest
from approvals.waivers import traffic
from approvals.waivers.covering import Covered as Covered
from approvals.waivers.covering import Sample as Sample
from approvals.waivers.covering import covered as covered
from approvals.waivers.models import LIVE, Waiver
from approvals.waivers.traffic import Traffic
from countersign.proof.events import Event
from evidence.models import Record
from registry import people
from registry.models import Membership, Role, Tenant

SHARE: Final = 0.5
"""Of the calls that its rules held up: what a waiver carries beyond this is policy, not an exception."""
LEAST_USES: Final = 20
RENEWALS: Final = 3
WINDOW: Final = timedelta(days=30)
COUNTED: Final = 20_000
"""Uses of one waiver that are read at most, the newest."""

READERS: Final = frozenset({Role.ADMIN, Role.AUDITOR, Role.OPERATOR, Role.POLICY_AUTHOR})
"""Who reads every decision of the tenant."""


class Name(StrEnum):
    """What may be the matter with a waiver."""

    POLICY_NOW = "policy_now"
    RENEWED_OFTEN = "renewed_often"


class Flag(NamedTuple):
    """Something an owner should think about: a name for programs, words for people."""

    name: Name
    words: str


class Day(NamedTuple):
    """A UTC day and how many uses it saw."""

    day: date
    uses: int


@dataclass(frozen=True, slots=True)
class _Share:
    mine: int
    all: int


# --- the list


def listed(
    tenant: Tenant,
    *,
    state: str | None = None,
    owner: str | None = None,
    tool: str | None = None,
    rule: str | None = None,
    q: str = "",
) -> QuerySet[Waiver]:
    """Waivers of a tenant, the last asked for first.

    `state` is one of `State`, or `live` for active and suspended ones; `owner` a username; `tool` and `rule` are whole
    names it is pinned to; `q` is looked for in id, reason, ticket, owner and who asked.
    """
    rows = Waiver.objects.filter(tenant=tenant).select_related("owner__user", "asked_by__user", "request", "tenant")
    if state:
        rows = rows.filter(state__in=LIVE) if state == "live" else rows.filter(state=state)
    if owner:
        rows = rows.filter(owner__user__username=owner)
    if tool:
        rows = rows.filter(terms__pinned__tools__has_key=tool)
    if rule:
        rows = rows.filter(terms__pinned__rules__has_key=rule)
    if q:
        rows = rows.filter(_mentions(q))
    return rows.order_by("-asked_at", "-pk")


def _mentions(text: str) -> Q:
    return (
        Q(pk__icontains=text)
        | Q(terms__terms__reason__icontains=text)
        | Q(terms__terms__ticket__icontains=text)
        | Q(owner__user__username__icontains=text)
        | Q(asked_by__user__username__icontains=text)
    )


def may_see_calls(membership: Membership, request_or_teams: AccessRequest | Sequence[str]) -> bool:
    """Whether a member may be told which calls terms would have covered: who reads every decision, or who is asked.

    A number under a condition of one's own choosing tells arguments as well as the arguments themselves do.
    """
    if not READERS.isdisjoint(membership.roles):
        return True
    asked = request_or_teams
    teams = {name for one in asked.requirements for name in one["teams"]} if isinstance(asked, AccessRequest) else asked
    return not people.team_names(membership).isdisjoint(teams)


# --- uses


def uses_by_day(waiver: Waiver) -> list[Day]:
    """Uses by UTC day, the oldest first, days without any left out. Of a waiver with more than `COUNTED` uses, those:
    its first day is then not whole.
    """
    days = Counter(at.astimezone(UTC).date() for at in _used_at(waiver))
    return [Day(day, days[day]) for day in sorted(days)]


def _used_at(waiver: Waiver) -> Sequence[datetime]:
    """When its newest uses were, as its thread tells: in it, each decision is a use."""
    uses = Record.objects.filter(log=waiver.tenant.slug, thread=waiver.request_id, event=Event.DECISION_MADE.value)
    return list(uses.order_by("-n").values_list("recorded_at", flat=True)[:COUNTED])


# --- flags


def flags(waiver: Waiver, *, now: datetime, seen: Traffic | None = None) -> list[Flag]:
    """What its owner should think about. `seen` is the tenant's `traffic.look` over `WINDOW`, if one asks of many."""
    found = []
    if waiver.uses >= LEAST_USES and (share := _share(waiver, now=now, seen=seen)):
        words = (
            f"This is policy now: {share.mine} of about {share.all} calls that its rules held up in the last "
            f"{WINDOW.days} days ran under this waiver. Change the rules instead of renewing it."
        )
        found.append(Flag(Name.POLICY_NOW, words))
    if waiver.renewal > RENEWALS:
        words = f"Renewed {waiver.renewal} times: what does not end is no exception."
        found.append(Flag(Name.RENEWED_OFTEN, words))
    return found


def _share(waiver: Waiver, *, now: datetime, seen: Traffic | None) -> _Share | None:
    """Its part of the calls that its rules held up, if that is more than `SHARE`. Its own uses are counted, the other
    calls estimated where the look was a sample.
    """
    since = now - WINDOW
    mine = sum(at >= since for at in _used_at(waiver))
    if mine < LEAST_USES:
        return None
    traffic_seen = seen or traffic.look(waiver.tenant.slug, since=since)
    rules = set(waiver.terms["pinned"]["rules"])
    others = sum(one.waiver != waiver.pk and not rules.isdisjoint(one.rules) for one in traffic_seen.calls)
    everything = mine + round(others * traffic_seen.factor)
    return _Share(mine, everything) if mine / everything > SHARE else None
