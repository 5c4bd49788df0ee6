"""What compiled conditions call: CEL's truth, comparison, fields and string tests over JSON values and times.

A value is exactly one of CEL's types here, whatever Python thinks of `True == 1`. Each function returns the CEL value
or raises; inline code raises KeyError or TypeError by itself, and all of ERRORS mean "this evaluation failed".
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

BUDGET: Final = 20_000  # one step is a turn of a small comprehension, or a slice of what it looks through
_STEP_CHARACTERS: Final = 256
_STEP_ITEMS: Final = 8


class EvaluationError(Exception):
    """A condition that has no answer for this call: a missing key, types that do not fit, an overflow."""


# RecursionError: a value nested deeper than Python walks. ValueError: text that does not convert.
ERRORS = (EvaluationError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)


class CelType(Enum):
    """CEL's types, as far as a compiled condition meets them. `DYN` is only ever a declared type, never a value's."""

    BOOL = auto()
    INT = auto()
    DOUBLE = auto()
    STRING = auto()
    NULL = auto()
    LIST = auto()
    MAP = auto()
    TIMESTAMP = auto()
    DURATION = auto()
    DYN = auto()

    def __str__(self) -> str:
        return self.name.lower()


_BASES: tuple[tuple[type, CelType], ...] = (
    (bool, CelType.BOOL),  # before int, whose subclass it is
    (int, CelType.INT),
    (float, CelType.DOUBLE),
    (str, CelType.STRING),
    (type(None), CelType.NULL),
    (datetime, CelType.TIMESTAMP),
    (timedelta, CelType.DURATION),
    (list, CelType.LIST),
    (tuple, CelType.LIST),
    (dict, CelType.MAP),
    (MappingProxyType, CelType.MAP),
)


class _Types(dict[type, CelType]):
    """CelType by exact type; a subclass (an IntEnum, say) is looked up once."""

    def __missing__(self, cls: type) -> CelType:
        for base, kind in _BASES:
            if issubclass(cls, base):
                self[cls] = kind
                return kind
        raise EvaluationError(f"a {cls.__name__} is no CEL value")


TYPES = _Types(_BASES)
_NUMBERS = frozenset({CelType.INT, CelType.DOUBLE})
_ORDERED = frozenset({CelType.BOOL, CelType.INT, CelType.DOUBLE, CelType.STRING, CelType.TIMESTAMP, CelType.DURATION})


def no_overload(operator: str, *values: Any) -> EvaluationError:
    kinds = ", ".join(str(TYPES[type(value)]) for value in values)
    return EvaluationError(f"no such overload: {operator} on {kinds}")


# --- truth ---------------------------------------------------------------------------------------------------------


def truth(value: Any) -> bool:
    """The value itself if it is a bool."""
    if value is True or value is False:
        return value
    raise no_overload("condition", value)


def both(*terms: Callable[[], bool]) -> bool:
    """`a && b && …` where a false absorbs the errors of the others, whichever side it stands on."""
    failure: Exception | None = None
    for term in terms:
        try:
            if not term():
                return False
        except ERRORS as problem:
            failure = problem
    if failure:
        raise failure
    return True


def either(*terms: Callable[[], bool]) -> bool:
    """`a || b || …` where a true absorbs the errors of the others, whichever side it stands on."""
    failure: Exception | None = None
    for term in terms:
        try:
            if term():
                return True
        except ERRORS as problem:
            failure = problem
    if failure:
        raise failure
    return False


# --- comparison ----------------------------------------------------------------------------------------------------


def equal(left: Any, right: Any) -> bool:
    """Deep equality. Values of different types are unequal, except int and double, which compare as doubles."""
    kind = TYPES[type(left)]
    other = TYPES[type(right)]
    if kind is other:
        if kind is CelType.LIST:
            return len(left) == len(right) and all(map(equal, left, right))
        if kind is CelType.MAP:
            return len(left) == len(right) and all(key in right and equal(left[key], right[key]) for key in left)
        return bool(left == right)
    return kind in _NUMBERS and other in _NUMBERS and float(left) == float(right)


def unequal(left: Any, right: Any) -> bool:
    return not equal(left, right)


def _order(left: Any, right: Any, operator: str) -> tuple[Any, Any]:
    """Both sides, fit to be compared by Python. NaN has no order, and saying so is safer than calling it false."""
    kind = TYPES[type(left)]
    other = TYPES[type(right)]
    if kind is not other:
        if kind not in _NUMBERS or other not in _NUMBERS:
            raise no_overload(operator, left, right)
        left, right = float(left), float(right)
    elif kind not in _ORDERED:
        raise no_overload(operator, left, right)
    if left != left or right != right:  # noqa: PLR0124 - only NaN differs from itself
        raise EvaluationError(f"no such overload: {operator} on NaN")
    return left, right


def less(left: Any, right: Any) -> bool:
    left, right = _order(left, right, "<")
    return bool(left < right)


def at_most(left: Any, right: Any) -> bool:
    left, right = _order(left, right, "<=")
    return bool(left <= right)


def more(left: Any, right: Any) -> bool:
    left, right = _order(left, right, ">")
    return bool(left > right)


def at_least(left: Any, right: Any) -> bool:
    left, right = _order(left, right, ">=")
    return bool(left >= right)


def member(value: Any, container: Any) -> bool:
    """`value in container`: an element of a list, or a key of a map."""
    match TYPES[type(container)]:
        case CelType.LIST:
            return any(equal(value, item) for item in container)
        case CelType.MAP:
            kind = TYPES[type(value)]
            if kind is CelType.STRING:
                return value in container
            if kind in {CelType.INT, CelType.BOOL}:
                return False  # JSON's keys are strings
    raise no_overload("in", value, container)


# --- fields --------------------------------------------------------------------------------------------------------


def has(target: Any, name: str) -> bool:
    if TYPES[type(target)] is CelType.MAP:
        return name in target
    raise no_overload("has()", target)


def at(target: Any, key: Any) -> Any:
    """`target[key]`: a list by its int position, never from the end, or a map by its string key."""
    match TYPES[type(target)], TYPES[type(key)]:
        case (CelType.MAP, CelType.STRING):
            if key in target:
                return target[key]
            raise EvaluationError("no such key")  # not its name: it may come from the arguments
        case (CelType.LIST, CelType.INT):
            if 0 <= key < len(target):
                return target[key]
            raise EvaluationError(f"index out of bounds: {key}")
    raise no_overload("[]", target, key)


def size(value: Any) -> int:
    """Characters of a string, elements of a list, entries of a map."""
    if TYPES[type(value)] in {CelType.STRING, CelType.LIST, CelType.MAP}:
        return len(value)
    raise no_overload("size", value)


def elements(meter: list[int], value: Any, steps: int) -> Collection[Any]:
    """What a comprehension walks: a list's elements or a map's keys; pays for all of them beforehand,
    `steps` for each.
    """
    if TYPES[type(value)] not in {CelType.LIST, CelType.MAP}:
        raise no_overload("comprehension", value)
    items: Collection[Any] = value
    _pay(meter, len(items) * steps)
    return items


# --- the budget ----------------------------------------------------------------------------------------------------


def _pay(meter: list[int], steps: int) -> None:
    meter[0] -= steps
    if meter[0] < 0:
        raise EvaluationError(f"more work than {BUDGET} steps")


def weigh(meter: list[int], value: Any) -> Any:
    """The value, after paying for an operation that walks it once."""
    match TYPES[type(value)]:
        case CelType.STRING:
            _pay(meter, 1 + len(value) // _STEP_CHARACTERS)
        case CelType.LIST | CelType.MAP:
            _pay(meter, 1 + len(value) // _STEP_ITEMS)
    return value


def weigh_deep(meter: list[int], value: Any) -> Any:
    """The value, after paying for an operation that compares all that is in it, one by one."""
    match TYPES[type(value)]:
        case CelType.STRING:
            weigh(meter, value)
        case CelType.LIST:
            _pay(meter, 1 + len(value))
            for item in value:
                weigh_deep(meter, item)
        case CelType.MAP:
            _pay(meter, 1 + len(value))
            for item in value.values():
                weigh_deep(meter, item)
    return value


# --- strings -------------------------------------------------------------------------------------------------------


def _strings(function: str, *values: Any) -> None:
    for value in values:
        if TYPES[type(value)] is not CelType.STRING:
            raise no_overload(function, *values)


def starts_with(value: Any, prefix: Any) -> bool:
    _strings("startsWith", value, prefix)
    return bool(value.startswith(prefix))


def ends_with(value: Any, suffix: Any) -> bool:
    _strings("endsWith", value, suffix)
    return bool(value.endswith(suffix))


def contains(value: Any, part: Any) -> bool:
    _strings("contains", value, part)
    return part in value


def matches(value: Any, search: Callable[[str], object]) -> bool:
    _strings("matches", value)
    return search(value) is not None
