"""Moments in, an iCalendar object (RFC 5545) that says them out. Pure.

Whatever a name holds, it stays inside its value: text is escaped (section 3.3.11), what no text may hold is made
visible, and lines are folded at 75 octets between characters (section 3.1).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from approvals.visible import visible

LINE: Final = 75  # octets, its line break aside
PRODUCT: Final = "-//Countersign//Waivers//EN"
REFRESHED: Final = "PT1H"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens at one time. `uid` stays the same from one reading to the next, `sequence` only rises."""

    uid: str
    at: datetime
    summary: str
    description: str
    address: str
    sequence: int = 0


def calendar(name: str, moments: Iterable[Moment], *, now: datetime) -> str:
    """One VCALENDAR. An address must be ASCII without space or control characters. Raises ValueError."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODUCT}",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{text(name)}",
        f"REFRESH-INTERVAL;VALUE=DURATION:{REFRESHED}",  # RFC 7986
    ]
    for one in moments:
        lines += _event(one, now=now)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in folded(line))


def text(value: str) -> str:
    """A TEXT value: on one line, with nothing in it that could end it."""
    return "\n".join(visible(line).text for line in value.split("\n")).translate(_ESCAPES)


def folded(line: str) -> Iterator[str]:
    """A content line in parts of at most 75 octets; each but the first begins with a space. No character is cut."""
    part, size = "", 0
    for character in line:
        octets = len(character.encode())
        if size + octets > LINE:
            yield part
            part, size = " ", 1
        part += character
        size += octets
    yield part


def _event(one: Moment, *, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{text(one.uid)}"
    yield f"DTSTAMP:{_utc(now)}"
    yield f"DTSTART:{_utc(one.at)}"
    yield f"SEQUENCE:{one.sequence}"
    yield f"SUMMARY:{text(one.summary)}"
    yield f"DESCRIPTION:{text(one.description)}"
    yield f"URL:{_uri(one.address)}"
    yield "CLASS:PRIVATE"
    yield "TRANSP:TRANSPARENT"  # it takes up nobody's time
    yield "END:VEVENT"


def _utc(moment: datetime) -> str:
    """Form 2 of section 3.3.5. Seconds are cut off: what ends then has not ended before."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _uri(address: str) -> str:
    if not address.isascii() or not address.isprintable() or " " in address:
        raise ValueError(f"{address!r} is no address that a calendar can hold")
    return address
