"""Requirements to the JSON a request row and an approval's signature carry, and back."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from countersign.policy.values import Requirement, StepUp


class NoRequirement(ValueError):
    """An escalation that names nobody to ask; it must be a denial instead."""


def to_json(requirements: Sequence[Requirement]) -> list[dict[str, Any]]:
    """Plain JSON in the given order; durations in whole seconds."""
    return [
        {
            "source": requirement.source,
            "teams": list(requirement.teams),
            "quorum": requirement.quorum,
            "step_up": requirement.step_up.value,
            "expires_in": int(requirement.expires_in.total_seconds()),
            "approved_for": int(requirement.approved_for.total_seconds()),
            "uses": requirement.uses,
        }
        for requirement in requirements
    ]


def from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Requirement, ...]:
    """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    return tuple(
        Requirement(
            source=row["source"],
            teams=tuple(row["teams"]),
            quorum=row["quorum"],
            step_up=StepUp(row["step_up"]),
            expires_in=timedelta(seconds=row["expires_in"]),
            approved_for=timedelta(seconds=row["approved_for"]),
            uses=row["uses"],
        )
        for row in rows
    )


def open_for(requirements: Sequence[Requirement]) -> timedelta:
    """How long a request waits: the shortest any requirement allows. Raises NoRequirement."""
    return min(requirement.expires_in for requirement in _some(requirements))


def good_for(requirements: Sequence[Requirement]) -> timedelta:
    """How long its approval may be used: the shortest any requirement allows. Raises NoRequirement."""
    return min(requirement.approved_for for requirement in _some(requirements))


def uses_of(requirements: Sequence[Requirement]) -> int:
    """How often its approval may be used: the fewest any requirement allows. Raises NoRequirement."""
    return min(requirement.uses for requirement in _some(requirements))


def _some(requirements: Sequence[Requirement]) -> Sequence[Requirement]:
    if not requirements:
        raise NoRequirement("an escalation needs at least one requirement")
    return requirements
