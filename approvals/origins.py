"""What a caller says of the place that its ask came from in, a closed value out; or BadOrigin. Pure.

It says where an outcome may be told, not what is approved: no digest has it. A name here allows nothing by itself; the
room that tells looks whether an administrator does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """A thread, an issue or a record of another system, by the names that system gave it."""

    kind: str
    members: Mapping[str, str]


class BadOrigin(ValueError):
    """It is none: a member too many or too few, or one that is no such name. The text says which."""


@dataclass(frozen=True, slots=True)
class _Form:
    pattern: re.Pattern[str]
    example: str


# All members are needed, and there are no others: what is not understood would otherwise be believed to be heard.
_FORMS: Mapping[str, Mapping[str, _Form]] = {
    "slack": {
        "channel": _Form(re.compile(r"[CG][A-Z0-9]{1,30}"), "C0123456789"),
        "thread": _Form(re.compile(r"[0-9]{10}\.[0-9]{6}"), "1718000000.000100"),
    },
    "jira": {"issue": _Form(re.compile(r"[A-Z][A-Z0-9_]{1,30}-[1-9][0-9]{0,9}"), "OPS-12")},
    "servicenow": {"record": _Form(re.compile(r"[A-Z]{2,10}[0-9]{4,20}"), "CHG0030001")},
}
KINDS = tuple(_FORMS)


def parse(said: Any) -> Origin:
    """Raises BadOrigin."""
    if not isinstance(said, dict):
        raise BadOrigin("`context.origin` must be an object.")
    kind = said.get("kind")
    forms = _FORMS.get(kind) if isinstance(kind, str) else None
    if forms is None:
        raise BadOrigin(f"`context.origin.kind` must be one of {', '.join(_FORMS)}.")
    if said.keys() != {"kind", *forms}:
        raise BadOrigin(f"`context.origin` of kind {kind} has exactly the members kind, {', '.join(forms)}.")
    for name, form in forms.items():
        value = said[name]
        if not isinstance(value, str) or not form.pattern.fullmatch(value):
            raise BadOrigin(f"`context.origin.{name}` must be a name such as {form.example}.")
    return Origin(str(kind), {name: said[name] for name in forms})
