"""Bytes in, every other way to read them out: folded to plain characters, percent-decoded, decoded from base64.

Each reading knows which part of the original each of its parts came from, so that a secret that shows only in a reading
can be taken out of the original whole.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from countersign.inspection.base64_runs import peeled, runs
from countersign.inspection.effort import Effort
from countersign.inspection.escapes import ESCAPE, escapes, unescaped
from countersign.inspection.folding import bytes_of, folded, folds, is_plain, text_of

Lengths = Iterable[tuple[int, int, bool]]
"""How many bytes became how many, in order, and whether each of them stayed itself."""

_PART = 512
_LAYERS = 2  # escaped twice; what was escaped may have to be folded
_PER_RUN, _PER_BYTE = 12_000, 4


@dataclass(slots=True)
class Pieces:
    """Of one part: where each piece starts in what it became, and where it was read, how long, and whether alike."""

    became: list[int] = field(default_factory=list)
    read: list[tuple[int, int, bool]] = field(default_factory=list)

    @classmethod
    def of(cls, lengths: Lengths) -> "Pieces":
        """Pieces that vanished are left out: they belong to whatever stands on both sides of them."""
        made, became, read = cls(), 0, 0
        for size, grew, alike in lengths:
            if grew:
                made.became.append(became)
                made.read.append((read, size, alike))
            became, read = became + grew, read + size
        return made

    def at(self, offset: int) -> tuple[int, int]:
        """From where to where the byte at this offset was read."""
        n = bisect_right(self.became, offset) - 1
        start, size, alike = self.read[n]
        within = start + offset - self.became[n]
        return (within, within + 1) if alike else (start, start + size)


@dataclass(slots=True)
class Reading:
    """`parts[n]` is where the n-th part starts in `data`; `sources[n]`, which stretch of the parent it came from."""

    data: bytes
    parent: "Reading | None" = None
    parts: list[int] = field(default_factory=list)
    sources: list[tuple[int, int]] = field(default_factory=list)
    lengths: Callable[[bytes], Lengths] | None = None
    read_to: int | None = None
    mapped: dict[int, Pieces] = field(default_factory=dict)

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
        if n not in self.mapped:
            self.mapped[n] = Pieces.of(self.lengths(self.parent.data[start:end]))
        first, last = self.mapped[n].at(offset)
        return start + first, start + last


def readings(data: bytes) -> Iterator[Reading]:
    """The text itself first, then each reading that differs from the one before; base64 last, and only once."""
    reading = Reading(data)
    yield reading
    for _ in range(_LAYERS):
        before = reading
        for step in (_folded, _unescaped):
            further = step(reading)
            if further is not None:
                reading = further
                yield reading
        if reading is before:
            break
    decoded = _decoded(reading, Effort())
    if decoded is not None:
        yield decoded


def _folded(reading: Reading) -> Reading | None:
    """NFKC where that makes plain characters; without those that nobody sees: format, control, combining."""
    data = reading.data
    if is_plain(data):
        return None
    text = text_of(data)
    made, place = Reading(b"", reading, lengths=folds), 0
    kept: list[bytes] = []
    for at in range(0, len(text), _PART):
        part = text[at : at + _PART]
        read = bytes_of(part)
        _add(made, kept, read if is_plain(read) else bytes_of(folded(part)), (place, place + len(read)))
        place += len(read)
    return _joined(made, kept)


def _unescaped(reading: Reading) -> Reading | None:
    """Percent escapes decoded once (RFC 3986)."""
    data = reading.data
    if b"%" not in data or ESCAPE.search(data) is None:
        return None
    made, start = Reading(b"", reading, lengths=escapes), 0
    kept: list[bytes] = []
    while start < len(data):
        end = start + _PART
        torn = next((at for at in (end - 1, end - 2) if ESCAPE.match(data, at)), None)
        end = min(end if torn is None else torn + 3, len(data))
        _add(made, kept, unescaped(data[start:end]), (start, end))
        start = end
    return _joined(made, kept)


def _decoded(reading: Reading, effort: Effort) -> Reading | None:
    """All that may be base64, decoded, a line for each way to read a run; a run is taken out whole or not at all."""
    made, place = Reading(b"", reading), 0
    kept: list[bytes] = []
    for start, end in runs(reading.data):
        effort.earn(end - place)
        place = end
        effort.spend(_PER_RUN + _PER_BYTE * (end - start))
        lines = [*peeled(reading.data[start:end], effort), b""]
        _add(made, kept, b"\n".join(lines), (start, end))
        if effort.left < 0:
            made.read_to = start
            break
    return _joined(made, kept)


def _add(made: Reading, kept: list[bytes], part: bytes, source: tuple[int, int]) -> None:
    if part:
        made.parts.append(made.parts[-1] + len(kept[-1]) if kept else 0)
        made.sources.append(source)
        kept.append(part)


def _joined(made: Reading, kept: list[bytes]) -> Reading | None:
    made.data = b"".join(kept)
    same = made.parent is not None and made.data == made.parent.data
    return None if same or (not kept and made.read_to is None) else made
