"""One call on its way from its verdict to its record: what it asked, what is told of it, what its caps ask."""

from dataclasses import dataclass

from countersign.policy.values import Mode
from enforcement.asked import Asked
from enforcement.budgets import Asks, Claim
from enforcement.memory import World
from enforcement.telling import Told
from registry.snapshot import KeyView


@dataclass(slots=True)
class Judged:
    """One call that needs nothing but its caps and its record: judged, not yet said."""

    asked: Asked
    key: KeyView
    world: World
    evaluation_id: str
    told: Told
    asks: Asks
    offset: float  # of the clock it was judged by
    claim: Claim


def judged(
    asked: Asked, *, key: KeyView, world: World, evaluation_id: str, told: Told, asks: Asks, offset: float
) -> Judged:
    """Only what will run is counted; observing counts without refusing. A call over a cap by itself takes nothing."""
    enforced = told.said.mode is Mode.ENFORCE
    runs = told.said.permitted and (asks.refusal is None or not enforced)
    claim = Claim(asks.demands if runs else (), enforced)
    return Judged(asked, key, world, evaluation_id, told, asks, offset, claim)
