"""What applying changed in, lines a person can read out: + new, ~ changed, - gone."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from registry.blueprints import Applied, Change
from registry.changes import difference

MAX_VALUE = 200
_USUAL: Mapping[str, Any] = {"active": True, "verified_principal": False, "wrapper": False}


def lines(applied: Applied) -> Iterator[str]:
    """The difference, one line a row and one a member; of a new row only what is not as ever."""
    if applied.is_new:
        yield f"+ tenant {applied.tenant}"
    for change in applied.changes:
        sign = "+" if change.before is None else "-" if change.after is None else "~"
        yield f"{sign} {change.kind} {change.key}"
        for name, sides in difference(change.before, change.after).items():
            if change.before is None and _goes_without_saying(change, name, sides["after"]):
                continue
            known = {"after": change.email} if name == "email" and change.email else sides
            yield f"    {name}: {_sides(known)}"
    if applied.release:
        yield f"{'+' if applied.release.revision == 1 else '~'} policy revision {applied.release.revision}"
        yield f"    digest: {applied.release.digest}"


def summary(applied: Applied) -> str:
    """One line for the end."""
    count = len(applied.changes) + bool(applied.release) + applied.is_new
    return f"{applied.tenant}: " + ("nothing to change" if not count else f"{count} change{'s' if count > 1 else ''}")


def _goes_without_saying(change: Change, name: str, value: Any) -> bool:
    """Empty, usual, or the name that the row's own line has."""
    usual = name in _USUAL and value is _USUAL[name]
    return usual or value in (None, "", [], {}) or (name == "name" and value == change.key)


def _sides(sides: dict[str, Any]) -> str:
    return " → ".join(_value(sides[side]) for side in ("before", "after") if side in sides)


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}… ({len(text)} characters)"
