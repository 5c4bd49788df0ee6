"""Text in, the same in plain characters out: full-width to plain, what nobody sees left out."""

import itertools
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

import re2

CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\r"})
_UNSEEN = ("Cc", "Cf", "Me", "Mn")
_BLANK = "\u115f\u1160\u3164\uffa0\u2800"  # blank letters, which no category tells from the others
_FIRST_CJK, _NO_UTF_8 = 0x3400, range(0xDC80, 0xDD00)
_LONGEST = 7  # letters that one may become; two ligatures stand for whole phrases, eleven times as long
_WITH_PLAIN = (
    (0x80, 0x3400),
    (0xA000, 0xAC00),
    (0xF900, 0x13460),
    (0x16FE0, 0x17000),
    (0x1BC00, 0x20000),
    (0xE0000, 0xE0200),
)


def is_plain(data: bytes) -> bool:
    """Whether there is nothing to fold."""
    if data.isascii():
        return len(data.translate(None, CONTROLS)) == len(data)
    return _to_fold().search(data) is None


@cache
def _to_fold() -> Any:
    """Any one letter that becomes another or vanishes: text in other scripts mostly holds none."""
    return re2.compile("[" + "".join(f"\\x{{{code:x}}}" for code in plain()) + "]")


@cache
def plain() -> dict[int, str]:
    """Which characters become plain ones, and which vanish."""
    known = {ord(letter): "" for letter in _BLANK} | dict.fromkeys(CONTROLS, "")
    for code in itertools.chain.from_iterable(itertools.starmap(range, _WITH_PLAIN)):
        became = unicodedata.normalize("NFKC", chr(code))
        if unicodedata.category(chr(code)) in _UNSEEN:
            known[code] = ""
        elif len(became) <= _LONGEST and any(letter.isascii() for letter in became):
            known[code] = became
    return known


def text_of(data: bytes) -> str:
    """What is no UTF-8 stays as it is, and comes back so."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The inverse of `text_of`."""
    return text.encode("utf-8", "surrogateescape")


def folded(text: str) -> str:
    """Its plain reading."""
    return text.translate(_table())


@cache
def _table() -> dict[int, int | str | None]:
    """The same as `str.translate` likes it: None is faster than "", itself is faster than being absent."""
    itself = {code: code for code in itertools.chain(range(_FIRST_CJK), _NO_UTF_8)}
    return itself | {code: became or None for code, became in plain().items()}


def folds(part: bytes) -> Iterator[tuple[int, int, bool]]:
    """How many bytes become how many, in order, and whether each of them stays itself."""
    known, alike = plain(), 0
    for letter in text_of(part):
        became = known.get(ord(letter))
        if became is None:
            alike += len(bytes_of(letter))
            continue
        yield alike, alike, True
        yield len(bytes_of(letter)), len(became.encode()), False
        alike = 0
    yield alike, alike, True
