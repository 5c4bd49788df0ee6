"""JSON in, one text out that holds all of it, and back: so that a value is read together with its name."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from countersign.inspection.catalogue import catalogue
from countersign.inspection.places import NOT_INSPECTED, Place, replaced

_DEPTH = 100
# More line breaks than any rule crosses on the way from a keyword to its secret.
_APART = '"\n\n\n\n\n\n\n\n'
_NESTED = (dict, list, tuple)
_JOINTS = re.compile(r"[\s_-]+")
_STEPS = re.compile(r"[.\[\]/'\"]+")
_REMEMBERED = 64


@dataclass(slots=True)
class Layout:
    """The text in parts, which of them are keys and leaves, and which of these are secrets by their name alone."""

    parts: list[str] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    by_name: list[tuple[int, str]] = field(default_factory=list)

    def data(self) -> bytes:
        """All of it."""
        return "".join(self.parts).encode("utf-8", "surrogatepass")

    def stretches(self) -> list[tuple[int, int]]:
        """From where to where in the text each part stands. Only asked where there is something to take out."""
        ends = list(itertools.accumulate(len(part.encode("utf-8", "surrogatepass")) for part in self.parts))
        return list(itertools.pairwise([0, *ends]))

    def named(self) -> list[Place]:
        """What is a secret whatever it looks like."""
        stretches = self.stretches() if self.by_name else []
        return [(*stretches[part], name) for part, name in self.by_name]


def lay_out(value: Any) -> Layout:
    """Every key and every leaf once, in the order in which `rebuilt` takes them."""
    layout = Layout()
    _lay(layout, value, "", _DEPTH)
    return layout


def rebuilt(value: Any, layout: Layout, places: Sequence[Place]) -> Any:
    """The same JSON without what stands in these places, which are in order and apart."""
    return _taken(value, _changes(layout, places), _DEPTH)


def _lay(layout: Layout, value: Any, under: str, depth: int) -> None:
    if isinstance(value, dict) and depth:
        for key, item in value.items():
            name = key if isinstance(key, str) else str(key)
            layout.slots.append(len(layout.parts) + 1)
            if isinstance(item, _NESTED):
                layout.parts += ['"', name, _APART]
                _lay(layout, item, name, depth - 1)
            else:
                layout.parts += ['"', name]
                _leaf(layout, item, name)
    elif isinstance(value, list | tuple) and depth:
        for item in value:
            if isinstance(item, _NESTED):
                _lay(layout, item, under, depth - 1)
            else:
                layout.parts += ['"', under[:_REMEMBERED]]
                _leaf(layout, item, under)
    else:
        _leaf(layout, value, under)


def _leaf(layout: Layout, item: Any, under: str) -> None:
    text = _text(item)
    if text is None:
        layout.parts.append(_APART)
        return
    place = len(layout.parts) + 1
    layout.slots.append(place)
    layout.parts += ['": "', text, _APART]
    name = NOT_INSPECTED if isinstance(item, _NESTED) else _secret_by_name(under, text)
    if name is not None:
        layout.by_name.append((place, name))


def _text(item: Any) -> str | None:
    """A leaf as text; None where there is nothing to read. What is nested too deep is not read but must be seen."""
    if isinstance(item, str):
        return item
    if isinstance(item, _NESTED):
        return "…"
    return None if isinstance(item, bool) or not isinstance(item, int | float) else repr(item)


def _secret_by_name(under: str, text: str) -> str | None:
    name = _named(under[-_REMEMBERED:]) if text else None
    if name is None or catalogue().placeholder.search(text.encode("utf-8", "surrogatepass")):
        return None
    return name


@lru_cache(maxsize=1024)
def _named(field: str) -> str | None:
    """The kind of secret that stands under such a name: `X-API-Key`, `api_key` and `accounts[0].apiKey` are one."""
    last = _STEPS.split(field.rstrip("]'\""))[-1]
    return catalogue().fields.get(_JOINTS.sub("", last.lower()))


def _changes(layout: Layout, places: Sequence[Place]) -> Iterator[str | None]:
    """For each slot its new text, or None where it stays as it is."""
    n, data, stretches = 0, layout.data(), layout.stretches()
    for start, end in (stretches[slot] for slot in layout.slots):
        while n < len(places) and places[n][1] <= start:
            n += 1
        inside = [
            (max(first, start) - start, min(last, end) - start, name) for first, last, name in _before(end, places, n)
        ]
        yield replaced(data[start:end], inside).decode("utf-8", "surrogatepass") if inside else None


def _before(end: int, places: Sequence[Place], n: int) -> Iterator[Place]:
    while n < len(places) and places[n][0] < end:
        yield places[n]
        n += 1


def _taken(value: Any, changes: Iterator[str | None], depth: int) -> Any:
    if isinstance(value, dict) and depth:
        made: dict[Any, Any] = {}
        for key, item in value.items():
            change = next(changes)
            made[key if change is None else _unlike(change, made)] = _taken(item, changes, depth - 1)
        return made
    if isinstance(value, list | tuple) and depth:
        return [_taken(item, changes, depth - 1) for item in value]
    if _text(value) is None:
        return value
    change = next(changes)
    return value if change is None else change


def _unlike(key: str, others: Mapping[Any, Any]) -> str:
    """Two keys that were taken out must not become one."""
    n = 2
    unlike = key
    while unlike in others:
        unlike, n = f"{key} ({n})", n + 1
    return unlike
