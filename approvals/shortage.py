"""Requests in, those that cannot be approved as things stand out: fewer people may answer than must agree.

The same people whose votes would count: active members of the teams, service accounts aside, each human once, without
those whom separation of duties keeps out. Who is there may change, so this is asked anew and kept nowhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from approvals import requirements, separation
from approvals.models import AccessRequest
from countersign.policy.values import Requirement
from registry import teams


@dataclass(frozen=True, slots=True)
class Shortage:
    """A requirement that only `could` people may answer, which are too few."""

    requirement: Requirement
    could: int

    @property
    def words(self) -> str:
        """For people who may know who is asked."""
        who = {0: "Nobody", 1: "Only 1 person"}.get(self.could, f"Only {self.could} people")
        asked = " or ".join(self.requirement.teams)
        return (
            f"{who} of {asked} can answer this and {self.requirement.quorum} must: it cannot be approved as things "
            "stand. An administrator can change the team or the rule."
        )


def of(request: AccessRequest) -> Shortage | None:
    """The first requirement of the request that too few can meet, or None."""
    return of_each([request]).get(request.pk)


def of_each(requests: Sequence[AccessRequest]) -> Mapping[str, Shortage]:
    """The same for many requests of one tenant, by their ids: people are looked up once for all."""
    if not requests:
        return {}
    asked = {request.pk: requirements.from_json(request.requirements) for request in requests}
    named = {team for wanted in asked.values() for one in wanted for team in one.teams}
    people = teams.members(requests[0].tenant_id, named)
    kept_out = separation.excluded_each(requests)
    found = {pk: among(wanted, people, kept_out=kept_out[pk]) for pk, wanted in asked.items()}
    return {pk: shortage for pk, shortage in found.items() if shortage is not None}


def among(wanted: Iterable[Requirement], people: teams.Eligible, *, kept_out: frozenset[int]) -> Shortage | None:
    """Pure: the first requirement that the people of its teams cannot meet without those who are kept out."""
    counted = ((one, teams.could_answer(people, one.teams, kept_out=kept_out)) for one in wanted)
    return next((Shortage(one, could) for one, could in counted if could < one.quorum), None)
