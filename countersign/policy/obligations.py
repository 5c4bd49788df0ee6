"""An obligation as people wrote it in; every fault of its form, or what it obliges to, out. Pure.

The compiler refuses what our enforcement points would not understand, because both read it here. The types are those of
the AuthZEN obligations profile, draft 1 (openid/authzen e287920), that a policy can state, and three of ours: `log`,
`redact` and `cap`. What a policy and its own enforcement points agree on is `custom`, as the profile has it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from countersign.policy.faults import Form, Path, did_you_mean
from countersign.policy.money import parse_amount

ANY: Final = "*"  # in a pointer: each member or element there
MOST_BYTES: Final = 2**53 - 1
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)+\Z")  # RFC 6901, but for the empty one: the whole is no part

Pointer = tuple[str, ...]


class Kind(StrEnum):
    """What a policy can oblige an enforcement point to."""

    CAP = "cap"
    CUSTOM = "custom"
    LOG = "log"
    NOTIFICATION = "notification"
    REDACT = "redact"
    STEP_UP = "step-up"


KINDS: Final = tuple(kind.value for kind in Kind)


@dataclass(frozen=True, slots=True)
class Cap:
    """No more than `most_bytes` of a result; `argument` at most the amount `most`. None: no such bound."""

    most_bytes: int | None = None
    argument: str | None = None
    most: Decimal | None = None


def check(form: Form, block: Mapping[str, Any], path: Path) -> None:
    """Every fault in the `type` and `properties` of an obligation that stands at `path`; a missing type is no fault."""
    kind = _kind(form, block["type"], (*path, "type")) if "type" in block else None
    properties = block.get("properties", {})
    if not isinstance(properties, Mapping):
        form.expected((*path, "properties"), "a mapping", properties)
    elif kind is not None:
        _FORMS[kind](form, properties, (*path, "properties"))


def check_one(obligation: Mapping[str, Any]) -> None:
    """The same for one that an answer brings. Raises InvalidError with every fault."""
    form = Form()
    check(form, obligation, ())
    form.settle()


def pointers(properties: Mapping[str, Any]) -> tuple[Pointer, ...]:
    """What a `redact` that has been checked names, as the steps to it."""
    steps = (path[1:].split("/") for path in properties.get("paths", ()))
    return tuple(tuple(step.replace("~1", "/").replace("~0", "~") for step in path) for path in steps)


def cap(properties: Mapping[str, Any]) -> Cap:
    """What a `cap` that has been checked bounds."""
    return Cap(properties.get("bytes"), properties.get("argument"), parse_amount(properties.get("most")))


def _kind(form: Form, value: object, path: Path) -> Kind | None:
    text = form.text(value, path)
    if not text:
        return None
    try:
        return Kind(text)
    except ValueError:
        hint = (
            did_you_mean(text, KINDS) or f"; known here: {', '.join(KINDS)}; 'custom' is what only your own PEPs know"
        )
        form.refuse(path, f"no obligation is called {text!r}{hint}")
        return None


def _check_redact(form: Form, properties: Mapping[str, Any], path: Path) -> None:
    block = form.mapping(properties, path, known=("paths", "part"))
    if "part" in block and block["part"] != "result":
        form.refuse((*path, "part"), "only a 'result' can be redacted: arguments stay as they were judged")
    for n, text in enumerate(form.texts(block["paths"], (*path, "paths")) if "paths" in block else ()):
        if not _POINTER.match(text):
            form.refuse((*path, "paths", n), "expected a JSON pointer, such as /customer/iban or /cards/*/pan")


def _check_cap(form: Form, properties: Mapping[str, Any], path: Path) -> None:
    block = form.mapping(properties, path, known=("bytes", "argument", "most"))
    if not block.keys() & {"bytes", "argument", "most"}:
        form.refuse(path, "a cap names 'bytes', or 'argument' and 'most', or all three")
    for name, other in (("argument", "most"), ("most", "argument")):
        if name in block and other not in block:
            form.refuse(path, f"{other!r} is missing: a cap on an argument names both")
    if "bytes" in block:
        form.whole(block["bytes"], (*path, "bytes"), least=0, most=MOST_BYTES)
    if "argument" in block:
        form.text(block["argument"], (*path, "argument"))
    if "most" in block and parse_amount(block["most"]) is None:
        form.refuse((*path, "most"), 'expected an amount below 10^18, such as "100.00"')


def _check_notification(form: Form, properties: Mapping[str, Any], path: Path) -> None:
    """The profile's three; what else the one who sends it wants to know is theirs."""
    block = form.mapping(properties, path, known=properties, required=("to",))
    _check_texts(form, block, path, "to", "topic", "body")


def _check_step_up(form: Form, properties: Mapping[str, Any], path: Path) -> None:
    block = form.mapping(properties, path, known=("acr_value", "amr_values"), required=("acr_value",))
    _check_texts(form, block, path, "acr_value")
    if "amr_values" in block:
        form.texts(block["amr_values"], (*path, "amr_values"))


def _check_custom(form: Form, properties: Mapping[str, Any], path: Path) -> None:
    if not properties:
        form.refuse(path, "a custom obligation says in 'properties' what your enforcement points are to do")


def _anything(_form: Form, _properties: Mapping[str, Any], _path: Path) -> None:
    """`log`: what is written down is the obligation itself, whatever it says."""


def _check_texts(form: Form, properties: Mapping[str, Any], path: Path, *names: str) -> None:
    for name in names:
        if name in properties:
            form.text(properties[name], (*path, name))


_FORMS: Final[Mapping[Kind, Callable[[Form, Mapping[str, Any], Path], None]]] = {
    Kind.CAP: _check_cap,
    Kind.CUSTOM: _check_custom,
    Kind.LOG: _anything,
    Kind.NOTIFICATION: _check_notification,
    Kind.REDACT: _check_redact,
    Kind.STEP_UP: _check_step_up,
}
