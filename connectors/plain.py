"""Anybody's text in, plain text that hides nothing and fakes no line of ours out. Pure.

A character that hides or reorders is shown as ⟨U+202E⟩, and a line break as ⏎, as everywhere in this house.
"""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

from connectors.port import Line, Told, Waiting

_HIDING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_INDENT = "    "


def line(text: str, *, most: int = 0) -> str:
    """One line, cut at `most` characters if that is given; what is cut short says so."""
    shown = "".join(_shown(character) for character in text.replace("⏎\n", "⏎").replace("\n", "⏎"))
    return f"{shown[: most - 1]}…" if most and len(shown) > most else shown


def moment(at: datetime) -> str:
    """2026-11-20 10:00 UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def title(told: Told, *, most: int) -> str:
    """What is asked, in names of the registry and of rules: no argument and no word of an agent's."""
    return line(told.exception or f"{told.tool} {told.method} by {told.agent}", most=most)


def lines(told: Told) -> Iterator[tuple[str, str]]:
    """Label and value of each line an approver is shown, its flags behind the value; what an agent says is quoted."""
    for one in told.lines:
        value = f"“{line(one.value)}” (its own words, believed by nobody)" if one.kind == "quote" else line(one.value)
        yield line(one.label), f"{value} {_flags(one)}".rstrip()


def body(told: Told) -> str:
    """The lines one below the other. A label begins each; a value never begins a line."""
    return "\n".join(f"{_INDENT}{label}: {value}" for label, value in lines(told))


def needed(told: Told) -> Iterator[str]:
    """How far each requirement is met."""
    for one in told.needed:
        yield f"{one.approved} of {one.quorum} approvals by {line(', '.join(one.teams))}"


def waiting(told: Waiting) -> str:
    """A digest: the first line says how much waits, the second where all of it is."""
    lines = [waits(told), f"All of them: {told.link}"]
    lines += [f"{line(one.title)} – until {moment(one.expires_at)}\n{one.link}" for one in told.items]
    if told.total > len(told.items):
        lines.append(f"… and {told.total - len(told.items)} more.")
    return "\n".join(lines)


def letter(told: Waiting) -> str:
    """A digest that nobody can change once it is sent: what it leads to tells what became of it."""
    return f"{waiting(told)}\nWhat is over by the time you open it says so on its page, and how it ended."


def waits(told: Waiting) -> str:
    """The sentence it begins with."""
    if told.is_replaced:
        return "What waits is told in a newer message."
    if not told.total:
        return "Nothing more waits here."
    return "1 more request waits for approval" if told.total == 1 else f"{told.total} more requests wait for approval"


def _flags(one: Line) -> str:
    return f"[look twice: {line(', '.join(one.flags))}]" if one.flags else ""


def _shown(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩" if unicodedata.category(character) in _HIDING else character
