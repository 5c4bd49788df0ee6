"""Arguments and what is chosen to stay the same of them in; a CEL condition that says so, and its words, out. Pure.

Whatever an agent put into an argument ends up inside a literal here: a text is written in a small alphabet, all else of
it escaped by number, so that no value can end its literal and say something of its own.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from approvals.visible import visible
from countersign.proof import canonical

AND: Final = " && "
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _.,:@/+-")
_BEYOND: Final = 0xFFFF  # of four hexadecimal digits
# Fifteen digits in all: two amounts that differ are two different doubles.
_AMOUNT: Final = "^[0-9]{1,11}([.][0-9]{1,4})?$"
_MOST: Final = Decimal(10) ** 11

_TEXT = r'"(?:[A-Za-z0-9 _.,:@/+-]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*"'
_ONLY = re.compile(r"arguments\.all\(k, k in (\[.*\])\)").fullmatch
_EQUALS = re.compile(rf"arguments\[({_TEXT})\] == (.+)").fullmatch
_MATCHES = re.compile(rf"arguments\[({_TEXT})\]\.matches\(.+\)").fullmatch
_AT_LEAST = re.compile(rf"arguments\[({_TEXT})\] >= 0\.0").fullmatch
_AT_MOST = re.compile(rf"(?:double\()?arguments\[({_TEXT})\]\)? <= ([0-9.]+)").fullmatch
_LONG = re.compile(r"\\U([0-9a-f]{8})")


class How(StrEnum):
    """What of an argument stays the same."""

    EQUALS = "equals"
    AT_MOST = "at_most"


@dataclass(frozen=True, slots=True)
class Bound:
    """One argument and how it is bound."""

    name: str
    how: How
    value: Any


def may_be_at_most(value: object) -> bool:
    """Whether it is an amount that a condition can compare without rounding."""
    return _amount(value) is not None


def condition(names: Sequence[str], bounds: Sequence[Bound]) -> str:
    """True of calls that keep to each bound and have no arguments but `names`. Raises ValueError for no amount."""
    clauses = [f"arguments.all(k, k in {literal(sorted(names))})"]
    for one in bounds:
        clauses += _clauses(one)
    return AND.join(clauses)


def literal(value: Any) -> str:
    """A JSON value as CEL writes it. Raises canonical.NotCanonical for what is none."""
    if isinstance(value, str):
        return f'"{"".join(map(_character, value))}"'
    if isinstance(value, Mapping):
        members = (f"{literal(name)}: {literal(part)}" for name, part in sorted(value.items()))
        return "{" + ", ".join(members) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(literal, value)) + "]"
    return canonical.dumps(value).decode()  # a number, true, false or null, which CEL writes as JSON does


def words(text: str) -> list[str] | None:
    """What a condition made here says, a line for each bound; None for any other, which is shown as it is written."""
    try:
        names, *bounds = _read(text.split(AND))
        if not isinstance(names, list) or condition(names, bounds) != text:
            return None
    except (ValueError, IndexError, TypeError):
        return None
    said = [_in_words(one) for one in bounds]
    return [*said, f"no arguments but {', '.join(_shown(name) for name in names)}" if names else "no arguments"]


# --- writing


def _character(character: str) -> str:
    if character in _PLAIN:
        return character
    code = ord(character)
    return f"\\U{code:08x}" if code > _BEYOND else f"\\u{code:04x}"


def _clauses(one: Bound) -> Iterator[str]:
    place = f"arguments[{literal(one.name)}]"
    if one.how is How.EQUALS:
        yield f"{place} == {literal(one.value)}"
        return
    amount = _amount(one.value)
    if amount is None:
        raise ValueError(f"{one.name} is no amount")
    if isinstance(one.value, str):
        yield f'{place}.matches("{_AMOUNT}")'
        yield f"double({place}) <= {_decimal(amount)}"
    else:
        yield f"{place} >= 0.0"
        yield f"{place} <= {_decimal(amount)}"


def _amount(value: object) -> Decimal | None:
    if isinstance(value, str):
        if not re.fullmatch(_AMOUNT.removeprefix("^").removesuffix("$"), value, re.ASCII):
            return None
    elif type(value) not in (int, float):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if 0 <= amount < _MOST and amount == amount.quantize(Decimal("0.0001")) else None


def _decimal(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text if "." in text else f"{text}.0"


# --- reading


def _read(clauses: list[str]) -> Iterator[Any]:
    """The names first, then each bound. Raises ValueError for anything else."""
    only = _ONLY(clauses.pop(0))
    if only is None:
        raise ValueError("not made here")
    yield _value(only[1])
    while clauses:
        clause = clauses.pop(0)
        if found := _EQUALS(clause):
            yield Bound(_value(found[1]), How.EQUALS, _value(found[2]))
            continue
        most = _AT_MOST(clauses.pop(0)) if clauses else None
        if most is None or not (_MATCHES(clause) or _AT_LEAST(clause)):
            raise ValueError("not made here")
        value = most[2] if _MATCHES(clause) else float(most[2])
        yield Bound(_value(most[1]), How.AT_MOST, value)


def _value(text: str) -> Any:
    """A literal of ours is JSON, but for characters beyond the first plane."""
    return json.loads(_LONG.sub(lambda found: json.dumps(chr(int(found[1], 16)))[1:-1], text))


def _in_words(one: Bound) -> str:
    if one.how is How.AT_MOST:
        return f"{_shown(one.name)} is at most {one.value}"
    return f"{_shown(one.name)} is exactly {_shown(json.dumps(one.value, ensure_ascii=False, separators=(',', ':')))}"


def _shown(text: str) -> str:
    return visible(text).text
