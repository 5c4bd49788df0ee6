"""A member in, the requests that concern them out: waiting for their vote, waiting for others, lately closed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Prefetch, QuerySet

from approvals import card, quorum, requirements, separation, shown, visible
from approvals.models import AccessRequest, Status, Vote
from registry import people
from registry.models import Membership

LIMIT = 50  # a page of what waits; the rest is told as a number, for nobody reads a thousand cards
GROUPED_ABOVE = 20
UNUSUAL = 100  # more than this for one person is no work list but an incident
SCANNED = 500
_LATELY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One request in a list, with its first arguments to tell it from its neighbours."""

    asked: AccessRequest
    title: str
    gist: str


@dataclass(frozen=True, slots=True)
class Group:
    """All that waits of one agent. Lists are long when one agent asks a lot; this says which."""

    agent: str
    count: int
    soonest: datetime


@dataclass(frozen=True, slots=True)
class Inbox:
    """What one member sees. `total` waits for them; `beyond` says that not even all of that was counted."""

    waiting: Sequence[Row]
    page: int
    total: int
    beyond: bool
    groups: Sequence[Group]
    others: Sequence[Row]
    closed: Sequence[Row]
    outcomes: Mapping[str, int]

    @property
    def first(self) -> int:
        """Place of the first listed one, counted from 1."""
        return (self.page - 1) * LIMIT + 1

    @property
    def last(self) -> int:
        return self.first + len(self.waiting) - 1

    @property
    def following(self) -> int | None:
        return self.page + 1 if self.page * LIMIT < self.listed else None

    @property
    def listed(self) -> int:
        """How many the pages hold together: all that wait, or those of the chosen agent."""
        return sum(group.count for group in self.groups)

    @property
    def is_unusual(self) -> bool:
        return self.total >= UNUSUAL


def of(membership: Membership, *, now: datetime, agent: str | None = None, page: int = 1) -> Inbox:
    """As of now: with the teams the member is in now, nearest deadline first; one agent's alone if it is named."""
    teams = people.team_names(membership)
    human = membership.user.human_id
    pending = _of_tenant(membership).filter(status=Status.PENDING, expires_at__gt=now).order_by("expires_at", "pk")
    scanned = list(pending[:SCANNED])
    excluded = separation.excluded_each(scanned)
    waiting, others = [], []
    for request in scanned:
        is_party = human in excluded[request.pk]
        asked = _in_teams(request, teams)
        if asked and not is_party and not _voted(request, human):
            waiting.append(request)
        elif asked or is_party:
            others.append(request)
    chosen = [request for request in waiting if agent is None or request.agent_id == agent]
    page = min(max(page, 1), max(-(-len(chosen) // LIMIT), 1))
    closed = _lately_closed(membership, teams, now=now)
    return Inbox(
        waiting=_rows(chosen[(page - 1) * LIMIT : page * LIMIT]),
        page=page,
        total=len(waiting),
        beyond=len(scanned) == SCANNED,
        groups=_groups(chosen),
        others=_rows(others[:LIMIT]),
        closed=_rows(closed[:LIMIT]),
        outcomes=dict(Counter(request.get_status_display() for request in closed)),
    )


def _lately_closed(membership: Membership, teams: frozenset[str], *, now: datetime) -> list[AccessRequest]:
    lately = _of_tenant(membership).exclude(status=Status.PENDING).filter(closed_at__gt=now - _LATELY)
    scanned = list(lately.order_by("-closed_at", "pk")[:SCANNED])
    excluded = separation.excluded_each(scanned)
    human = membership.user.human_id
    return [one for one in scanned if _in_teams(one, teams) or human in excluded[one.pk]]


def _of_tenant(membership: Membership) -> QuerySet[AccessRequest]:
    votes = Prefetch("votes", Vote.objects.select_related("membership__user"))
    mine = AccessRequest.objects.filter(tenant_id=membership.tenant_id).select_related("tenant")
    return mine.prefetch_related(votes).defer("justification")  # a long text that no row shows


def _rows(requests: Sequence[AccessRequest]) -> list[Row]:
    lines = shown.lines_of_each(requests)
    return [_row(request, lines[request.pk]) for request in requests]


def _row(request: AccessRequest, lines: Sequence[Mapping[str, Any]]) -> Row:
    if request.asked_by_id is None:
        title = visible.visible(f"{request.tool_id} · {request.method}").text
        return Row(request, title, card.gist(lines))
    return Row(request, card.exception((line["label"], line["value"]) for line in lines), "")


def _groups(requests: Iterable[AccessRequest]) -> list[Group]:
    """Most first. The requests come nearest deadline first, so each agent's first is its soonest."""
    counts: Counter[str] = Counter()
    soonest: dict[str, datetime] = {}
    for request in requests:
        counts[request.agent_id] += 1
        soonest.setdefault(request.agent_id, request.expires_at)
    return [Group(agent, count, soonest[agent]) for agent, count in counts.most_common()]


def _voted(request: AccessRequest, human: int) -> bool:
    return any(vote.human_id == human for vote in request.votes.all())


def _in_teams(request: AccessRequest, teams: frozenset[str]) -> bool:
    return any(quorum.in_team(teams, one) for one in requirements.from_json(request.requirements))


def concerns(membership: Membership, request_id: str) -> bool:
    """Whether the member is asked by this request of their tenant, or stands on its asking side."""
    found = AccessRequest.objects.filter(tenant_id=membership.tenant_id, pk=request_id).first()
    if found is None:
        return False
    is_party = membership.user.human_id in separation.excluded(found)
    return is_party or _in_teams(found, people.team_names(membership))
