"""Bytes in, one question out. Strict, or a Problem."""

from collections.abc import Mapping
from typing import Any

import msgspec

from countersign.policy.values import Principal
from countersign.proof import canonical
from enforcement import checks, principals, shape, tokens
from enforcement.asked import Asked
from enforcement.memory import World
from enforcement.problems import Kind, Problem

TOKEN = "principal_token"
_PROVEN_BY = "proven_by"  # what stands in a kept question where the token was


def document(body: bytes) -> dict[str, Any]:
    """A JSON object, or Problem: 400 for what is no JSON, 422 for what cannot be kept exactly."""
    try:
        return canonical.loads_object(body)
    except canonical.Malformed as error:
        raise Problem(Kind.MALFORMED, str(error)) from error
    except canonical.NotCanonical as error:
        raise Problem(Kind.UNREPRESENTABLE, str(error)) from error


def evaluation(body: bytes, world: World) -> Asked:
    """The question in an AuthZEN evaluation request. Raises Problem. Unknown members are ignored.

    Most documents are plain, and what is digested of them is written by a faster encoder.
    """
    members = canonical.loads_plain(body)
    if members is not None:
        return plain(members, body, world)
    return question(document(body), body, world)


def plain(members: Mapping[str, Any], body: bytes, world: World) -> Asked:
    """As `question`, of a document (or a part of one) that is plain: see `canonical.loads_plain`."""
    told = shape.read(members)
    if told is None or told.context.principal_token is not msgspec.UNSET:
        return question(members, body, world)
    return shape.asked(told, members, body, world, write=canonical.write_plain)


def question(members: Mapping[str, Any], body: bytes, world: World, *, kept: bool = False) -> Asked:
    """As `evaluation`, of a document that is parsed already; `kept`: one of ours, which tells what had been proven.

    A principal's token is looked at here and goes no further: not to policy, not into what is kept.
    """
    members, proven_by = _without_token(members, world, kept=kept)
    if proven_by is not None:
        body = canonical.dumps(_with_proof(members, proven_by))
    told = shape.read(members)
    if told is None:
        checks.check(members)
        raise AssertionError("what has another shape is refused")
    try:
        return shape.asked(told, members, body, world, write=canonical.dumps, proven_by=proven_by)
    except canonical.NotCanonical as error:
        raise Problem(Kind.UNREPRESENTABLE, str(error)) from error


# --- who is proven


def _without_token(members: Mapping[str, Any], world: World, *, kept: bool) -> tuple[Mapping[str, Any], str | None]:
    """The document without its principal's token, and the issuer by which it was proven. Raises Problem."""
    context = checks.mapping(members, "context", "context")
    if TOKEN not in context:
        return members, None
    given = context[TOKEN]
    rest = {**members, "context": {name: value for name, value in context.items() if name != TOKEN}}
    if kept:
        return rest, given[_PROVEN_BY]
    token = checks.text(context, TOKEN, f"context.{TOKEN}", limit=tokens.MAX_TOKEN)
    if token is None or "principal" not in context:
        raise Problem(Kind.MALFORMED, f"`context.{TOKEN}` proves `context.principal`, which must be named.")
    named = checks.entity(context, "principal")
    return rest, principals.proof_of(token, Principal(named["type"], named["id"]), world).issuer


def _with_proof(members: Mapping[str, Any], proven_by: str) -> dict[str, Any]:
    """What is kept of a question: in the token's place, that there was one."""
    return {**members, "context": {**members["context"], TOKEN: {_PROVEN_BY: proven_by}}}
