"""A request's kept call and what of it is to stay the same in; terms of a waiver of exactly that shape out. Pure.

"Approve and remember" drafts no more than this: who asked, for what, with these arguments. It is then asked for like
any other waiver, so who drafted it cannot grant it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvals.display import Kind, flattened
from approvals.waivers import conditions
from approvals.waivers.conditions import Bound, How
from countersign.policy.waivers import RESOURCE

_GLOB = "*"


class CannotRemember(ValueError):
    """No waiver can have the shape of this call; the text says why, to a person."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A call without what differs from one to the next (transaction, session, times)."""

    subject: tuple[str, str]  # type and id
    resource: tuple[str, str]
    method: str
    intent: str | None
    principal: str | None
    arguments: Mapping[str, Any]
    rules: tuple[str, ...]  # that asked people
    words: str

    @property
    def match(self) -> dict[str, Any]:
        """As terms name it."""
        (kind, who), (what, name) = self.subject, self.resource
        match: dict[str, Any] = {"agents": [who]} if kind == "agent" else {"subjects": [f"{kind}:{who}"]}
        match |= {"tools": [name]} if what == "tool" else {"resources": [f"{what}:{name}"]}
        match["methods"] = [self.method]
        return match | ({"intents": [self.intent]} if self.intent else {})


@dataclass(frozen=True, slots=True)
class Choice:
    """One argument, the lines it is shown by, and how it can be bound."""

    place: int
    name: str
    how: How
    lines: Sequence[Mapping[str, Any]]


def shape(action: Mapping[str, Any], arguments: Mapping[str, Any], rules: Sequence[str]) -> Shape:
    """Of a closed action object, its arguments, and the rules that held the call up. Raises CannotRemember.

    A star in a name that the caller chose would be a glob in the terms and cover more than was asked; a line break
    would be two names.
    """
    subject, resource = _entity(action["subject"]), _entity(action["resource"])
    method, intent = str(action["action"]["name"]), action.get("intent")
    if resource[0] == RESOURCE:
        raise CannotRemember("Asking for waivers cannot be waived.")
    if not rules:
        raise CannotRemember("No rule of the policy held this call up, so there is none to lift.")
    principal = action.get("principal", {}).get("id")
    if any(map(_is_slippery, (*subject, *resource, method, intent, principal))):
        raise CannotRemember(
            "A name of this call has a star or a hidden character in it, and would mean more than this."
        )
    words = f"{subject[1]} · {resource[1]} · {method}"
    return Shape(subject, resource, method, intent, principal, arguments, tuple(dict.fromkeys(rules)), words)


def choices(shape: Shape, *, money: str | None) -> list[Choice]:
    """What may be bound, in the order it is shown. `money` is the argument that the tool's spend cap counts."""
    names = sorted(shape.arguments, key=lambda name: name.encode("utf-16-be"))
    return [Choice(place, name, _how(shape, name, money), _lines(shape, name)) for place, name in enumerate(names)]


def terms(shape: Shape, chosen: Sequence[Choice], *, for_principal: bool, wrapper: bool, **said: Any) -> dict[str, Any]:
    """Terms of that shape. `said` is what only a person can say: reason, owner, end, and so on.

    A tool that is a wrapper may only be excepted by a condition. With no argument chosen it gets none here: that there
    are no further arguments would pass for one, and say nothing.
    """
    match = shape.match
    if for_principal and shape.principal is not None:
        match["principals"] = [shape.principal]
    bounds = [Bound(one.name, one.how, shape.arguments[one.name]) for one in chosen]
    says_something = bounds or not shape.arguments or not wrapper
    when = {"when": conditions.condition(list(shape.arguments), bounds)} if says_something else {}
    return {"category": "waiver", "rules": list(shape.rules), "match": match, **when, **said}


def _is_slippery(name: str | None) -> bool:
    return name is not None and (_GLOB in name or not name.isprintable() or name != name.strip())


def _entity(said: Mapping[str, Any]) -> tuple[str, str]:
    return str(said["type"]), str(said["id"])


def _how(shape: Shape, name: str, money: str | None) -> How:
    return How.AT_MOST if name == money and conditions.may_be_at_most(shape.arguments[name]) else How.EQUALS


def _lines(shape: Shape, name: str) -> list[Mapping[str, Any]]:
    """As on the card, so that what is bound is what was read there."""
    return list(flattened("arguments", {name: shape.arguments[name]}, Kind.ARGUMENT))
