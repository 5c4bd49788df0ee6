"""JSON in, one text out that holds all of it, and back: so that a value is read together with its name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from countersign.inspection.catalogue import catalogue
from countersign.inspection.places import NOT_INSPECTED, Place, replaced

_DEPTH = 100
# More line breaks than any rule crosses on the way from a keyword to its secret.
_APART = b'"\n\n\n\n\n\n\n\n'
_JOINTS = re.compile(r"[\s_.-]+")
_REMEMBERED = 64


@dataclass(slots=True)
class Layout:
    """The text, where in it each key and each leaf stands, and which leaves are secrets by their name alone."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    slots: list[tuple[int, int]] = field(default_factory=list)
    named: list[Place] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self.parts)

    def write(self, part: bytes) -> None:
        """Something that stands between."""
        self.parts.append(part)
        self.size += len(part)

    def slot(self, text: str) -> None:
        """A key or a leaf."""
        part = text.encode("utf-8", "surrogatepass")
        self.slots.append((self.size, self.size + len(part)))
        self.write(part)


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
            layout.write(b'"')
            layout.slot(str(key))
            if isinstance(item, dict | list | tuple):
                layout.write(_APART)
                _lay(layout, item, str(key), depth - 1)
            else:
                _leaf(layout, item, str(key))
    elif isinstance(value, list | tuple) and depth:
        for item in value:
            if isinstance(item, dict | list | tuple):
                _lay(layout, item, under, depth - 1)
            else:
                layout.write(b'"' + under[:_REMEMBERED].encode("utf-8", "surrogatepass"))
                _leaf(layout, item, under)
    else:
        _leaf(layout, value, under)


def _leaf(layout: Layout, item: Any, under: str) -> None:
    text = _text(item)
    if text is None:
        layout.write(_APART)
        return
    layout.write(b'": "')
    layout.slot(text)
    layout.write(_APART)
    name = NOT_INSPECTED if isinstance(item, dict | list | tuple) else _secret_by_name(under, text)
    if name is not None:
        layout.named.append((*layout.slots[-1], name))


def _text(item: Any) -> str | None:
    """A leaf as text; None where there is nothing to read. What is nested too deep is not read but must be seen."""
    if isinstance(item, str):
        return item
    if isinstance(item, dict | list | tuple):
        return "…"
    return None if isinstance(item, bool) or not isinstance(item, int | float) else repr(item)


def _secret_by_name(under: str, text: str) -> str | None:
    if len(under) > _REMEMBERED or not text:
        return None
    known = catalogue()
    name = known.fields.get(_JOINTS.sub("", under.lower()))
    return None if name is None or known.placeholder.search(text.encode("utf-8", "surrogatepass")) else name


def _changes(layout: Layout, places: Sequence[Place]) -> Iterator[str | None]:
    """For each slot its new text, or None where it stays as it is."""
    n = 0
    data = layout.data
    for start, end in layout.slots:
        while n < len(places) and places[n][1] <= start:
            n += 1
        inside, at = [], n
        while at < len(places) and places[at][0] < end:
            first, last, name = places[at]
            inside.append((max(first, start) - start, min(last, end) - start, name))
            at += 1
        yield replaced(data[start:end], inside).decode("utf-8", "surrogatepass") if inside else None


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
