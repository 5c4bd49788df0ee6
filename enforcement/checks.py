"""An evaluation's members in; nothing out, or a Problem that says in words what is wrong with the first that is."""

from collections.abc import Mapping
from typing import Any, Final

from approvals import origins
from approvals.origins import Origin
from countersign.policy.values import EMPTY
from enforcement.problems import Kind, Problem

MAX_ID: Final = 300  # code points; what the rows that name them hold
MAX_NAME: Final = 200
MAX_JUSTIFICATION: Final = 4000
MAX_SUPPORTED: Final = 100


def check(members: Mapping[str, Any]) -> None:
    """Raises Problem for whatever `shape` does not take: 400 for what is missing or of another type, 422 for what is
    too long.
    """
    subject, resource = entity(members, "subject"), entity(members, "resource")
    action = _required(members, "action")
    _named(action, "name", "action.name", limit=MAX_NAME)
    for owner, path in ((subject, "subject"), (action, "action"), (resource, "resource")):
        mapping(owner, "properties", f"{path}.properties")
    context = mapping(members, "context", "context")
    for name in ("arguments", "environment"):
        mapping(context, name, f"context.{name}")
    usage(context)
    for name in ("intent", "session", "transaction", "attempt"):
        text(context, name, f"context.{name}", limit=MAX_NAME)
    if "principal" in context:
        entity(context, "principal")
    if "approval" in context:
        _named(mapping(context, "approval", "context.approval"), "id", "context.approval.id", limit=MAX_NAME)
    _flag(context, "open_request")
    text(context, "justification", "context.justification", limit=MAX_JUSTIFICATION, empty=True)
    origin(context)
    _supported(context)


# --- one member


def entity(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A subject, a resource or a principal: an object with `type` and `id`."""
    found = _required(members, name)
    _named(found, "type", f"{name}.type", limit=MAX_NAME)
    _named(found, "id", f"{name}.id", limit=MAX_ID)
    return found


def mapping(members: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    """An object; absent is the empty one. null is no object: absent is not null."""
    value = members.get(name, EMPTY)
    if not isinstance(value, dict):
        raise Problem(Kind.MALFORMED, f"`{path}` must be an object.")
    return value


def text(members: Mapping[str, Any], name: str, path: str, *, limit: int, empty: bool = False) -> str | None:
    """A string or, if absent, None."""
    value = members.get(name)
    if value is None and name not in members:
        return None
    if type(value) is not str:
        raise Problem(Kind.MALFORMED, f"`{path}` must be a string.")
    if not value and not empty:
        raise Problem(Kind.MALFORMED, f"`{path}` must not be empty.")
    if len(value) > limit:
        raise Problem(Kind.UNREPRESENTABLE, f"`{path}` must have at most {limit} characters.")
    return value


def usage(context: Mapping[str, Any]) -> None:
    """What caps count is a number, if it is there at all."""
    tokens = mapping(context, "usage", "context.usage").get("tokens", 0)
    if type(tokens) is not int or tokens < 0:
        raise Problem(Kind.MALFORMED, "`context.usage.tokens` must be a whole number that is not negative.")


def origin(context: Mapping[str, Any]) -> Origin | None:
    """Where the ask came from, if the caller says so. Raises Problem."""
    if "origin" not in context:
        return None
    try:
        return origins.parse(context["origin"])
    except origins.BadOrigin as error:
        raise Problem(Kind.MALFORMED, str(error)) from error


def _named(members: Mapping[str, Any], name: str, path: str, *, limit: int) -> None:
    if text(members, name, path, limit=limit) is None:
        raise _missing(path)


def _required(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in members:
        raise _missing(name)
    return mapping(members, name, name)


def _flag(members: Mapping[str, Any], name: str) -> None:
    value = members.get(name, False)
    if type(value) is not bool:
        raise Problem(Kind.MALFORMED, f"`context.{name}` must be true or false.")


def _supported(context: Mapping[str, Any]) -> None:
    """The types of obligations that the PEP declares (AuthZEN obligations profile); absent says nothing."""
    given = context.get("supported_obligations")
    if given is None and "supported_obligations" not in context:
        return
    if not isinstance(given, list) or not all(isinstance(name, str) and name for name in given):
        raise Problem(Kind.MALFORMED, "`context.supported_obligations` must be an array of names.")
    if len(given) > MAX_SUPPORTED or any(len(name) > MAX_NAME for name in given):
        words = f"`context.supported_obligations` has at most {MAX_SUPPORTED} names of {MAX_NAME} characters."
        raise Problem(Kind.UNREPRESENTABLE, words)


def _missing(path: str) -> Problem:
    return Problem(Kind.MALFORMED, f"`{path}` is missing.")
