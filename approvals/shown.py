"""A request in, what was kept of it out: the action it asks for and the lines its approvers are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from approvals import display
from approvals.models import AccessRequest
from countersign.proof import digests
from evidence import kept, keys

Line = Mapping[str, Any]


def lines_of(request: AccessRequest) -> Sequence[Line]:
    """What an approver is shown; nothing once the arguments are erased. Raises keys.CannotUnseal on a changed row."""
    found = kept.read(request.tenant.slug, request.commitment)
    return found.display if found else ()


def lines_of_each(requests: Sequence[AccessRequest]) -> Mapping[str, Sequence[Line]]:
    """The same for several requests of one tenant, by id, with one query. Raises keys.CannotUnseal."""
    if not requests:
        return {}
    found = kept.read_many(requests[0].tenant.slug, [request.commitment for request in requests])
    return {one.pk: found[one.commitment].display if one.commitment in found else () for one in requests}


def arguments_of(request: AccessRequest) -> Mapping[str, Any] | None:
    """The arguments; None once they are erased or where they are not those of the request.

    Raises keys.CannotUnseal on a changed row.
    """
    found = kept.read(request.tenant.slug, request.commitment)
    if found is None or digests.arguments_digest(found.arguments) != request.arguments_digest:
        return None
    return found.arguments


def is_whole(request: AccessRequest) -> bool:
    """Whether the lines are the ones of the display hash: another request's, or none at all, are not."""
    try:
        lines = lines_of(request)
    except keys.CannotUnseal:
        return False
    hashed = digests.display_hash(profile=display.PROFILE, action_digest=request.action_digest, lines=lines)
    return hashed == request.display_hash


def action_of(request: AccessRequest) -> Mapping[str, Any] | None:
    """The closed action object; None once it is erased. Raises keys.CannotUnseal on a changed row."""
    found = kept.read(request.tenant.slug, request.commitment)
    return found.action if found else None
