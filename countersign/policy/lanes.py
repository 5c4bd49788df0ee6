"""What is the same for all calls of one caller, tool, method and intent: registry result, candidate rules, verdicts."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from countersign.policy.cel import Environment
from countersign.policy.rules import Rule
from countersign.policy.tools import ArgumentRule
from countersign.policy.values import Outcome, RiskFactor, Tool, Verdict

KEPT: Final = 40_000  # lanes and verdicts in each of two generations, about 20 MB if full
VERDICTS_PER_LANE: Final = 64

Key = tuple[str, str, str, str, str, str | None]


class Judged(NamedTuple):
    """A rule whose condition must run: its bit, the bits that make asking needless, its bit if the condition fails."""

    bit: int
    unless: int
    on_error: int
    check: Callable[[Environment], bool]


class Lane:
    """Read-only once made, but for the verdicts it remembers: each is a pure function of the lane and a small number
    (which conditions held, how many risk points the amount and the principal add).
    """

    __slots__ = (
        "agent_view",
        "amount",
        "amounts",
        "argument_rules",
        "effects",
        "explain",
        "factors",
        "fits",
        "fixed",
        "judged",
        "needs_proof",
        "refusal",
        "registered",
        "rules",
        "tool",
        "tool_view",
        "unverified",
        "verdicts",
    )

    def __init__(self, refusal: Verdict | None = None) -> None:
        self.refusal = refusal
        self.tool: Tool | None = None
        self.agent_view: Mapping[str, Any] = {}
        self.tool_view: Mapping[str, Any] = {}
        self.registered: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})  # the subject's, the resource's
        self.needs_proof = False
        self.fits: Callable[[Any], bool] | None = None
        self.explain: Callable[[Any], str] | None = None
        self.argument_rules: tuple[ArgumentRule, ...] = ()
        self.amount = ""
        self.amounts: tuple[Decimal, ...] = ()
        self.unverified = 0
        self.factors: tuple[RiskFactor, ...] = ()
        self.rules: tuple[Rule, ...] = ()
        self.fixed = 0
        self.effects: Mapping[Outcome, int] = {}
        self.judged: tuple[Judged, ...] = ()
        self.verdicts: dict[int, Verdict] = {}


class Lanes:
    """The lanes used lately: two generations, bounded in lanes and verdicts together, because callers choose names
    and amounts. Not state: what falls out is worked out again. Threads may race; the loser repeats its work.
    """

    __slots__ = ("_spent", "older", "recent")

    def __init__(self) -> None:
        self.recent: dict[Key, Lane] = {}
        self.older: dict[Key, Lane] = {}
        self._spent = 0

    def promoted(self, key: Key) -> Lane | None:
        """A lane of the older generation, kept for another one."""
        lane = self.older.get(key)
        if lane is not None:
            self.keep(key, lane)
        return lane

    def keep(self, key: Key, lane: Lane) -> None:
        self._spend(1 + len(lane.verdicts))
        self.recent[key] = lane

    def remember(self, lane: Lane, key: int, verdict: Verdict) -> None:
        if len(lane.verdicts) < VERDICTS_PER_LANE:
            self._spend(1)
            lane.verdicts[key] = verdict

    def _spend(self, entries: int) -> None:
        self._spent += entries
        if self._spent > KEPT:
            self.older, self.recent, self._spent = self.recent, {}, entries
