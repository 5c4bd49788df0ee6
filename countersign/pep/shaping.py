"""What an allow obliges to do to the result of a call in; the result as it may be handed on, or Withheld, out. Pure.

`redact` and `cap` are ours: the AuthZEN obligations profile leaves them to a policy and its PEPs. What is not exactly
one of the forms below is not understood, and an obligation that is not understood denies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from countersign.inspection.redact import redact, redact_value
from countersign.pep.answer import PepError
from countersign.policy.money import parse_amount
from countersign.proof import canonical

REDACTED: Final = "[redacted]"
ANY: Final = "*"  # in a pointer: each member or element there

Pointer = tuple[str, ...]


class NotUnderstood(Exception):
    """The obligation is of no form that can be complied with."""


class OverCap(Exception):
    """An argument is beyond what the obligation allows."""


class Withheld(PepError):
    """The call has run, but its result must not be handed on."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the call has been run, but its result is withheld: {why}")


@dataclass(frozen=True, slots=True)
class Shape:
    """What must be done to one result: secrets and `pointers` taken out, no more than `most` bytes of it handed on."""

    redacts: bool = False
    pointers: tuple[Pointer, ...] = ()
    most: int | None = None

    def of(self, result: Any) -> Any:
        """A JSON result as it may be handed on. Raises Withheld."""
        if self.redacts:
            result = self.redacted(result)
        if self.most is not None and len(_json(result)) > self.most:
            raise Withheld(f"it is longer than the {self.most} bytes allowed")
        return result

    def redacted(self, value: Any) -> Any:
        """A JSON value without secrets and without what the pointers name. Raises Withheld for what is no JSON.

        It is read anew from its JSON: what only looks like a list or a text is not looked into otherwise.
        """
        value = canonical.loads(_json(value))
        for pointer in self.pointers:
            value = _without(value, pointer)
        return redact_value(value)[0]

    def text(self, text: str) -> str:
        """Words without secrets. Raises Withheld where parts are named: they cannot be found in words."""
        if not self.redacts:
            return text
        if self.pointers:
            raise Withheld("parts of it must be redacted, which cannot be found in plain text")
        return redact(text).text


PLAIN: Final = Shape()


def of(obligations: Iterable[Mapping[str, Any]], arguments: Mapping[str, Any]) -> Shape:
    """All that these oblige to, together, before the call runs. Raises NotUnderstood, OverCap."""
    redacts, pointers, bounds = False, [], []
    for one in obligations:
        properties = one.get("properties", {})
        if not isinstance(properties, Mapping):
            raise NotUnderstood("its properties are no object")
        if one["type"] == "redact":
            redacts = True
            pointers += _pointers(properties)
        else:
            bounds += _bounds(properties, arguments)
    return Shape(redacts, tuple(pointers), min(bounds, default=None))


def _pointers(properties: Mapping[str, Any]) -> list[Pointer]:
    """`{"part": "result", "paths": ["/customer/iban", "/items/*/card"]}`; both may be left out."""
    if properties.keys() - {"part", "paths"} or properties.get("part", "result") != "result":
        raise NotUnderstood("`redact` takes `paths` into the result, and nothing else")
    paths = properties.get("paths", ())
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) and path[:1] == "/" for path in paths):
        raise NotUnderstood("`paths` must be JSON pointers")
    return [_pointer(path) for path in paths]


def _pointer(path: str) -> Pointer:
    """RFC 6901, with `*` for each member or element."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/"))


def _bounds(properties: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[int]:
    """`{"bytes": 4096}` of the result, `{"argument": "amount", "most": "100.00"}`, or both."""
    names = set(properties)
    if names not in ({"bytes"}, {"argument", "most"}, {"bytes", "argument", "most"}):
        raise NotUnderstood("`cap` takes `bytes`, or `argument` and `most`, or all three")
    if "argument" in names:
        _check_argument(properties, arguments)
    most = properties.get("bytes", 0)
    if type(most) is not int or most < 0:
        raise NotUnderstood("`bytes` must be a whole number")
    return [most] if "bytes" in names else []


def _check_argument(properties: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """What holds no amount cannot be compared, and what cannot be compared is over the cap."""
    most, name = parse_amount(properties["most"]), properties["argument"]
    if most is None or not isinstance(name, str):
        raise NotUnderstood("`argument` must be a name and `most` an amount")
    given = parse_amount(arguments.get(name))
    if given is None or given > most:
        raise OverCap(f"argument {name!r} is beyond the cap")


def _without(value: Any, pointer: Pointer) -> Any:
    """The value with what the pointer names replaced; as it is where it names nothing."""
    if not pointer:
        return REDACTED
    step, rest = pointer[0], pointer[1:]
    if isinstance(value, dict):
        return {name: _without(member, rest) if step in (name, ANY) else member for name, member in value.items()}
    if isinstance(value, list):
        return [_without(item, rest) if step in (str(at), ANY) else item for at, item in enumerate(value)]
    return value


def _json(value: Any) -> bytes:
    try:
        return canonical.dumps(value)
    except canonical.NotCanonical as error:
        raise Withheld("it is no JSON value, which alone can be looked into") from error
