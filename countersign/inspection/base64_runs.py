"""Where base64 stands in a text, and what can be read in it, whatever it is wrapped in and wherever it begins."""

import binascii
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import re2

from countersign.inspection.effort import Effort
from countersign.inspection.escapes import unescaped
from countersign.inspection.folding import CONTROLS, bytes_of, folded, plain, text_of

_RUN = re2.compile(rb"(?:[A-Za-z0-9+/_-]{60,}\r?\n)*[A-Za-z0-9+/_-]+={0,2}")
_WRAPPED = 60  # characters a line, at least, where base64 is wrapped
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# Three quanta in a row that decode to bytes below 128, told by the bits that are zero in these.
_PLAIN_QUANTA = rb"(?:[A-Za-f][ACDEFGHQSTUVWXgijklmnwyz0123][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/]){3}"
# How letters begin that fold to plain ones or vanish: full-width, zero-width, mathematical, soft hyphen, joiner.
_FOLDABLE = ("efbc", "efbd", "efbb", "e280", "e281", "f09d", "c2ad", "cd8f")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_KINDS = bytes(120 if byte in _ALPHABET + b"-_" else 46 for byte in range(256))
_PER_STRETCH, _PER_BYTE = 1_000, 4
_ASCII = 0x7F


def runs(data: bytes) -> Iterator[tuple[int, int]]:
    """From where to where base64 stands that is worth decoding, with the lines before and after it if it is wrapped."""
    found = _worth_decoding().search(marked := data.translate(_URL_SAFE))
    kinds = data.translate(_KINDS) if found else b""
    place = 0
    while found is not None:
        start = kinds.rfind(b".", place, found.start()) + 1 or place
        while start > place and data[start - 1 : start] == b"\n":
            line = kinds.rfind(b".", place, start - 2) + 1 or place
            if start - line <= _WRAPPED:
                break
            start = line
        run = _RUN.match(data, start)
        place = run.end() if run else found.end()
        yield start, place
        found = _worth_decoding().search(marked, place)


@cache
def _worth_decoding() -> Any:
    """What base64 looks like that holds plain letters, or such as fold to them; nothing else need be decoded."""
    folded = b"|".join(look for pair in _FOLDABLE for look in _looks(*bytes.fromhex(pair)))
    return re2.compile(_PLAIN_QUANTA + b"|" + folded)


def _looks(first: int, second: int) -> list[bytes]:
    """Two bytes in a row as base64 shows them, at each of the three places where they may start in a quantum."""
    at_first = [[first >> 2], [(first & 3) << 4 | second >> 4], [(second & 15) << 2 | low for low in range(4)]]
    at_second = [[high << 4 | first >> 4 for high in range(4)], [(first & 15) << 2 | second >> 6], [second & 63]]
    at_third = [[high << 2 | first >> 6 for high in range(16)], [first & 63], [second >> 2]]
    return [b"".join(_any_of(values) for values in look) for look in (at_first, at_second, at_third)]


def _any_of(values: Iterable[int]) -> bytes:
    return b"[" + bytes(_ALPHABET[value] for value in values) + b"]"


def peeled(text: bytes, effort: Effort) -> Iterator[bytes]:
    """What can be read in a run, which may start anywhere in its first four characters: `path/QUtJQQ…`."""
    for decoded in _shifted(text.translate(_URL_SAFE, b"\r\n=")):
        for found in _readable().finditer(decoded):
            start, end = found.span()
            if not effort.spend(_PER_STRETCH + _PER_BYTE * (end - start)):
                return
            yield from _unwrapped(decoded[start:end])


def _shifted(text: bytes) -> Iterator[bytes]:
    """From each of its first four characters on. Decoded once: every further character is six bits further."""
    decoded = binascii.a2b_base64(text + b"A" * (-len(text) % 4))
    bits = int.from_bytes(decoded)
    for shift in range(4):
        size = (len(text) - shift) * 3 // 4
        yield (bits << 6 * shift).to_bytes(len(decoded) + shift)[shift : shift + size]


@cache
def _readable() -> Any:
    """A stretch of letters that are plain or become so; the shortest secret has eleven."""
    foldable = "".join(f"\\x{{{code:x}}}" for code in plain() if code > _ASCII)
    return re2.compile(f"[\\x00-\\x7f{foldable}]{{11,}}".encode())


def _unwrapped(stretch: bytes) -> Iterable[bytes]:
    """As it is, and what was folded or escaped before it was encoded."""
    bare = stretch.translate(None, CONTROLS)
    if not bare.isascii():
        bare = bytes_of(folded(text_of(bare)))
    read = [stretch] if bare == stretch else [stretch, bare]
    return [*read, unescaped(bare)] if b"%" in bare else read
