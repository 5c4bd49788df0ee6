"""A policy file's `tests:` in (plain data), cases out: a call, and what is expected of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from countersign.policy.faults import Form, Path, did_you_mean
from countersign.policy.values import EMPTY, Call, Outcome, Principal, Reason

CASE_KEYS = ("name", "call", "expect", "rule", "reason", "now")
SHORT = ("agent", "tool", "method")
GENERAL = ("subject", "resource", "action")
CONTEXT = ("intent", "arguments", "principal", "session", "transaction", "environment", "usage", "context")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # when a case that names no time takes place


@dataclass(frozen=True, slots=True)
class Case:
    """One expectation. `rule` and `reason` are looked at only if given."""

    name: str
    call: Call
    expect: Outcome
    rule: str | None = None
    reason: Reason | None = None
    now: datetime = NOON


def read_cases(form: Form, value: object, path: Path, *, rules: Collection[str]) -> tuple[Case, ...]:
    found = (_case(form, item, (*path, n), rules=rules) for n, item in enumerate(form.items(value, path)))
    return tuple(case for case in found if case)


def _case(form: Form, value: object, path: Path, *, rules: Collection[str]) -> Case | None:
    block = form.mapping(value, path, known=CASE_KEYS, required=("name", "call", "expect"))
    name = form.text(block["name"], (*path, "name")) if "name" in block else ""
    expect = form.choice(block["expect"], (*path, "expect"), Outcome) if "expect" in block else None
    rule = form.text(block["rule"], (*path, "rule")) if "rule" in block else None
    if rule and rule not in rules:
        form.refuse((*path, "rule"), f"no rule {rule!r} in this policy{did_you_mean(rule, rules)}")
    reason = form.choice(block["reason"], (*path, "reason"), Reason) if "reason" in block else None
    now = _moment(form, block["now"], (*path, "now")) if "now" in block else NOON
    call = _call(form, block["call"], (*path, "call")) if "call" in block else None
    if call is None or expect is None:
        return None
    return Case(name=name, call=call, expect=expect, rule=rule, reason=reason, now=now)


def _moment(form: Form, value: object, path: Path) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        form.refuse(path, 'expected a time with its zone, such as "2026-01-01T12:00:00Z"')
        return NOON
    return moment.astimezone(UTC)


def _call(form: Form, value: object, path: Path) -> Call:
    names = GENERAL if isinstance(value, Mapping) and set(GENERAL) & set(value) else SHORT
    block = form.mapping(value, path, known=(*names, *CONTEXT), required=names)
    subject, resource, action = _parties(form, block, path, names)
    return Call(
        subject_type=subject["type"],
        subject_id=subject["id"],
        action_name=action["name"],
        resource_type=resource["type"],
        resource_id=resource["id"],
        arguments=_map(form, block, path, "arguments"),
        arguments_digest="",
        action=EMPTY,
        action_digest="",
        intent=_text(form, block, path, "intent"),
        principal=_principal(form, block["principal"], (*path, "principal")) if "principal" in block else None,
        session=_text(form, block, path, "session"),
        transaction=_text(form, block, path, "transaction"),
        environment=_map(form, block, path, "environment"),
        usage=_map(form, block, path, "usage"),
        subject_properties=subject["properties"],
        action_properties=action["properties"],
        resource_properties=resource["properties"],
        context=_map(form, block, path, "context"),
    )


def _parties(
    form: Form, block: Mapping[str, Any], path: Path, names: tuple[str, str, str]
) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    if names == SHORT:
        agent, tool, method = (_text(form, block, path, name) or "" for name in SHORT)
        return (
            {"type": "agent", "id": agent, "properties": EMPTY},
            {"type": "tool", "id": tool, "properties": EMPTY},
            {"name": method, "properties": EMPTY},
        )
    return (
        _party(form, block.get("subject", {}), (*path, "subject"), required=("type", "id")),
        _party(form, block.get("resource", {}), (*path, "resource"), required=("type", "id")),
        _party(form, block.get("action", {}), (*path, "action"), required=("name",)),
    )


def _party(form: Form, value: object, path: Path, *, required: tuple[str, ...]) -> Mapping[str, Any]:
    block = form.mapping(value, path, known=(*required, "properties"), required=required)
    read: dict[str, Any] = {name: _text(form, block, path, name) or "" for name in required}
    return read | {"properties": _map(form, block, path, "properties")}


def _principal(form: Form, value: object, path: Path) -> Principal:
    block = form.mapping(value, path, known=("type", "id", "verified"), required=("type", "id"))
    return Principal(
        type=_text(form, block, path, "type") or "",
        id=_text(form, block, path, "id") or "",
        verified=form.flag(block["verified"], (*path, "verified")) if "verified" in block else False,
    )


def _text(form: Form, block: Mapping[str, Any], path: Path, name: str) -> str | None:
    return form.text(block[name], (*path, name)) if name in block else None


def _map(form: Form, block: Mapping[str, Any], path: Path, name: str) -> Mapping[str, Any]:
    if name not in block:
        return EMPTY
    value = block[name]
    if not isinstance(value, Mapping):
        form.expected((*path, name), "a mapping", value)
        return EMPTY
    return value
