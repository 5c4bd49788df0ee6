"""Bytes in, every other way to read them out: folded to plain characters, percent-decoded, decoded from base64.

Each reading knows which part of the original each of its parts came from, so that a secret that shows only in a reading
can be taken out of the original whole.
"""

import binascii
import itertools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import re2

from countersign.inspection.effort import Effort

Lengths = Iterable[tuple[int, int]]
"""How many bytes were read and how many they became, in order."""

_PART = 1024
_BYTES = re2.Options()
_BYTES.encoding = re2.Options.Encoding.LATIN1
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\r"})
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_STRAY = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HAS_STRAY = re2.compile(rb"(?s)%(?:[^0-9A-Fa-f]|[0-9A-Fa-f][^0-9A-Fa-f]|.?\z)", _BYTES)
_RUN = re.compile(rb"(?:[A-Za-z0-9+/_-]{60,}\r?\n)*[A-Za-z0-9+/_-]+={0,2}")
_WRAPPED = 60  # characters a line, at least, where base64 is wrapped
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# Three quanta in a row that decode to bytes below 128, told by the bits that are zero in these.
_PLAIN_QUANTA = rb"(?:[A-Za-f][ACDEFGHQSTUVWXgijklmnwyz0123][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/]){3}"
# How letters begin that fold to plain ones or vanish: full-width, zero-width, mathematical, soft hyphen, joiner.
_FOLDABLE = ("efbc", "efbd", "efbb", "e280", "e281", "f09d", "c2ad", "cd8f")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_KINDS = bytes(120 if byte in _ALPHABET + b"-_" else 46 for byte in range(256))
_PER_RUN, _PER_STRETCH, _PER_BYTE = 12_000, 1_000, 4
_ASCII = 0x7F
# Blank letters, which no category tells from the others.
_UNSEEN = ("Cc", "Cf", "Me", "Mn")
_BLANK = "\u115f\u1160\u3164\uffa0\u2800"
_WITH_PLAIN = (
    (0x80, 0x3400),
    (0xA000, 0xAC00),
    (0xF900, 0x13460),
    (0x16FE0, 0x17000),
    (0x1BC00, 0x20000),
    (0xE0000, 0xE0200),
)


@dataclass(slots=True)
class Reading:
    """`parts[n]` is where the n-th part starts in `data`; `sources[n]`, which stretch of the parent it came from."""

    data: bytes
    parent: "Reading | None" = None
    parts: list[int] = field(default_factory=list)
    sources: list[tuple[int, int]] = field(default_factory=list)
    lengths: Callable[[bytes], Lengths] | None = None
    read_to: int | None = None

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The part of the very first text that became `data[start:end]`; never less than all of it."""
        if self.parent is None:
            return start, end
        first, last = bisect_right(self.parts, start) - 1, bisect_right(self.parts, end - 1) - 1
        begins, _ = self._within(first, start - self.parts[first])
        _, ends = self._within(last, end - 1 - self.parts[last])
        return self.parent.origin(begins, ends)

    def _within(self, n: int, offset: int) -> tuple[int, int]:
        """From where to where in the parent the byte at `offset` of the n-th part came from."""
        start, end = self.sources[n]
        if self.lengths is None or self.parent is None:
            return start, end
        for read, became in self.lengths(self.parent.data[start:end]):
            if offset < became:
                return start, start + read
            start, offset = start + read, offset - became
        return start, end


def readings(data: bytes) -> Iterator[Reading]:
    """The text itself first, then each reading that differs from the one before; base64 last, and only once."""
    reading = Reading(data)
    yield reading
    for step in (_folded, _unescaped, _folded, _unescaped):
        further = step(reading)
        if further is not None:
            reading = further
            yield reading
    decoded = _decoded(reading, Effort())
    if decoded is not None:
        yield decoded


def _folded(reading: Reading) -> Reading | None:
    """NFKC where that makes plain characters; without those that nobody sees: format, control, combining."""
    data = reading.data
    if data.isascii() and len(data.translate(None, _CONTROLS)) == len(data):
        return None
    text, known = _text(data), _plain()
    made, place = Reading(b"", reading, lengths=_folds), 0
    kept: list[bytes] = []
    for at in range(0, len(text), _PART):
        part = text[at : at + _PART]
        read = len(_bytes(part))
        _add(made, kept, _bytes(part.translate(known)), (place, place + read))
        place += read
    return _joined(made, kept)


def _folds(part: bytes) -> Lengths:
    known = _plain()
    for letter in _text(part):
        yield len(_bytes(letter)), len(_bytes(letter.translate(known)))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")  # what is no UTF-8 stays as it is, and comes back so


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@cache
def _plain() -> dict[int, str]:
    """Which characters become plain ones, and which vanish."""
    known = {ord(letter): "" for letter in _BLANK} | dict.fromkeys(_CONTROLS, "")
    for code in itertools.chain.from_iterable(itertools.starmap(range, _WITH_PLAIN)):
        folded = unicodedata.normalize("NFKC", chr(code))
        if unicodedata.category(chr(code)) in _UNSEEN:
            known[code] = ""
        elif any(letter.isascii() for letter in folded):
            known[code] = folded
    return known


def _unescaped(reading: Reading) -> Reading | None:
    """Percent escapes decoded once (RFC 3986)."""
    data = reading.data
    if b"%" not in data or _ESCAPE.search(data) is None:
        return None
    made, start = Reading(b"", reading, lengths=_escapes), 0
    kept: list[bytes] = []
    while start < len(data):
        end = start + _PART
        torn = next((at for at in (end - 1, end - 2) if _ESCAPE.match(data, at)), None)
        end = min(end if torn is None else torn + 3, len(data))
        _add(made, kept, _unescape(data[start:end]), (start, end))
        start = end
    return _joined(made, kept)


def _unescape(part: bytes) -> bytes:
    """As `unquote_to_bytes`, thirty times as fast: the escapes are those of quoted-printable, with `%` for `=`."""
    if b"%" not in part:
        return part
    part = part.replace(b"=", b"=3D")
    if _HAS_STRAY.search(part):
        part = _STRAY.sub(b"=25", part)
    return binascii.a2b_qp(part.replace(b"%", b"="))


def _escapes(part: bytes) -> Lengths:
    at = 0
    while at < len(part):
        escaped = 3 if _ESCAPE.match(part, at) else 1
        yield escaped, 1
        at += escaped


def _decoded(reading: Reading, effort: Effort) -> Reading | None:
    """All that may be base64, decoded, a line for each way to read a run; a run is taken out whole or not at all."""
    made, place = Reading(b"", reading), 0
    kept: list[bytes] = []
    for start, end in _runs(reading.data):
        effort.earn(end - place)
        place = end
        effort.spend(_PER_RUN + _PER_BYTE * (end - start))
        for part in _peeled(reading.data[start:end], effort):
            _add(made, kept, part + b"\n", (start, end))
        if effort.left < 0:
            made.read_to = start
            break
    return _joined(made, kept)


def _runs(data: bytes) -> Iterator[tuple[int, int]]:
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


def _peeled(text: bytes, effort: Effort) -> Iterator[bytes]:
    """What can be read in a run, which may start anywhere in its first four characters: `path/QUtJQQ…`."""
    text = text.translate(_URL_SAFE, b"\r\n=")
    for shift in range(4):
        part = text[shift:]
        part = part[:-1] if len(part) % 4 == 1 else part
        for stretch in _readable().finditer(binascii.a2b_base64(part + b"=" * (-len(part) % 4))):
            if not effort.spend(_PER_STRETCH + _PER_BYTE * len(stretch[0])):
                return
            yield from _unwrapped(stretch[0])


@cache
def _readable() -> Any:
    """A stretch of letters that are plain or become so; the shortest secret has eleven."""
    foldable = "".join(f"\\x{{{code:x}}}" for code in _plain() if code > _ASCII)
    return re2.compile(f"[\\x00-\\x7f{foldable}]{{11,}}".encode())


def _unwrapped(stretch: bytes) -> Iterator[bytes]:
    """As it is, and what was folded or escaped before it was encoded."""
    yield stretch
    bare = stretch.translate(None, _CONTROLS)
    if not bare.isascii():
        bare = _bytes(_text(bare).translate(_plain()))
    if bare != stretch:
        yield bare
    if b"%" in bare:
        yield _unescape(bare)


def _add(made: Reading, kept: list[bytes], part: bytes, source: tuple[int, int]) -> None:
    if part:
        made.parts.append(made.parts[-1] + len(kept[-1]) if kept else 0)
        made.sources.append(source)
        kept.append(part)


def _joined(made: Reading, kept: list[bytes]) -> Reading | None:
    made.data = b"".join(kept)
    same = made.parent is not None and made.data == made.parent.data
    return None if same or (not kept and made.read_to is None) else made
