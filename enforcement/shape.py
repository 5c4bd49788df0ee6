"""An evaluation's members, typed in one go, in; the question, digested and with its salt drawn, out."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec

from approvals.requests import UNSAID
from countersign.policy.values import EMPTY, Call, Principal
from countersign.proof import digests
from enforcement import chance, checks, closing
from enforcement.asked import Asked
from enforcement.checks import MAX_ID, MAX_JUSTIFICATION, MAX_NAME, MAX_SUPPORTED
from enforcement.memory import World

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


class Question(msgspec.Struct):
    """Members that are not named are ignored; those that are absent are unset, which is neither null nor empty."""

    subject: _Entity
    action: _Action
    resource: _Entity
    context: _Context = msgspec.field(default_factory=_Context)


def read(members: Mapping[str, Any]) -> Question | None:
    """None for what `checks` finds the words for."""
    try:
        return msgspec.convert(members, Question)
    except msgspec.ValidationError:
        return None


def asked(
    told: Question,
    members: Mapping[str, Any],
    body: bytes,
    world: World,
    *,
    write: Callable[[Any], bytes],
    proven_by: str | None = None,
) -> Asked:
    """The question. `write` gives the canonical bytes of a part of this document. Raises Problem."""
    subject, action, resource, context = told.subject, told.action, told.resource, told.context
    if context.usage:
        checks.usage(members["context"])
    principal = context.principal
    call = Call(
        subject.type,
        subject.id,
        action.name,
        resource.type,
        resource.id,
        context.arguments,
        digests.arguments_digest_of(write(context.arguments)),
        EMPTY,
        "",
        context.intent or None,
        Principal(principal.type, principal.id, proven_by is not None) if principal else None,
        context.session or None,
        context.transaction or None,
        context.environment,
        context.usage,
        subject.properties,
        action.properties,
        resource.properties,
        members.get("context", EMPTY),
    )
    call.action = closing.closed(call, world)
    salt = chance.salt()
    call.action_digest, commitment = digests.committed(salt, write(call.action))
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
        None if context.origin is msgspec.UNSET else checks.origin(members["context"]),
        None if context.supported_obligations is msgspec.UNSET else frozenset(context.supported_obligations),
        approval.state if approval and approval.state is not msgspec.UNSET else UNSAID,
        proven_by,
    )
