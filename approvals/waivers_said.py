"""What the people's API for waivers may be told: bodies and queries in, checked, or every fault of them out."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import IO, Any, Final, TypeVar

from rest_framework import serializers, status
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.response import Response

from approvals.problems import URN
from approvals.waivers.models import State
from countersign.policy.faults import Fault, InvalidError
from countersign.policy.waivers import Category
from countersign.proof import canonical

_MAX_REASON: Final = 2000
_PROBLEM = "application/problem+json"

V = TypeVar("V", bound=Callable[..., Response])


class StrictJSON(BaseParser):
    """JSON of which evidence keeps every value as it was sent: no member twice, no number that would be rounded."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:  # noqa: ARG002  the framework's signature
        try:
            return canonical.loads(stream.read())
        except canonical.NotCanonical as error:
            raise ParseError(str(error)) from error


def told_faults(method: V) -> V:
    """A view method whose bad terms become problem details with every fault at its place."""

    @wraps(method)
    def view(*args: Any, **kwargs: Any) -> Response:
        try:
            return method(*args, **kwargs)
        except InvalidError as error:
            body = {
                "type": f"{URN}invalid",
                "title": "Bad Request",
                "status": status.HTTP_400_BAD_REQUEST,
                "detail": "These terms cannot be asked for; see errors.",
                "errors": [_fault(one) for one in error.faults],
            }
            return Response(body, status=status.HTTP_400_BAD_REQUEST, content_type=_PROBLEM)

    return view  # type: ignore[return-value]  # the same signature, which TypeVar cannot say


def _fault(fault: Fault) -> dict[str, str]:
    """As RFC 9457 shows it: a JSON pointer (RFC 6901) into the body, and words."""
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in fault.path)
    where = f" (line {fault.offset[0]}, column {fault.offset[1]} of the condition)" if fault.offset else ""
    return {"pointer": pointer, "detail": fault.message + where}


class MatchAsked(serializers.Serializer[Any]):
    """Globs by kind, as a rule's match: whom and what must be named. `principals` are whole names."""

    def get_fields(self) -> dict[str, Any]:
        names = ("agents", "subjects", "tools", "resources", "methods", "actions", "intents", "principals")
        return {
            name: serializers.ListField(child=serializers.CharField(), required=False) for name in names
        }  # fmt: skip


class TermsAsked(serializers.Serializer[Any]):
    """For the description alone: terms are read by `countersign.policy.waiver_terms`, which tells every fault."""

    category = serializers.ChoiceField(choices=[(one.value, one.name) for one in Category])
    rules = serializers.ListField(child=serializers.CharField())
    match = MatchAsked()
    when = serializers.CharField(required=False, help_text="CEL over the call; not its risk.")
    reason = serializers.CharField()
    owner = serializers.CharField(help_text="Username or e-mail address of who answers for it.")
    ticket = serializers.CharField(required=False)
    not_before = serializers.DateTimeField(required=False, help_text="In the past: now.")
    expires_at = serializers.DateTimeField()
    max_uses = serializers.IntegerField(required=False, min_value=1)
    controls = serializers.ListField(child=serializers.DictField(), required=False)
    renews = serializers.CharField(required=False)


class RevokeAsked(serializers.Serializer[Any]):
    """Why it ends."""

    reason = serializers.CharField(max_length=_MAX_REASON)


class ShortenAsked(serializers.Serializer[Any]):
    """When it ends instead, earlier than it would, and why."""

    expires_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=_MAX_REASON)


class PackAsked(serializers.Serializer[Any]):
    """Whether kept arguments and their salts go in."""

    arguments = serializers.BooleanField(default=True)


class Wanted(serializers.Serializer[Mapping[str, str]]):
    """What a list is narrowed to: whole names, and a part of id, reason, ticket, owner or asker as `q`."""

    state = serializers.ChoiceField(choices=[*State.values, "live"], required=False)
    owner = serializers.CharField(max_length=150, required=False)
    tool = serializers.CharField(max_length=200, required=False)
    rule = serializers.CharField(max_length=200, required=False)
    q = serializers.CharField(max_length=200, required=False)
