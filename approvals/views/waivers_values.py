"""One field of the form for waivers in; its value in the terms, or the terms' value as it is typed there, out. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from countersign.policy.faults import Fault
from countersign.proof import canonical

_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?").fullmatch
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII).fullmatch
_NUMBERS: Final = frozenset({"expect", "most", "verified_uses", "max_uses"})
_TIMES: Final = frozenset({"valid_until", "not_before", "expires_at"})


def value(name: str, text: str) -> Any:
    """What the terms say for what was typed into this field. What cannot be read stays text, to be refused there."""
    text = text.strip()
    if name in _NUMBERS:
        return int(text) if _WHOLE(text) else text
    if name in _TIMES and _LOCAL(text):
        return f"{text}{'' if text.count(':') > 1 else ':00'}+00:00"  # the form says that its times are UTC
    return _properties(text) if name == "properties" else text


def _properties(text: str) -> Any:
    """`name: value` a line. A value that JSON reads as anything but a text is that."""
    found: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, said = line.partition(":")
        if not colon or not name.strip():
            return text  # refused with the path of this field: expected a mapping
        found[name.strip()] = _json(said.strip())
    return found


def _json(text: str) -> Any:
    """Strictly: what no record could hold (NaN, a number beyond 2^53) is text."""
    try:
        return canonical.loads(text.encode())
    except ValueError:
        return text


def said(name: str, known: Any) -> str:
    """The same the other way: a value of the terms, as somebody would have typed it."""
    if known is None:
        return ""
    if name in _TIMES:
        return _local(str(known))
    if isinstance(known, Mapping):
        return "\n".join(f"{key}: {_line(part)}" for key, part in known.items())
    return str(known)


def _line(value: Any) -> str:
    if isinstance(value, str) and "\n" not in value and _json(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _local(text: str) -> str:
    """A time as the field takes it: in UTC, without saying so."""
    try:
        return local(datetime.fromisoformat(text))
    except ValueError:
        return text


def local(at: datetime) -> str:
    """For a field of type datetime-local."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}"


def names(text: str) -> list[str]:
    """One a line."""
    return [name for part in text.split("\n") if (name := part.strip())]


def sentence(fault: Fault) -> str:
    """A fault in words, with where in a condition it is."""
    where = f" (line {fault.offset[0]}, column {fault.offset[1]})" if fault.offset else ""
    return f"{fault.message[:1].upper()}{fault.message[1:]}{where}."
