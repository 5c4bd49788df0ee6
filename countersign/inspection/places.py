"""Where something must be taken out, and taking it out: places in bytes, each with the name of what was there."""

from collections.abc import Iterable, Sequence

Place = tuple[int, int, str]
"""From where to where, and the rule's name."""

NOT_INSPECTED = "not-inspected"
"""Stands for what would cost too much to read: what nobody looked at is not shown."""


def label(name: str) -> str:
    """What is shown instead."""
    return f"[redacted: {name}]"


def apart(places: Iterable[Place]) -> list[Place]:
    """In order; places that overlap become one, named after the longest that is not generic, then after the first."""
    merged: list[tuple[int, int, int, str]] = []
    for start, end, name in sorted(places):
        if not merged or start >= merged[-1][1]:
            merged.append((start, end, end - start, name))
            continue
        first, last, size, known = merged[-1]
        longer = (not name.startswith("generic-"), end - start) > (not known.startswith("generic-"), size)
        merged[-1] = (first, max(last, end), max(size, end - start), name if longer else known)
    return [(start, end, name) for start, end, _, name in merged]


def replaced(data: bytes, places: Sequence[Place]) -> bytes:
    """Each of the places, which are in order and apart, by its label."""
    kept, done = [], 0
    for start, end, name in places:
        kept += [data[done:start], label(name).encode()]
        done = end
    kept.append(data[done:])
    return b"".join(kept)
