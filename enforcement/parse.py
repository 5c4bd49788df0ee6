"""Bytes in, one question out: types checked, arguments and action digested, the salt drawn. Strict, or a Problem."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from approvals import origins
from approvals.origins import Origin
from approvals.requests import UNSAID
from countersign.policy.values import EMPTY, Call, Principal
from countersign.proof import canonical, digests
from enforcement import chance, principals, tokens
from enforcement.memory import World
from enforcement.problems import Kind, Problem

MAX_ID = 300  # code points; what the rows that name them hold
MAX_NAME = 200
MAX_JUSTIFICATION = 4000
MAX_SUPPORTED = 100
TOKEN = "principal_token"
_PROVEN_BY = "proven_by"  # what stands in a kept question where the token was

_TOOL = "tool"


@dataclass(slots=True)
class Asked:
    """One evaluation as it was asked. `commitment` is all that records will say of the action; the salt opens it."""

    call: Call
    salt: bytes
    commitment: str
    body: bytes
    attempt: str | None = None
    approval: str | None = None
    open_request: bool = False
    justification: str = ""
    origin: Origin | None = None
    supported: frozenset[str] | None = None  # obligations the PEP says it can meet; None: it says nothing of it
    approval_state: object = UNSAID  # what was presented beside the approval's id; verified where it is used
    proven_by: str | None = None  # the issuer whose token proved the principal


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

    Most documents are plain and well-formed: their shape is checked in one go. Whatever is not goes the slow way,
    which gives the same answer or finds the words for what is wrong.
    """
    members = canonical.loads_plain(body)
    if members is not None:
        return plain(members, body, world)
    return question(document(body), body, world)


def plain(members: Mapping[str, Any], body: bytes, world: World) -> Asked:
    """As `question`, of a document (or a part of one) that is plain: see `canonical.loads_plain`."""
    try:
        told = msgspec.convert(members, _Question)
    except msgspec.ValidationError:
        return question(members, body, world)
    if told.context.principal_token is not msgspec.UNSET:
        return question(members, body, world)
    return _quickly(told, members, body, world)


# --- the quick way

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
_Object = dict[str, Any]


class _Entity(msgspec.Struct):
    type: _Name
    id: _Id
    properties: _Object = {}


class _Action(msgspec.Struct):
    name: _Name
    properties: _Object = {}


class _Principal(msgspec.Struct):
    type: _Name
    id: _Id


class _Approval(msgspec.Struct):
    id: _Name
    state: Any = msgspec.UNSET


class _Context(msgspec.Struct):
    arguments: _Object = {}
    environment: _Object = {}
    usage: _Object = {}
    intent: _Name | msgspec.UnsetType = msgspec.UNSET
    session: _Name | msgspec.UnsetType = msgspec.UNSET
    transaction: _Name | msgspec.UnsetType = msgspec.UNSET
    principal: _Principal | msgspec.UnsetType = msgspec.UNSET
    attempt: _Name | msgspec.UnsetType = msgspec.UNSET
    approval: _Approval | msgspec.UnsetType = msgspec.UNSET
    open_request: bool = False
    justification: Annotated[str, msgspec.Meta(max_length=MAX_JUSTIFICATION)] = ""
    origin: _Object | msgspec.UnsetType = msgspec.UNSET
    principal_token: str | msgspec.UnsetType = msgspec.UNSET
    supported_obligations: Annotated[list[_Name], msgspec.Meta(max_length=MAX_SUPPORTED)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class _Question(msgspec.Struct):
    subject: _Entity
    action: _Action
    resource: _Entity
    context: _Context = msgspec.field(default_factory=_Context)


def _quickly(told: _Question, members: Mapping[str, Any], body: bytes, world: World) -> Asked:
    """The question of a plain document. Absent members are unset, which is neither null nor empty."""
    subject, action, resource, context = told.subject, told.action, told.resource, told.context
    if context.usage:
        _usage(members["context"])
    principal = context.principal
    call = Call(
        subject.type,
        subject.id,
        action.name,
        resource.type,
        resource.id,
        context.arguments,
        digests.arguments_digest_of(canonical.write_plain(context.arguments)),
        EMPTY,
        "",
        context.intent or None,
        Principal(principal.type, principal.id) if principal else None,
        context.session or None,
        context.transaction or None,
        context.environment,
        context.usage,
        subject.properties,
        action.properties,
        resource.properties,
        members.get("context", EMPTY),
    )
    call.action = closed(call, world)
    salt = chance.salt()
    call.action_digest, commitment = digests.committed(salt, canonical.write_plain(call.action))
    approval = context.approval
    return Asked(
        call,
        salt,
        commitment,
        body,
        context.attempt or None,
        approval.id if approval else None,
        context.open_request,
        context.justification,
        None if context.origin is msgspec.UNSET else origin(members["context"]),
        None if context.supported_obligations is msgspec.UNSET else frozenset(context.supported_obligations),
        approval.state if approval and approval.state is not msgspec.UNSET else UNSAID,
    )


# --- the slow way


def question(members: Mapping[str, Any], body: bytes, world: World, *, kept: bool = False) -> Asked:
    """As `evaluation`, of a document that is parsed already; `kept`: one of ours, which tells what had been proven.

    A principal's token is looked at here and goes no further: not to policy, not into what is kept.
    """
    members, proven_by = _without_token(members, world, kept=kept)
    if proven_by is not None:
        body = canonical.dumps(_with_proof(members, proven_by))
    subject, resource = _entity(members, "subject"), _entity(members, "resource")
    action = _required(members, "action")
    name = _text(action, "name", "action.name", limit=MAX_NAME)
    if name is None:
        raise _missing("action.name")
    call = _call(members, subject, resource, name, world, is_proven=proven_by is not None)
    context = call.context
    salt = chance.salt()
    approval = context.get("approval")
    return Asked(
        call,
        salt,
        digests.commitment(salt, call.action_digest),
        body,
        _text(context, "attempt", "context.attempt", limit=MAX_NAME),
        None if approval is None and "approval" not in context else _approval(approval),
        _flag(context, "open_request"),
        _text(context, "justification", "context.justification", limit=MAX_JUSTIFICATION, empty=True) or "",
        origin(context),
        _supported(context),
        approval.get("state", UNSAID) if isinstance(approval, dict) else UNSAID,
        proven_by,
    )


def _call(
    members: Mapping[str, Any],
    subject: Mapping[str, Any],
    resource: Mapping[str, Any],
    name: str,
    world: World,
    *,
    is_proven: bool,
) -> Call:
    """Arguments are always an object: a call without any has the empty one."""
    context = _mapping(members, "context", "context")
    call = Call(
        subject["type"],
        subject["id"],
        name,
        resource["type"],
        resource["id"],
        _mapping(context, "arguments", "context.arguments"),
        "",
        EMPTY,
        "",
        _text(context, "intent", "context.intent", limit=MAX_NAME),
        _principal(context, is_proven=is_proven),
        _text(context, "session", "context.session", limit=MAX_NAME),
        _text(context, "transaction", "context.transaction", limit=MAX_NAME),
        _mapping(context, "environment", "context.environment"),
        _usage(context),
        _mapping(subject, "properties", "subject.properties"),
        _mapping(members["action"], "properties", "action.properties"),
        _mapping(resource, "properties", "resource.properties"),
        context,
    )
    try:
        call.arguments_digest = digests.arguments_digest(call.arguments)
        call.action = closed(call, world)
        call.action_digest = digests.action_digest(call.action)
    except canonical.NotCanonical as error:
        raise Problem(Kind.UNREPRESENTABLE, str(error)) from error
    return call


def closed(call: Call, world: World) -> dict[str, Any]:
    """The closed action object: all that an approval binds. What is absent is left out, which is not null."""
    subject: dict[str, Any] = {"type": call.subject_type, "id": call.subject_id}
    action: dict[str, Any] = {"name": call.action_name}
    resource: dict[str, Any] = {"type": call.resource_type, "id": call.resource_id}
    if call.subject_properties:
        subject["properties"] = call.subject_properties
    if call.action_properties:
        action["properties"] = call.action_properties
    if call.resource_properties:
        resource["properties"] = call.resource_properties
    bound: dict[str, Any] = {
        "tenant": world.tenant,
        "subject": subject,
        "action": action,
        "resource": resource,
        "arguments_digest": call.arguments_digest,
    }
    if call.resource_type == _TOOL:
        _bind_tool(bound, call, world)
    if call.principal is not None:
        bound["principal"] = {"type": call.principal.type, "id": call.principal.id}
        if call.principal.verified:  # an approval for who proved themselves is none for who only is named
            bound["principal"]["verified"] = True
    if call.intent is not None:
        bound["intent"] = call.intent
    if call.environment:
        bound["environment"] = call.environment
    if call.transaction is not None:
        bound["transaction"] = call.transaction
    return bound


def _bind_tool(bound: dict[str, Any], call: Call, world: World) -> None:
    """The schema that is registered, and the descriptor as the PEP saw it: a tool that changed is another action."""
    tool = world.bundle.tools.get(call.resource_id)
    if tool is not None and tool.schema_digest is not None:
        bound["schema_digest"] = tool.schema_digest
    observed = call.resource_properties.get("descriptor_digest")
    if type(observed) is str:
        bound["descriptor_digest"] = observed


# --- members


def _entity(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    entity = _required(members, name)
    if _text(entity, "type", f"{name}.type", limit=MAX_NAME) is None:
        raise _missing(f"{name}.type")
    if _text(entity, "id", f"{name}.id", limit=MAX_ID) is None:
        raise _missing(f"{name}.id")
    return entity


def _required(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in members:
        raise _missing(name)
    return _mapping(members, name, name)


def _mapping(members: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    """An object; absent is the empty one. null is no object: absent is not null."""
    value = members.get(name, EMPTY)
    if not isinstance(value, dict):
        raise Problem(Kind.MALFORMED, f"`{path}` must be an object.")
    return value


def _text(members: Mapping[str, Any], name: str, path: str, *, limit: int, empty: bool = False) -> str | None:
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


def _flag(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name, False)
    if type(value) is not bool:
        raise Problem(Kind.MALFORMED, f"`context.{name}` must be true or false.")
    return value


def _principal(context: Mapping[str, Any], *, is_proven: bool = False) -> Principal | None:
    """Named, and proven only if a token did it: nothing else the caller says makes a principal verified."""
    if "principal" not in context:
        return None
    principal = _entity(context, "principal")
    return Principal(principal["type"], principal["id"], is_proven)


def _without_token(members: Mapping[str, Any], world: World, *, kept: bool) -> tuple[Mapping[str, Any], str | None]:
    """The document without its principal's token, and the issuer by which it was proven. Raises Problem."""
    context = _mapping(members, "context", "context")
    if TOKEN not in context:
        return members, None
    given = context[TOKEN]
    rest = {**members, "context": {name: value for name, value in context.items() if name != TOKEN}}
    if kept:
        return rest, given[_PROVEN_BY]
    token, principal = _text(context, TOKEN, f"context.{TOKEN}", limit=tokens.MAX_TOKEN), _principal(context)
    if token is None or principal is None:
        raise Problem(Kind.MALFORMED, f"`context.{TOKEN}` proves `context.principal`, which must be named.")
    return rest, principals.proof_of(token, principal, world).issuer


def _with_proof(members: Mapping[str, Any], proven_by: str) -> dict[str, Any]:
    """What is kept of a question: in the token's place, that there was one."""
    return {**members, "context": {**members["context"], TOKEN: {_PROVEN_BY: proven_by}}}


def _approval(value: Any) -> str:
    """The id in `context.approval`; its times are ours and are looked up, never believed; its state is verified."""
    if not isinstance(value, dict):
        raise Problem(Kind.MALFORMED, "`context.approval` must be an object.")
    identifier = _text(value, "id", "context.approval.id", limit=MAX_NAME)
    if identifier is None:
        raise _missing("context.approval.id")
    return identifier


def origin(context: Mapping[str, Any]) -> Origin | None:
    """Where the ask came from, if the caller says so. Raises Problem."""
    if "origin" not in context:
        return None
    try:
        return origins.parse(context["origin"])
    except origins.BadOrigin as error:
        raise Problem(Kind.MALFORMED, str(error)) from error


def _supported(context: Mapping[str, Any]) -> frozenset[str] | None:
    """The types of obligations that the PEP declares (AuthZEN obligations profile); absent says nothing."""
    given = context.get("supported_obligations")
    if given is None and "supported_obligations" not in context:
        return None
    if not isinstance(given, list) or not all(isinstance(name, str) and name for name in given):
        raise Problem(Kind.MALFORMED, "`context.supported_obligations` must be an array of names.")
    if len(given) > MAX_SUPPORTED or any(len(name) > MAX_NAME for name in given):
        words = f"`context.supported_obligations` has at most {MAX_SUPPORTED} names of {MAX_NAME} characters."
        raise Problem(Kind.UNREPRESENTABLE, words)
    return frozenset(given)


def _usage(context: Mapping[str, Any]) -> Mapping[str, Any]:
    usage = _mapping(context, "usage", "context.usage")
    tokens = usage.get("tokens", 0)
    if type(tokens) is not int or tokens < 0:
        raise Problem(Kind.MALFORMED, "`context.usage.tokens` must be a whole number that is not negative.")
    return usage


def _missing(path: str) -> Problem:
    return Problem(Kind.MALFORMED, f"`{path}` is missing.")
