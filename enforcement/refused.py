"""Why a reconciliation was refused in, status and words out: one table for the pages and for the people's API."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar

from rest_framework.response import Response

from approvals.problems import URN, Refusal
from enforcement import reconciling

V = TypeVar("V", bound=Callable[..., Response])

_TABLE: Final[Mapping[type[Exception], Refusal]] = {
    reconciling.NotAuthorized: Refusal(
        403, "permission-denied", "Only members with the role operator or admin say what became of a call."
    ),
    reconciling.Partial: Refusal(
        403,
        "self-reconciliation",
        "You asked for this call, it was for you, or the agent is yours: others look into it.",
    ),
    reconciling.UnknownExecution: Refusal(404, "unknown-execution", "There is no such execution in your tenant."),
    reconciling.NotIndeterminate: Refusal(
        409, "not-indeterminate", "How this call ended is known already, or it still runs. Read it again."
    ),
}
REFUSALS: Final = tuple(_TABLE)


def refusal(error: Exception) -> Refusal:
    """What to say of one of `REFUSALS`."""
    return next(told for kind, told in _TABLE.items() if isinstance(error, kind))


def answered(method: V) -> V:
    """A view method whose refusals become problem details (RFC 9457)."""

    @wraps(method)
    def view(*args: Any, **kwargs: Any) -> Response:
        try:
            return method(*args, **kwargs)
        except REFUSALS as error:
            told = refusal(error)
            body = {"type": URN + told.name, "title": told.words, "status": told.status}
            return Response(body, status=told.status, content_type="application/problem+json")

    return view  # type: ignore[return-value]  # the same signature, which TypeVar cannot say
