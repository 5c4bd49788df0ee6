"""Display lines in, the blocks a page lays them out in. Pure; every line stands in exactly one block, as it is.

What would happen comes first, then who asks, then why a person is asked; the agent's own words come last. Only what is
beyond doubt a digest, and ours, may be folded away.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from approvals.display import Kind
from approvals.visible import Flag

GIST_LINES = 3
_GIST_LENGTH = 40

FLAG_WORDS: Mapping[str, str] = {
    Flag.BIDI: "turns the reading direction around",
    Flag.INVISIBLE: "contains invisible characters",
    Flag.CONTROL: "contains control characters",
    Flag.MIXED_SCRIPT: "mixes alphabets",
    Flag.HOMOGLYPH: "letters that imitate others",
    Flag.NOT_NORMALISED: "looks like another text, but is not the same",
    Flag.COMBINING: "marks piled over letters",
    Flag.UNASSIGNED: "contains unknown characters",
    Flag.UNINSPECTABLE: "holds content nobody can read by eye",
}

_WHAT = frozenset({"Tool", "Method"})
_WHY = frozenset({"Risk tier", "Risk score", "Rule", "Reason", "Policy revision"})
_DIGEST = re.compile(r'"?sha256:[0-9a-f]{64}"?').fullmatch


class Block(StrEnum):
    """Where on the page a line stands."""

    WHAT = "what"
    WHO = "who"
    WHY = "why"
    TECHNICAL = "technical"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `step` is the label's part that many share (`arguments.`), `name` the rest of it."""

    kind: str
    step: str
    name: str
    value: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """All lines of a display. `flagged` counts those that deserve a second look."""

    what: Sequence[Row]
    who: Sequence[Row]
    why: Sequence[Row]
    technical: Sequence[Row]
    words: Sequence[Row]
    flagged: int


def card(lines: Sequence[Mapping[str, Any]]) -> Card:
    """The lines of one request, laid out."""
    blocks: dict[Block, list[Row]] = {block: [] for block in Block}
    for block, line in _placed(lines):
        blocks[block].append(_row(line))
    flagged = sum(bool(line["flags"]) for line in lines)
    return Card(**{block.value: tuple(rows) for block, rows in blocks.items()}, flagged=flagged)


def gist(lines: Sequence[Mapping[str, Any]]) -> str:
    """The first arguments in one line, to tell requests of a list apart; what is cut short says so."""
    arguments = [line for line in lines if line["kind"] == Kind.ARGUMENT]
    told = [f"{line['label'].removeprefix('arguments').lstrip('.')} {_short(line['value'])}" for line in arguments]
    more = len(told) - GIST_LINES
    return " · ".join(told[:GIST_LINES]).strip() + (f" · {more} more" if more > 0 else "")


def _placed(lines: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Block, Mapping[str, Any]]]:
    block = Block.WHAT
    for line in lines:
        if line["kind"] != Kind.UNINSPECTABLE:  # that one follows the line it speaks of
            block = _block(line)
        yield block, line


def _block(line: Mapping[str, Any]) -> Block:
    kind, label = line["kind"], line["label"]
    if kind == Kind.QUOTE:
        return Block.WORDS
    if kind == Kind.CLAIM:
        return Block.WHO
    if kind != Kind.FACT or label in _WHAT:
        return Block.WHAT
    if label in _WHY:
        return Block.WHY
    is_digest = _DIGEST(line["value"]) and not line["flags"]
    return Block.TECHNICAL if is_digest else Block.WHO


def _row(line: Mapping[str, Any]) -> Row:
    label = line["label"]
    step = label[: len("arguments")] if line["kind"] == Kind.ARGUMENT and label.startswith("arguments.") else ""
    step = f"{step}." if step else ""
    return Row(line["kind"], step, label[len(step) :], line["value"], _in_words(line["flags"]))


def _in_words(flags: Iterable[str]) -> tuple[str, ...]:
    """A flag of a later profile is told as it is named."""
    return tuple(FLAG_WORDS.get(flag, flag) for flag in flags)


def _short(value: str) -> str:
    text = value.replace("\n", " ")
    return text if len(text) <= _GIST_LENGTH else f"{text[:_GIST_LENGTH]}…"
