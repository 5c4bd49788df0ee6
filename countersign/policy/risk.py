"""Tool, amount and principal in, an explainable score from 0 to 100 out. The table stands in docs/policy.md."""

from bisect import bisect_right
from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import Any

from countersign.policy.money import parse_amount
from countersign.policy.values import Risk, RiskFactor, SpendCap, Tier, Tool

TOP = 100
TIER_POINTS = {Tier.LOW: 10, Tier.MODERATE: 25, Tier.HIGH: 45, Tier.CRITICAL: 65}
AMOUNT_POINTS = 20
# What a tool's score must reach for the data it touches; a tier that already does adds nothing.
DATA_CLASS_FLOOR = {
    "public": 0,
    "internal": 15,
    "confidential": 35,
    "pii": 40,
    "financial": 40,
    "pci": 45,
    "phi": 45,
    "secret": 50,
    "credentials": 50,
}
UNKNOWN_CLASS_FLOOR = 25
UNVERIFIED_POINTS = 10
_MILLIONTH = Decimal("0.000001")
# 20 * (1 - (1 - share)^7), rounded: 1 % of the cap is 1 point, 5 % are 6, a quarter 17, half of it 20. Small sums stay
# small, and well before the cap an amount counts as large. Kept as the shares at which 1, 2, ... 20 points begin.
_SHARES = tuple(
    1 - (1 - (points - Decimal("0.5")) / AMOUNT_POINTS) ** (Decimal(1) / 7) for points in range(1, AMOUNT_POINTS + 1)
)


def steps(cap: SpendCap | None) -> tuple[Decimal, ...]:
    """The amounts at which one more point begins; empty if no amount counts."""
    if cap is None or cap.per_call is None:
        return ()
    return tuple((share * cap.per_call).quantize(_MILLIONTH, ROUND_UP) for share in _SHARES)


def amount_points(begins: tuple[Decimal, ...], value: object) -> int:
    """Points of one amount. What is not an amount at all gets the most."""
    amount = parse_amount(value)
    return AMOUNT_POINTS if amount is None else bisect_right(begins, amount)


def static_factors(tool: Tool) -> tuple[RiskFactor, ...]:
    """What a tool's registration alone says."""
    tier = TIER_POINTS[tool.risk_tier]
    floor = max((DATA_CLASS_FLOOR.get(name.lower(), UNKNOWN_CLASS_FLOOR) for name in tool.data_classes), default=0)
    found = [RiskFactor("risk_tier", tier)]
    if floor > tier:
        found.append(RiskFactor("data_class", floor - tier))
    return tuple(found)


def unverified_points(tool: Tool) -> int:
    """Points when a call names a principal without proof: on critical tools only."""
    return UNVERIFIED_POINTS if tool.risk_tier is Tier.CRITICAL else 0


def score(factors: tuple[RiskFactor, ...], *, amount: int, unverified: int) -> Risk:
    """All factors with points, and their sum."""
    dynamic = (RiskFactor("amount", amount), RiskFactor("unverified_principal", unverified))
    counted = factors + tuple(factor for factor in dynamic if factor.points)
    return Risk(score=min(TOP, sum(factor.points for factor in counted)), factors=counted)


def as_cel(risk: Risk) -> Mapping[str, Any]:
    """What a condition sees as `risk`."""
    return {"score": risk.score, "factors": {factor.name: factor.points for factor in risk.factors}}
