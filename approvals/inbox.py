"""A member in, the requests that concern them out: waiting for their vote, waiting for others, lately closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Prefetch, QuerySet

from approvals import quorum, requirements, separation
from approvals.models import AccessRequest, Status, Vote
from registry import people
from registry.models import Membership

LIMIT = 50  # a page of what waits; more is told as a number, for nobody reads a thousand cards
_LATELY = timedelta(days=1)
_SCANNED = 500


@dataclass(frozen=True, slots=True)
class Inbox:
    """What one member sees. `more` counts what waits beyond the listed ones."""

    waiting: Sequence[AccessRequest]
    more: int
    others: Sequence[AccessRequest]
    closed: Sequence[AccessRequest]


def of(membership: Membership, *, now: datetime) -> Inbox:
    """As of now: with the teams the member is in now, oldest deadline first."""
    teams = people.team_names(membership)
    human = membership.user.human_id
    pending = _of_tenant(membership).filter(status=Status.PENDING, expires_at__gt=now).order_by("expires_at")[:_SCANNED]
    waiting, others = [], []
    for request in pending:
        if _asks(request, teams, human):
            waiting.append(request)
        elif _concerns(request, teams, human):
            others.append(request)
    lately = _of_tenant(membership).exclude(status=Status.PENDING).filter(closed_at__gt=now - _LATELY)
    closed = [request for request in lately.order_by("-closed_at")[:_SCANNED] if _concerns(request, teams, human)]
    return Inbox(waiting[:LIMIT], max(len(waiting) - LIMIT, 0), others[:LIMIT], closed[:LIMIT])


def _of_tenant(membership: Membership) -> QuerySet[AccessRequest]:
    votes = Prefetch("votes", Vote.objects.select_related("membership__user"))
    return AccessRequest.objects.filter(tenant_id=membership.tenant_id).prefetch_related(votes)


def _asks(request: AccessRequest, teams: frozenset[str], human: int) -> bool:
    """Whether a vote of this human is wanted and would count."""
    voted = any(vote.human_id == human for vote in request.votes.all())
    return not voted and _in_teams(request, teams) and human not in separation.excluded(request)


def _concerns(request: AccessRequest, teams: frozenset[str], human: int) -> bool:
    return _in_teams(request, teams) or human in separation.excluded(request)


def _in_teams(request: AccessRequest, teams: frozenset[str]) -> bool:
    return any(quorum.in_team(teams, one) for one in requirements.from_json(request.requirements))
