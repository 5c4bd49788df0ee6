"""A locked request in, its votes counted with the teams people are in now out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from approvals import separation
from approvals.models import AccessRequest, Decision, Vote
from approvals.quorum import Ballot, Tally, tally
from countersign.policy.values import Requirement, StepUp
from evidence.queries import Compiled
from registry import people
from registry.models import Membership

_votes = Compiled(
    lambda request: Vote.objects.filter(request=request).select_related("membership__user").order_by("pk")
)


@dataclass(frozen=True, slots=True)
class Electorate:
    """Who may be heard on a request, as the database has it now: humans kept out, and teams by membership."""

    excluded: frozenset[int]
    teams: Mapping[int, frozenset[str]]


def votes_of(request: AccessRequest) -> list[Vote]:
    """All votes in the order they were cast, each with its voter as the database knows them now."""
    return _votes(request.pk)


def electorate(request: AccessRequest, members: Iterable[Membership]) -> Electorate:
    """Looked up once: under the request's lock it serves for whoever votes and for the count after it."""
    return Electorate(separation.excluded(request), people.teams_of(member.pk for member in members))


def count(
    request: AccessRequest,
    requirements: Sequence[Requirement],
    votes: Sequence[Vote],
    *,
    kept_out: frozenset[int] = frozenset(),
) -> Tally:
    """The tally as of now: who left a team, was deactivated or turned out to be the same human counts accordingly.

    `kept_out` are humans whose vote does not count this time, beside those that separation of duties keeps out.
    """
    return counted(requirements, votes, electorate(request, (vote.membership for vote in votes)), kept_out=kept_out)


def counted(
    requirements: Sequence[Requirement],
    votes: Sequence[Vote],
    heard: Electorate,
    *,
    kept_out: frozenset[int] = frozenset(),
) -> Tally:
    """The same without looking anything up."""
    ballots = [
        Ballot(
            human=vote.membership.user.human_id,
            decision=Decision(vote.decision),
            teams=heard.teams[vote.membership_id],
            assurance=StepUp(vote.assurance),
        )
        for vote in votes
    ]
    return tally(requirements, ballots, excluded=heard.excluded | kept_out)
