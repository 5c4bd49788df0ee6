"""Display lines in, the blocks a page lays them out in. Pure; every line stands in exactly one block, as it is.

What would happen comes first, then who asks, then why a person is asked; the agent's own words come last. Only what is
beyond doubt a digest, and ours, may be folded away. Where a person asks for a waiver, what it is pinned to stands apart
from what was asked: we wrote that.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from approvals.display import Kind
from approvals.visible import Flag
from approvals.waivers import wording

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

_PINNED = "arguments.pinned"
_STEPS = ("arguments.",)
_GRANT_STEPS = ("arguments.terms.", "arguments.pinned.", *_STEPS)
_TERMS_RULE = re.compile(r"arguments\.terms\.rules\[\d+\]").fullmatch
_TERMS_WHOM = re.compile(r"arguments\.terms\.match\.(?:agents|subjects)\[\d+\]").fullmatch
_WHAT = frozenset({"Tool", "Method"})
_WHY = frozenset({"Risk tier", "Risk score", "Rule", "Reason", "Policy revision"})
_DIGEST = re.compile(r'"?sha256:[0-9a-f]{64}"?').fullmatch


class Block(StrEnum):
    """Where on the page a line stands."""

    WHAT = "what"
    PINNED = "pinned"
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
    pinned: Sequence[Row]
    who: Sequence[Row]
    why: Sequence[Row]
    technical: Sequence[Row]
    words: Sequence[Row]
    flagged: int


def card(lines: Sequence[Mapping[str, Any]], *, grants: bool = False) -> Card:
    """The lines of one request, laid out. `grants`: a person asks for a waiver."""
    blocks: dict[Block, list[Row]] = {block: [] for block in Block}
    steps = _GRANT_STEPS if grants else _STEPS
    for block, line in _placed(lines, grants=grants):
        blocks[block].append(_row(line, steps))
    flagged = sum(bool(line["flags"]) for line in lines)
    return Card(**{block.value: tuple(rows) for block, rows in blocks.items()}, flagged=flagged)


def gist(lines: Sequence[Mapping[str, Any]]) -> str:
    """The first arguments in one line, to tell requests of a list apart; what is cut short says so."""
    arguments = [line for line in lines if line["kind"] == Kind.ARGUMENT]
    told = [f"{line['label'].removeprefix('arguments').lstrip('.')} {_short(line['value'])}" for line in arguments]
    more = len(told) - GIST_LINES
    return " · ".join(told[:GIST_LINES]).strip() + (f" · {more} more" if more > 0 else "")


def exception(lines: Iterable[tuple[str, str]]) -> str:
    """The title of a waiver's grant, read from what is bound: `Exception from refunds-over-100 for support-bot`.

    Takes labels and values, as they are shown here or elsewhere.
    """
    rules, whom = [], []
    for label, value in lines:
        if _TERMS_RULE(label):
            rules.append(value.strip('"'))
        elif _TERMS_WHOM(label):
            whom.append(value.strip('"'))
    return wording.title(rules, whom)


def _placed(lines: Iterable[Mapping[str, Any]], *, grants: bool) -> Iterator[tuple[Block, Mapping[str, Any]]]:
    block = Block.WHAT
    for line in lines:
        if line["kind"] != Kind.UNINSPECTABLE:  # that one follows the line it speaks of
            block = Block.PINNED if grants and _is_pinned(line) else _block(line)
        yield block, line


def _is_pinned(line: Mapping[str, Any]) -> bool:
    return line["kind"] == Kind.ARGUMENT and str(line["label"]).startswith(_PINNED)


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


def _row(line: Mapping[str, Any], steps: Sequence[str]) -> Row:
    label = line["label"]
    shared = (step for step in steps if line["kind"] == Kind.ARGUMENT and label.startswith(step))
    step = next(shared, "")
    return Row(line["kind"], step, label[len(step) :], line["value"], _in_words(line["flags"]))


def _in_words(flags: Iterable[str]) -> tuple[str, ...]:
    """A flag of a later profile is told as it is named."""
    return tuple(FLAG_WORDS.get(flag, flag) for flag in flags)


def _short(value: str) -> str:
    text = value.replace("\n", " ")
    return text if len(text) <= _GIST_LENGTH else f"{text[:_GIST_LENGTH]}…"
