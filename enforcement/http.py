"""One shape of request and response for both ways in: the raw ASGI callable and the Django view."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from countersign.proof import canonical

JSON = ("content-type", "application/json")


class Request(NamedTuple):
    """What a machine sent. Header names are lower case. A tuple, because thousands are made a second.

    `peer` is the address of the connection's other end, whatever the request says of it; empty if it has none.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str = ""


Headers = tuple[tuple[str, str], ...]


class Response(NamedTuple):
    """What it is answered; `request_id` is a header too, apart from the others because they are mostly the same."""

    status: int
    headers: Headers
    body: bytes
    request_id: str = ""

    @property
    def all_headers(self) -> Headers:
        return (*self.headers, ("x-request-id", self.request_id)) if self.request_id else self.headers


_JSON_HEADERS = (JSON, ("cache-control", "no-store"))


def json_bytes(body: bytes) -> Response:
    """200 with JSON that is bytes already."""
    return Response(200, _JSON_HEADERS, body)


def json(value: Mapping[str, Any], *, status: int = 200, headers: Headers = ()) -> Response:
    """A JSON document; nobody may keep it, for the next one may say otherwise."""
    return Response(status, (*_JSON_HEADERS, *headers), canonical.dumps(value))
