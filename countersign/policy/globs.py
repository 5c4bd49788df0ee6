"""Globs and the masks they stand for in, the mask of one name out: `*` within a dotted segment, `**` across them."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import re2

V = TypeVar("V")

_FORBIDDEN = frozenset("?[]{}\\")


def unusable(glob: str, *, dotted: bool = True) -> str | None:
    """Why a glob cannot be used, or None. Entity ids (`dotted=False`) may hold what names may not."""
    if not glob:
        return "a glob must not be empty"
    if "***" in glob:
        return "`***` means nothing; `*` stays within a segment, `**` crosses dots"
    if not glob.isprintable() or (dotted and any(character.isspace() for character in glob)):
        return "a glob must not hold spaces or unprintable characters"
    if dotted and (found := _FORBIDDEN & set(glob)):
        return f"{min(found)!r} means nothing in a glob; only `*` and `**` do"
    return None


def is_literal(glob: str) -> bool:
    return "*" not in glob


def matcher(glob: str, *, dotted: bool = True) -> Callable[[str], bool]:
    """A function that says whether a name matches. Linear in the name's length, whatever the glob."""
    prefix = glob.split("*", 1)[0]
    fullmatch = re2.compile(_expression(glob, dotted=dotted)).fullmatch

    def matches(name: str) -> bool:
        return name.startswith(prefix) and fullmatch(_encodable(name)) is not None

    return matches


def matches_any(globs: Iterable[str], name: str) -> bool:
    return any(glob == name if is_literal(glob) else matcher(glob)(name) for glob in globs)


def _expression(glob: str, *, dotted: bool) -> str:
    across = glob.split("**") if dotted else [glob]
    within = "[^.]*" if dotted else ".*"
    return "(?s)" + ".*".join(within.join(re2.escape(part) for part in piece.split("*")) for piece in across)


def _encodable(name: str) -> str:
    """`name` with lone surrogates replaced: no glob holds one, so only `*` can match there, before and after."""
    return name if name.isascii() else name.encode("utf-8", "replace").decode()


class Names:
    """Which of many globs one name matches, as the union of their masks."""

    __slots__ = ("_everything", "_exact", "_globs", "_prefixes")

    def __init__(self, masks: Iterable[tuple[str, int]], *, dotted: bool = True) -> None:
        self._everything = 0
        self._exact: dict[str, int] = {}
        globs: dict[str, int] = {}
        for glob, mask in masks:
            if glob == "**" or (glob == "*" and not dotted):
                self._everything |= mask
            elif is_literal(glob):
                self._exact[glob] = self._exact.get(glob, 0) | mask
            else:
                globs[glob] = globs.get(glob, 0) | mask
        self._globs = tuple((matcher(glob, dotted=dotted), mask) for glob, mask in globs.items())
        self._prefixes = tuple(glob.split("*", 1)[0] for glob in globs)

    def mask(self, name: str) -> int:
        found = self._everything | self._exact.get(name, 0)
        for matches, mask in self._globs:
            if mask & ~found and matches(name):
                found |= mask
        return found

    def patterns(self, mask: int) -> "Patterns":
        """Those of the globs that stand for any of `mask`."""
        globs = zip(self._prefixes, self._globs, strict=True)
        return Patterns(
            bool(self._everything & mask),
            frozenset(name for name, bits in self._exact.items() if bits & mask),
            tuple((prefix, matches) for prefix, (matches, bits) in globs if bits & mask),
        )


class Patterns(NamedTuple):
    """Globs turned about: not which of them match a name, but which names they match."""

    everything: bool = False
    exact: frozenset[str] = frozenset()
    globs: tuple[tuple[str, Callable[[str], bool]], ...] = ()  # each with what its names begin with

    def beside(self, other: "Patterns") -> "Patterns":
        """What either matches."""
        return Patterns(self.everything or other.everything, self.exact | other.exact, self.globs + other.globs)

    def among(self, names: Sequence[str], *, after: str = "") -> Iterator[tuple[str, bool]]:
        """Sorted `names` beyond `after`, in order, each with whether it matches; looked at only as they are taken.

        What lies where no glob can reach is passed over, so that few matches among many names cost little.
        """
        start = bisect_right(names, after)
        if self.everything:
            for n in range(start, len(names)):
                yield names[n], True
            return
        for first, end in self._spans(names, start):
            for n in range(first, end):
                name = names[n]
                yield name, name in self.exact or any(matches(name) for _, matches in self.globs)

    def _spans(self, names: Sequence[str], start: int) -> Iterator[tuple[int, int]]:
        """Where in `names` a match can be, in order and each place once."""
        spans = [_span(names, start, prefix) for prefix in {prefix for prefix, _ in self.globs}]
        for name in self.exact:
            n = bisect_left(names, name, start)
            if n < len(names) and names[n] == name:
                spans.append((n, n + 1))
        reached = start
        for first, end in sorted(spans):
            if end > reached:
                yield max(first, reached), end
                reached = end


def _span(names: Sequence[str], start: int, prefix: str) -> tuple[int, int]:
    """Where in sorted `names` those stand that begin with `prefix`."""
    first = bisect_left(names, prefix, start)
    return first, bisect_left(names, 1, first, key=lambda name: not name.startswith(prefix))


EVERYTHING = Patterns(everything=True)


class Memo(Generic[V]):
    """What was computed for a name, for the names seen lately: two generations, so that callers who invent names can
    neither grow it nor push out for long what is in use.

    Not state: it only remembers what a pure function said. Threads may race here; the loser computes again.
    """

    __slots__ = ("_older", "_recent", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._recent: dict[Any, V] = {}
        self._older: dict[Any, V] = {}

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def get(self, key: Hashable) -> V | None:
        found = self._recent.get(key)
        if found is None:
            found = self._older.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Hashable, value: V) -> None:
        if len(self._recent) >= self._size:
            self._older, self._recent = self._recent, {}
        self._recent[key] = value
