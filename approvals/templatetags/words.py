"""Values in, words a person can trust their eyes with out."""

from datetime import datetime, timedelta
from typing import Any

from django import template

from approvals import reasons, surfaces, visible

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_PRECISELY = 10 * _MINUTE  # with less than this left, seconds matter


@register.filter
def seen(value: Any) -> str:
    """Text that somebody else supplied, each character that hides, reorders or imitates escaped as on the card."""
    return "" if value is None else visible.visible(str(value)).text


@register.filter
def because(code: object) -> str:
    """A reason code in words."""
    return reasons.words(str(code))


@register.filter
def where(surface: str) -> str:
    """Where a vote was cast: `in Slack, confirmed on the web`."""
    return surfaces.words(surface)


@register.filter
def left(until: datetime, now: datetime) -> str:
    """How long until then: `14 minutes`, `2 min 05 s`, `40 s`."""
    return duration(until - now)


def duration(span: timedelta) -> str:
    """Rounded down, so that nobody is promised time that is not there."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _PRECISELY:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE:02} s"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE} minutes"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR} hours"
    return f"{seconds // _DAY} days"
