"""What went wrong in, RFC 9457 out. The one table from error to status; the URNs of the ARAP profile among them."""

from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

from countersign.proof import canonical
from enforcement.http import Response

_OURS = "urn:countersign:problem:"
_ARAP = "urn:openid:authzen:access-request:error:"


class Kind(StrEnum):
    """Every error this room answers; the list grows at the end."""

    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    ATTEMPT_REUSED = "attempt_reused"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    UNREPRESENTABLE = "unrepresentable"
    TOO_MANY = "too_many"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    NOT_REQUESTABLE = "not_requestable"
    EXPIRED_DENIAL = "expired_denial"
    INVALID_DENIAL_BINDING = "invalid_denial_binding"
    DUPLICATE_REQUEST = "duplicate_request"
    UNKNOWN_TASK = "unknown_task"
    TASK_EXPIRED = "task_expired"
    INVALID_TASK_STATE = "invalid_task_state"
    TIMEOUT = "timeout"


class _Row(NamedTuple):
    status: HTTPStatus
    namespace: str
    title: str


TABLE = {
    Kind.MALFORMED: _Row(HTTPStatus.BAD_REQUEST, _OURS, "The request cannot be understood"),
    Kind.UNAUTHENTICATED: _Row(HTTPStatus.UNAUTHORIZED, _OURS, "A valid credential is needed"),
    Kind.FORBIDDEN: _Row(HTTPStatus.FORBIDDEN, _OURS, "The credential does not reach that far"),
    Kind.NOT_FOUND: _Row(HTTPStatus.NOT_FOUND, _OURS, "There is nothing here"),
    Kind.METHOD_NOT_ALLOWED: _Row(HTTPStatus.METHOD_NOT_ALLOWED, _OURS, "Not with this method"),
    Kind.ATTEMPT_REUSED: _Row(HTTPStatus.CONFLICT, _OURS, "The attempt was used for another call"),
    Kind.CONFLICT: _Row(HTTPStatus.CONFLICT, _OURS, "It is too late or too early for this"),
    Kind.TOO_LARGE: _Row(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _OURS, "The request is too large"),
    Kind.MEDIA_TYPE: _Row(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _OURS, "Send application/json"),
    Kind.UNREPRESENTABLE: _Row(HTTPStatus.UNPROCESSABLE_ENTITY, _OURS, "A value cannot be kept exactly"),
    Kind.TOO_MANY: _Row(HTTPStatus.TOO_MANY_REQUESTS, _OURS, "Too much at once"),
    Kind.INTERNAL: _Row(HTTPStatus.INTERNAL_SERVER_ERROR, _OURS, "Something failed on our side"),
    Kind.UNAVAILABLE: _Row(HTTPStatus.SERVICE_UNAVAILABLE, _OURS, "No decision can be had now"),
    Kind.NOT_REQUESTABLE: _Row(HTTPStatus.BAD_REQUEST, _ARAP, "Access is not requestable"),
    Kind.EXPIRED_DENIAL: _Row(HTTPStatus.GONE, _ARAP, "The denial is too old to be requested upon"),
    Kind.INVALID_DENIAL_BINDING: _Row(HTTPStatus.BAD_REQUEST, _ARAP, "The request does not fit its denial"),
    Kind.DUPLICATE_REQUEST: _Row(HTTPStatus.CONFLICT, _ARAP, "The idempotency key was used for another request"),
    Kind.UNKNOWN_TASK: _Row(HTTPStatus.NOT_FOUND, _ARAP, "There is no such task"),
    Kind.TASK_EXPIRED: _Row(HTTPStatus.GONE, _ARAP, "The task has expired"),
    Kind.INVALID_TASK_STATE: _Row(HTTPStatus.CONFLICT, _ARAP, "The task is not in a state for this"),
    Kind.TIMEOUT: _Row(HTTPStatus.REQUEST_TIMEOUT, _OURS, "The request took too long to arrive"),
}


class Problem(Exception):
    """An error as its caller is told it. `detail` says what to do; it never quotes a secret or another's data."""

    def __init__(
        self, kind: Kind, detail: str = "", *, retry_after: int | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(detail or kind)
        self.kind = kind
        self.detail = detail
        self.headers = headers if retry_after is None else (*headers, ("retry-after", str(retry_after)))

    def about(self, place: str) -> "Problem":
        """The same of one part of what was sent."""
        return Problem(self.kind, f"`{place}`: {self.detail}", headers=self.headers)


def unavailable(detail: str = "") -> Problem:
    """Fail closed: no decision is a denial to every PEP, and one worth asking again for."""
    return Problem(Kind.UNAVAILABLE, detail, retry_after=1)


def members(problem: Problem) -> dict[str, str | int]:
    """The document that tells of it."""
    status, namespace, title = TABLE[problem.kind]
    told: dict[str, str | int] = {"type": namespace + problem.kind, "title": title, "status": status.value}
    return {**told, "detail": problem.detail} if problem.detail else told


def response(problem: Problem) -> Response:
    """`application/problem+json`."""
    headers = (("content-type", "application/problem+json"), ("cache-control", "no-store"), *problem.headers)
    if problem.kind is Kind.UNAUTHENTICATED:
        headers = (*headers, ("www-authenticate", "Bearer"))
    return Response(TABLE[problem.kind].status.value, headers, canonical.dumps(members(problem)))
