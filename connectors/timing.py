"""A request's time and a plan in, the moments at which it is reminded of out. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

HALF = "half"
APART = timedelta(seconds=30)  # nearer to the opening, the end or one another they would only annoy


def words(plan: str) -> tuple[str, ...]:
    """`half,2m` as its parts."""
    return tuple(part for one in plan.split(",") if (part := one.strip()))


def moments(opened: datetime, expires: datetime, before: Iterable[timedelta | None]) -> list[datetime]:
    """Soonest first. `before` is how long before the end; None is half of the time. Too near ones are left out."""
    half = (expires - opened) / 2
    found: list[datetime] = []
    for at in sorted(expires - (half if one is None else one) for one in before):
        if at - (found[-1] if found else opened) >= APART <= expires - at:
            found.append(at)
    return found
