"""A condition in, the arguments it puts in order with a number out: text that nobody converted has no answer there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from countersign.policy import cel_syntax
from countersign.policy.cel_nodes import Literal, Name, Node, Operation, Select

_ORDERINGS = frozenset({"<", "<=", ">", ">="})
_SUSPECT = re.compile(r"arguments\.[.\w]+\s*[<>]=?\s*[-\d.]|[\d.]\s*[<>]=?\s*arguments\.")
"""What a condition has in it if it is worth another parse: most convert first, and a policy may have 50,000."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """`arguments.PATH` as it came, beside a number. `place` is that of the argument in the condition's text."""

    path: tuple[str, ...]
    operator: str
    argument_first: bool
    place: tuple[int, int]

    def of_text(self) -> str:
        """What it is if the argument is text, and what to write instead."""
        one, other = ("text", "number") if self.argument_first else ("number", "text")
        return f"{one} {self.operator} {other}; write double(arguments.{'.'.join(self.path)})"

    def within(self, value: Any) -> Any:
        """What `path` names in `value`, or None."""
        for name in self.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def orderings(condition: str) -> Iterator[Ordering]:
    """Those of a condition that compiles."""
    if not _SUSPECT.search(condition):
        return
    for node in _all(cel_syntax.parse(condition)):
        if isinstance(node, Operation) and node.operator in _ORDERINGS:
            left, right = node.args
            for argument, number, first in ((left, right, True), (right, left, False)):
                path = _path(argument)
                if path and _is_number(number):
                    yield Ordering(path, node.operator, first, (argument.place.line, argument.place.column))


def _path(node: Node) -> tuple[str, ...]:
    """`a`, `b` of `arguments.a.b`; nothing of anything else."""
    names: list[str] = []
    while isinstance(node, Select):
        names.append(node.field)
        node = node.target
    return tuple(reversed(names)) if isinstance(node, Name) and node.name == "arguments" else ()


def _is_number(node: Node) -> bool:
    if isinstance(node, Operation) and node.operator == "neg":
        return _is_number(node.args[0])
    return isinstance(node, Literal) and type(node.value) in (int, float)


def _all(node: Node) -> Iterator[Node]:
    yield node
    for name in node.__slots__:
        yield from _below(getattr(node, name))


def _below(value: Any) -> Iterator[Node]:
    if isinstance(value, tuple):
        for item in value:
            yield from _below(item)
    elif isinstance(value, Node):
        yield from _all(value)
