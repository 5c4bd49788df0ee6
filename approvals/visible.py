"""Text that an agent supplied in, text a person can trust their eyes with out. Pure.

Each character that hides, reorders or imitates is written as ⟨U+202E⟩ and its trick is named. The mapping is one to
one: two different texts never look the same, because the brackets and the line mark themselves are escaped too.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

LINE = "⏎\n"  # a line break stays one, marked, so that a value cannot pretend to be the next line of the card


class Flag(StrEnum):
    """Why a line deserves a second look. The list grows at the end."""

    BIDI = "bidi"
    INVISIBLE = "invisible"
    CONTROL = "control"
    MIXED_SCRIPT = "mixed_script"
    HOMOGLYPH = "homoglyph"
    NOT_NORMALISED = "not_normalised"
    COMBINING = "combining"
    UNASSIGNED = "unassigned"
    UNINSPECTABLE = "uninspectable"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is shown, and the tricks found in it."""

    text: str
    flags: frozenset[Flag]


_OURS = frozenset("⟨⟩⏎")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Drawn as nothing, or as empty space, although their category says letter, mark or symbol.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159") | frozenset(
    map(chr, (*range(0xFE00, 0xFE10), *range(0x180B, 0x1810), *range(0xE0100, 0xE01F0)))
)
_SPACES = frozenset({"Zs", "Zl", "Zp"})
_MARKS_IN_A_ROW = 2  # more than any living orthography stacks in normal form; piles of them draw over other lines
_TOKEN = re.compile(r"\S+")
# Letters of other scripts that most fonts draw exactly like a Latin one.
_LOOKALIKES = frozenset(
    "асеорхуіјѕһԁԛԝӏАВЕКМНОРСТУХІЈЅԌԚԜҮү"  # Cyrillic
    "οαινρυχκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"  # Greek
    "օոսհցԼՏՍՕ"  # Armenian
    "ᎠᎡᎢᎪᎫᎬᎳᎷᎻᏀᏃᏎᏔᏙᏚᏞᏟᏢᏦᏴ"  # Cherokee
)
_RESTRICTED = {"LATIN", "CJK"}  # UTS 39, highly restrictive: East Asian text has Latin words in it, unspaced
_WRITTEN_TOGETHER = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "KATAKANA-HIRAGANA"})


def visible(text: str) -> Seen:
    """`text` with every trick escaped, and the tricks' names."""
    if text.isascii():
        flags = {Flag.CONTROL} if _ASCII_CONTROL.search(text) else ()
        return Seen(text.translate(_ASCII), frozenset(flags))
    tricks = _mixed(text) | _denormal(text)
    shown: list[str] = []
    found = {flag for _, flag in tricks}
    if not unicodedata.is_normalized("NFC", text):
        found.add(Flag.NOT_NORMALISED)
    positions = {position for position, _ in tricks}
    for position, character in enumerate(text):
        flag = _trick(character)
        if flag:
            found.add(flag)
        if character == "\n":
            shown.append(LINE)
        elif flag or character in _OURS or position in positions:
            shown.append(escaped(character))
        else:
            shown.append(character)
    return Seen("".join(shown), frozenset(found))


def escaped(character: str) -> str:
    """⟨U+202E⟩ for a right-to-left override."""
    return f"⟨U+{ord(character):04X}⟩"


_ASCII_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_ASCII = {code: escaped(chr(code)) for code in (*range(0x20), 0x7F)} | {0x0A: LINE}


@lru_cache(maxsize=4096)
def _trick(character: str) -> Flag | None:
    """What one character does on its own, wherever it stands."""
    if character in {" ", "\n"} or "!" <= character <= "~":
        return None
    if character in _BIDI:
        return Flag.BIDI
    category = unicodedata.category(character)
    if category == "Cc":
        return Flag.CONTROL
    if category == "Cf" or category in _SPACES or character in _BLANK:
        return Flag.INVISIBLE
    if category in {"Cn", "Co", "Cs"}:
        return Flag.UNASSIGNED
    return Flag.HOMOGLYPH if _is_styled_ascii(character) else None


def _is_styled_ascii(character: str) -> bool:
    """Full-width and mathematical letters and digits: to a machine another text, to an eye the same."""
    kind, _, _ = unicodedata.decomposition(character).partition(" ")
    if kind in {"<super>", "<sub>"} or not kind.startswith("<"):
        return False
    plain = unicodedata.normalize("NFKC", character)
    return len(plain) == 1 and plain.isascii() and plain != character


def _mixed(text: str) -> set[tuple[int, Flag]]:
    """Letters that stand among letters of another script, or a text made of nothing but lookalikes."""
    found: set[tuple[int, Flag]] = set()
    for token in _TOKEN.finditer(text):
        scripts = {position: _script(text[position]) for position in range(*token.span())}
        named = {script for script in scripts.values() if script}
        if len(named) > 1 and named != _RESTRICTED:
            found |= {
                (position, Flag.MIXED_SCRIPT) for position, script in scripts.items() if script and script != "LATIN"
            }
    letters = [(position, character) for position, character in enumerate(text) if character.isalpha()]
    if letters and all(character in _LOOKALIKES for _, character in letters):
        found |= {(position, Flag.HOMOGLYPH) for position, _ in letters}
    return found


@lru_cache(maxsize=4096)
def _script(character: str) -> str | None:
    """The script of a letter by its Unicode name; scripts that are written together count as one."""
    if not character.isalpha() or character in _BLANK or _is_styled_ascii(character):
        return None
    script = unicodedata.name(character, "UNNAMED").partition(" ")[0]
    return "CJK" if script in _WRITTEN_TOGETHER else script


def _denormal(text: str) -> set[tuple[int, Flag]]:
    """Characters that a normal form would melt into another, and marks piled too high."""
    return set(_unmelted(text)) | set(_piled(text))


def _unmelted(text: str) -> Iterator[tuple[int, Flag]]:
    if unicodedata.is_normalized("NFC", text):
        return
    base = ""
    for position, character in enumerate(text):
        pair = base + character
        if unicodedata.normalize("NFC", character) != character or (
            base and unicodedata.normalize("NFC", pair) != pair
        ):
            yield position, Flag.NOT_NORMALISED
        if not unicodedata.combining(character):
            base = character


def _piled(text: str) -> Iterator[tuple[int, Flag]]:
    height = 0
    for position, character in enumerate(text):
        height = height + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if height > _MARKS_IN_A_ROW:
            yield position, Flag.COMBINING
