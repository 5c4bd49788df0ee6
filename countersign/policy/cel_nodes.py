"""What a condition is made of: nodes with their places, and the error that names one."""

from dataclasses import dataclass
from typing import Any

INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class ConditionError(Exception):
    """A condition that cannot be accepted: what is wrong with it, and where (1-based, within the condition's text)."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, 1-based."""

    line: int
    column: int

    def error(self, message: str) -> ConditionError:
        return ConditionError(message, self.line, self.column)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: str, int, float, bool or None."""

    place: Place
    value: Any


@dataclass(frozen=True, slots=True)
class Foreign:
    """A literal of a type that the compiled subset does not know (`uint`, `bytes`)."""

    place: Place
    what: str


@dataclass(frozen=True, slots=True)
class Name:
    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`target.field`"""

    place: Place
    target: "Node"
    field: str


@dataclass(frozen=True, slots=True)
class Index:
    """`target[key]`"""

    place: Place
    target: "Node"
    key: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a method where `target` is given."""

    place: Place
    name: str
    target: "Node | None"
    args: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """`! - ?:` and the binary operators. `&&` and `||` hold the whole chain, flattened; unary minus is `neg`."""

    place: Place
    operator: str
    args: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    place: Place
    entries: tuple[tuple["Node", "Node"], ...]


Node = Literal | Foreign | Name | Select | Index | Call | Operation | ListOf | MapOf
