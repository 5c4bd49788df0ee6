"""Text in, the same in plain characters out: full-width to plain, what nobody sees left out."""

import itertools
import unicodedata
from collections.abc import Iterator
from functools import cache

CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\r"})
_UNSEEN = ("Cc", "Cf", "Me", "Mn")
_BLANK = "\u115f\u1160\u3164\uffa0\u2800"  # blank letters, which no category tells from the others
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
    return data.isascii() and len(data.translate(None, CONTROLS)) == len(data)


@cache
def plain() -> dict[int, str]:
    """Which characters become plain ones, and which vanish."""
    known = {ord(letter): "" for letter in _BLANK} | dict.fromkeys(CONTROLS, "")
    for code in itertools.chain.from_iterable(itertools.starmap(range, _WITH_PLAIN)):
        folded = unicodedata.normalize("NFKC", chr(code))
        if unicodedata.category(chr(code)) in _UNSEEN:
            known[code] = ""
        elif any(letter.isascii() for letter in folded):
            known[code] = folded
    return known


def text_of(data: bytes) -> str:
    """What is no UTF-8 stays as it is, and comes back so."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The inverse of `text_of`."""
    return text.encode("utf-8", "surrogateescape")


def folded(data: bytes) -> bytes:
    """UTF-8 in, its plain reading out."""
    return bytes_of(text_of(data).translate(plain()))


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
