"""What an allow obliges to do to the result of a call in; the result as it may be handed on, or Withheld, out. Pure.

`redact` and `cap` are ours: the AuthZEN obligations profile leaves them to a policy and its PEPs. Their forms are those
that a policy compiles with (`countersign.policy.obligations`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from countersign.inspection.redact import redact, redact_value
from countersign.pep.answer import PepError
from countersign.policy import obligations
from countersign.policy.money import parse_amount
from countersign.policy.obligations import ANY, Pointer
from countersign.proof import canonical

REDACTED: Final = "[redacted]"


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
        if isinstance(value, str):
            return self.text(value)
        for pointer in self.pointers:
            value = _without(value, pointer)
        return redact_value(value)[0]

    def text(self, text: str) -> str:
        """A text without secrets; one that is JSON is read as JSON. Raises Withheld where parts are named, for they
        cannot be found in words.
        """
        if not self.redacts:
            return text
        value = json_in(text)
        if value is not None:
            return json.dumps(self.redacted(value), ensure_ascii=False)
        if self.pointers:
            raise Withheld("parts of it must be redacted, which cannot be found in plain text")
        return redact(text).text

    def words(self, text: str) -> str:
        """What is told in the place of a result (why it failed, say) as it may be told; never raises."""
        try:
            told = self.text(text)
            if self.most is None or len(_json(told)) <= self.most:
                return told
        except Withheld:
            return "[withheld: text in which the parts to be redacted cannot be found]"
        return f"[withheld: longer than the {self.most} bytes allowed]"


PLAIN: Final = Shape()


class Failed(PepError):
    """The call has run and raised; its own error may not be handed on, only its class (`kind`) and what `shape` leaves
    of its words. Neither the error nor where it came from hangs on this one.
    """

    def __init__(self, error: Exception, shape: Shape) -> None:
        self.kind = type(error)
        name = f"{self.kind.__module__}.{self.kind.__qualname__}".removeprefix("builtins.")
        super().__init__(
            f"the call has been run and raised {name}, redacted as the policy obliges: {_said(error, shape)}"
        )


def _said(error: Exception, shape: Shape) -> str:
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - an error that cannot even be told is told by its class
        words = ""
    return shape.words(words) if words else "it says nothing"


def of(obliged: Iterable[Mapping[str, Any]], arguments: Mapping[str, Any]) -> Shape:
    """All that these oblige to, together, before the call runs; their forms have been checked. Raises OverCap."""
    redacts = False
    pointers: list[Pointer] = []
    bounds: list[int] = []
    for one in obliged:
        properties = one.get("properties", {})
        if one["type"] == obligations.Kind.REDACT:
            redacts = True
            pointers += obligations.pointers(properties)
        else:
            bounds += _bounds(obligations.cap(properties), arguments)
    return Shape(redacts, tuple(pointers), min(bounds, default=None))


def _bounds(cap: obligations.Cap, arguments: Mapping[str, Any]) -> list[int]:
    """What holds no amount cannot be compared, and what cannot be compared is over the cap."""
    if cap.argument is not None and cap.most is not None:
        given = parse_amount(arguments.get(cap.argument))
        if given is None or given > cap.most:
            raise OverCap(f"argument {cap.argument!r} is beyond the cap")
    return [] if cap.most_bytes is None else [cap.most_bytes]


def _without(value: Any, pointer: Pointer) -> Any:
    """The value with what the pointer names replaced, in a text that is JSON too; as it is where it names nothing."""
    if not pointer:
        return REDACTED
    if isinstance(value, str) and (inner := json_in(value)) is not None:
        left = _without(inner, pointer)
        return value if left == inner else json.dumps(left, ensure_ascii=False)
    step, rest = pointer[0], pointer[1:]
    if isinstance(value, dict):
        return {name: _without(member, rest) if step in (name, ANY) else member for name, member in value.items()}
    if isinstance(value, list):
        return [_without(item, rest) if step in (str(at), ANY) else item for at, item in enumerate(value)]
    return value


def json_in(text: str) -> Any:
    """The object or array that a text is; None for any other."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return canonical.loads(text.encode())
    except (canonical.NotCanonical, UnicodeEncodeError):
        return None


def _json(value: Any) -> bytes:
    try:
        return canonical.dumps(value)
    except canonical.NotCanonical as error:
        why = str(error)
    # Out here, so that nothing hangs on it: below a text that cannot be encoded there is an error that holds the text.
    raise Withheld(f"only a JSON value can be looked into ({why})")
