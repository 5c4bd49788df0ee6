"""The lines of a display in, where each stands on a card out, whole or not at all. Pure.

An argument is its label and a box of code: two boxes cannot be taken for one, nor a long value's second line for
another argument, however Slack wraps it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.port import Line, Told
from connectors.slack.text import code, escape, fence

TIERS: Mapping[int, str] = {1: "1 – low", 2: "2 – moderate", 3: "3 – high", 4: "4 – critical"}
LENGTH = 3000  # of a section's markup; also how much a person may be asked to judge in a chat
ROWS = 60
FACTS = 20
_SHORT = 150  # longer facts are boxed
_DIGESTS = 600
_OURS = frozenset({"fact", "claim"})
_FACT = "fact"
_QUOTE = "quote"
_DIGEST = re.compile(r'"?sha256:[0-9a-f]{64}"?').fullmatch


@dataclass(frozen=True, slots=True)
class Shown:
    """`facts` are label and value, the rest is markup. `left` counts the lines that found no place."""

    facts: Sequence[tuple[str, str]]
    digests: str
    arguments: str
    quotes: str
    left: int

    @property
    def is_complete(self) -> bool:
        return self.left == 0


def laid_out(told: Told) -> Shown:
    """Every line in one of four places; the same for every telling of the same request."""
    lines = [*_unsaid(told), *told.lines]
    facts = [(line.label, line.value) for line in lines if _is_fact(line)]
    facts = [fact for fact in facts if fact not in _headline(told)]
    digests = " · ".join(f"{escape(line.label)} {code(line.value)}" for line in lines if _is_digest(line))
    boxed = [line for line in lines if not (_is_fact(line) or _is_digest(line))]
    arguments, without_place = _fitting([line for line in boxed if line.kind != _QUOTE])
    quotes, unquoted = _fitting([line for line in boxed if line.kind == _QUOTE])
    is_long = len(digests) > _DIGESTS
    left = without_place + unquoted + len(facts[FACTS:]) + is_long
    return Shown(facts[:FACTS], "" if is_long else digests, arguments, quotes, left)


def _unsaid(told: Told) -> Iterator[Line]:
    """What the request knows of itself and no line says; a line says more."""
    said = {line.label for line in told.lines if line.kind in _OURS}
    score = "" if told.risk_score is None else f"{told.risk_score} of 100"
    own = (
        ("For", told.principal),
        ("Risk tier", TIERS[told.risk_tier] if told.risk_tier else ""),
        ("Risk score", score),
        ("Rule", told.rule),
        ("Reason", told.reason),
    )
    return (Line(_FACT, label, value, ()) for label, value in own if value and label not in said)


def _headline(told: Told) -> frozenset[tuple[str, str]]:
    """What the card's first sentence says already, in the very same words."""
    return frozenset({("Agent", told.agent), ("Tool", told.tool), ("Method", told.method)})


def _is_fact(line: Line) -> bool:
    is_short = len(line.value) <= _SHORT and len(line.label) <= _SHORT and "\n" not in line.value
    return line.kind in _OURS and is_short and not line.flags and not _is_digest(line)


def _is_digest(line: Line) -> bool:
    return line.kind == _FACT and not line.flags and _DIGEST(line.value) is not None


def _fitting(lines: Sequence[Line]) -> tuple[str, int]:
    """The first lines, each whole, as far as a section holds them; and how many are left."""
    markup, rows = "", 0
    for place, line in enumerate(lines):
        more = f"{markup}\n{_box(line)}" if markup else _box(line)
        rows += line.value.count("\n") + len(line.flags) + 2
        if len(more) > LENGTH or rows > ROWS:
            return markup, len(lines) - place
        markup = more
    return markup, 0


def _box(line: Line) -> str:
    flags = "".join(f"\n⚠ {escape(flag)}" for flag in line.flags)
    return f"{code(line.label)}\n{fence(line.value)}{flags}"
