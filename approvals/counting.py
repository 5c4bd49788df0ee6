"""A locked request in, its votes counted with the teams people are in now out."""

from collections.abc import Sequence

from approvals import separation
from approvals.models import AccessRequest, Decision, Vote
from approvals.quorum import Ballot, Tally, tally
from countersign.policy.values import Requirement, StepUp
from registry import people


def votes_of(request: AccessRequest) -> list[Vote]:
    """All votes in the order they were cast, each with its voter as the database knows them now."""
    return list(Vote.objects.filter(request=request).select_related("membership__user").order_by("pk"))


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
    ballots = [
        Ballot(
            human=vote.membership.user.human_id,
            decision=Decision(vote.decision),
            teams=people.team_names(vote.membership),
            assurance=StepUp(vote.assurance),
        )
        for vote in votes
    ]
    return tally(requirements, ballots, excluded=separation.excluded(request) | kept_out)
