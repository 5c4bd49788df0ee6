"""Text or JSON in, the same without its secrets out; each is replaced by what it was: `[redacted: aws-access-key]`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from countersign.inspection import spotting
from countersign.inspection.catalogue import catalogue

_EFFORT = 20_000_000


@dataclass(frozen=True, slots=True)
class Redacted:
    """What may be shown, and the names of the rules that had to take something out: sorted, each once."""

    text: str
    found: tuple[str, ...]


def redact(text: str) -> Redacted:
    """Every secret replaced by its kind; all else is unchanged, byte for byte."""
    data = text.encode("utf-8", "surrogatepass")
    found, _ = spotting.spots(data, spotting.Effort(_EFFORT))
    if not found:
        return Redacted(text, ())
    rules = catalogue().rules
    return _replaced(data, [(spot.start, spot.end, rules[spot.rule].name) for spot in found])


def redact_value(value: Any) -> tuple[Any, tuple[str, ...]]:
    """The same for JSON, keys included."""
    found: set[str] = set()
    made = _walked(value, found)
    return made, tuple(sorted(found))


def _walked(value: Any, found: set[str]) -> Any:
    if isinstance(value, str):
        redacted = redact(value)
        found.update(redacted.found)
        return redacted.text
    if isinstance(value, dict):
        return {_walked(key, found): _walked(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_walked(item, found) for item in value]
    return value


def _replaced(data: bytes, places: Iterable[tuple[int, int, str]]) -> Redacted:
    """Places that overlap become one, named after the longest."""
    kept: list[bytes] = []
    names, done = set(), 0
    for start, end, name in _apart(places):
        kept += [data[done:start], f"[redacted: {name}]".encode()]
        names.add(name)
        done = end
    kept.append(data[done:])
    return Redacted(b"".join(kept).decode("utf-8", "surrogatepass"), tuple(sorted(names)))


def _apart(places: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    merged: list[tuple[int, int, int, str]] = []
    for start, end, name in sorted(places):
        if merged and start < merged[-1][1]:
            first, last, size, known = merged[-1]
            longer = end - start > size
            merged[-1] = (first, max(last, end), max(size, end - start), name if longer else known)
        else:
            merged.append((start, end, end - start, name))
    return [(start, end, name) for start, end, _, name in merged]
