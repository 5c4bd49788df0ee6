"""Requirements and ballots in, what they amount to out. Pure: run at each vote and again at each use."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from approvals.models import Decision
from countersign.policy.values import Requirement, StepUp

_STRENGTH = {StepUp.NONE: 0, StepUp.TOTP: 1, StepUp.WEBAUTHN: 2}


class Standing(StrEnum):
    """What the ballots amount to so far."""

    OPEN = "open"
    MET = "met"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Ballot:
    """One human's vote: the teams they are in now and how strongly they proved themselves then."""

    human: int
    decision: Decision
    teams: frozenset[str]
    assurance: StepUp


@dataclass(frozen=True, slots=True)
class Share:
    """One requirement and the distinct humans whose approval counts for it."""

    requirement: Requirement
    approvers: frozenset[int]

    @property
    def met(self) -> bool:
        """A quorum below one is a mistake of configuration, and a mistake approves nothing."""
        return 1 <= self.requirement.quorum <= len(self.approvers)


@dataclass(frozen=True, slots=True)
class Tally:
    """Each requirement's share, and the eligible humans who said no."""

    shares: tuple[Share, ...]
    deniers: frozenset[int]

    @property
    def standing(self) -> Standing:
        """One eligible deny denies; an empty list of requirements is not met."""
        if self.deniers:
            return Standing.DENIED
        if self.shares and all(share.met for share in self.shares):
            return Standing.MET
        return Standing.OPEN


def tally(requirements: Sequence[Requirement], ballots: Sequence[Ballot], *, excluded: frozenset[int]) -> Tally:
    """Count distinct humans, never accounts or clicks. A vote counts for every requirement it is eligible for.

    `excluded` are the humans whom separation of duties keeps out, whatever their teams. Who both approved and denied
    has denied.
    """
    heard = [ballot for ballot in ballots if ballot.human not in excluded]
    deniers = frozenset(
        ballot.human
        for ballot in heard
        if ballot.decision == Decision.DENY and any(counts(ballot, requirement) for requirement in requirements)
    )
    approvals = [ballot for ballot in heard if ballot.decision == Decision.APPROVE and ballot.human not in deniers]
    return Tally(shares=tuple(_share(requirement, approvals) for requirement in requirements), deniers=deniers)


def counts(ballot: Ballot, requirement: Requirement) -> bool:
    """Whether this ballot is heard for this requirement: a team of it, and at least its step-up."""
    return in_team(ballot.teams, requirement) and reaches(ballot.assurance, requirement.step_up)


def in_team(teams: frozenset[str], requirement: Requirement) -> bool:
    """A requirement that names no team has nobody to ask."""
    return not teams.isdisjoint(requirement.teams)


def reaches(assurance: StepUp, needed: StepUp) -> bool:
    """Whether `assurance` is at least as strong as `needed`."""
    return _STRENGTH[assurance] >= _STRENGTH[needed]


def strongest(needed: Iterable[StepUp]) -> StepUp:
    """The strongest of several step-ups; none needed is `none`."""
    return max(needed, key=_STRENGTH.__getitem__, default=StepUp.NONE)


def _share(requirement: Requirement, approvals: Sequence[Ballot]) -> Share:
    return Share(requirement, frozenset(ballot.human for ballot in approvals if counts(ballot, requirement)))
