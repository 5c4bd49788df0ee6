"""A typed piece of Python text for one node of a condition, and the ways to make one.

Each piece is written twice. The *fast* one says `and` and `or`: whenever it ends without an error its answer is CEL's,
because what it skipped could not have changed it. Only when it raises does the *exact* one run, where `false && error`
is false on either side. No text of the policy's author enters either but as the `repr` of a constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from countersign.policy.cel_nodes import ConditionError, Place
from countersign.policy.cel_runtime import TYPES, CelType

BOOL, INT, DOUBLE, STRING = CelType.BOOL, CelType.INT, CelType.DOUBLE, CelType.STRING
NULL, LIST, MAP, DYN = CelType.NULL, CelType.LIST, CelType.MAP, CelType.DYN
TIMESTAMP, DURATION = CelType.TIMESTAMP, CelType.DURATION

_WALKED = frozenset({STRING, LIST, MAP, DYN})


@dataclass(frozen=True, slots=True)
class Code:
    """One node as Python text. `safe`: cannot raise. `finite`: a double that is never NaN."""

    type: CelType
    fast: str
    exact: str
    safe: bool = False
    finite: bool = False
    literal: bool = False


def emit(kind: CelType, template: str, *parts: "Code | str", safe: bool = False, finite: bool = False) -> Code:
    fast = template.format(*[part if isinstance(part, str) else part.fast for part in parts])
    exact = template.format(*[part if isinstance(part, str) else part.exact for part in parts])
    safe = safe and all(isinstance(part, str) or part.safe for part in parts)
    return Code(kind, fast, exact, safe=safe, finite=finite)


def constant(value: Any) -> Code:
    kind = TYPES[type(value)]
    return Code(kind, repr(value), repr(value), safe=True, finite=kind is DOUBLE, literal=True)


def overload(place: Place, operator: str, *codes: Code) -> ConditionError:
    return place.error(f"no such overload: {operator} on {', '.join(str(code.type) for code in codes)}")


def truth(code: Code, place: Place) -> Code:
    """The code as a bool, tested when the call comes if its type is not known before."""
    if code.type is DYN:
        return emit(BOOL, "truth({})", code)
    if code.type is not BOOL:
        raise place.error(f"this must be true or false; it is {code.type}")
    return code


def weighed(*codes: Code, metered: bool, deep: bool = False) -> Sequence[Code]:
    """In a condition with a comprehension, whatever walks a value pays for it: it may stand in a loop, or be
    a value that a loop has made. Literals are as long as the condition's text at most, and free.
    """
    if not metered:
        return codes
    template = "weigh_deep(b, {})" if deep else "weigh(b, {})"
    return [emit(code.type, template, code) if code.type in _WALKED and not code.literal else code for code in codes]
