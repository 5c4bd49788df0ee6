"""A waiver's uses by day in; the bars of a small picture, and the same as numbers, out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from approvals.waivers import register
from approvals.waivers.models import Waiver
from approvals.waivers.register import Day

DAYS: Final = 60
_WIDTH: Final = 600.0
_HEIGHT: Final = 96.0
_GAP: Final = 0.2  # of a bar's share


@dataclass(frozen=True, slots=True)
class Bar:
    """One day, drawn: in the units of the picture."""

    day: date
    uses: int
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Uses:
    """The days from the first drawn to the last, empty ones too; `listed` those with a use, the latest first."""

    bars: Sequence[Bar]
    listed: Sequence[Day]
    most: int
    total: int


def of(waiver: Waiver, *, now: datetime) -> Uses:
    """The last days of its life, up to now or its end."""
    used = {one.day: one.uses for one in register.uses_by_day(waiver)}
    last = min(now, waiver.ended_at or now, waiver.expires_at).astimezone(UTC).date()
    begun = max(waiver.granted_at or waiver.asked_at, waiver.not_before).astimezone(UTC).date()
    last = max([last, begun, *used])
    first = max(min([begun, *used]), last - timedelta(days=DAYS - 1))
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    most = max((used.get(day, 0) for day in days), default=0)
    listed = [Day(day, uses) for day, uses in sorted(used.items(), reverse=True)]
    return Uses(_bars(days, used, most), listed, most, waiver.uses)


def _bars(days: Sequence[date], used: dict[date, int], most: int) -> list[Bar]:
    step = _WIDTH / max(len(days), 14)  # a first day alone is no wall
    return [
        Bar(
            day, used.get(day, 0), f"{n * step:.1f}", f"{_HEIGHT - tall:.1f}", f"{step * (1 - _GAP):.1f}", f"{tall:.1f}"
        )
        for n, day in enumerate(days)
        for tall in [_HEIGHT * used.get(day, 0) / most if most else 0.0]
    ]
