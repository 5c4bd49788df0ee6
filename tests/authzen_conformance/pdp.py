"""A server's URL and a token in, its answers out: each checked for what the HTTPS binding wants of every answer."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpx2
import jsonschema_rs

WELL_KNOWN = "/.well-known/authzen-configuration"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
OK, BAD_REQUEST, NOT_FOUND = 200, 400, 404


class Api(StrEnum):
    """The endpoints, by the path that holds where no metadata says otherwise."""

    EVALUATION = "/access/v1/evaluation"
    EVALUATIONS = "/access/v1/evaluations"
    SUBJECT = "/access/v1/search/subject"
    RESOURCE = "/access/v1/search/resource"
    ACTION = "/access/v1/search/action"


PARAMETERS: Mapping[Api, str] = {
    Api.EVALUATION: "access_evaluation_endpoint",
    Api.EVALUATIONS: "access_evaluations_endpoint",
    Api.SUBJECT: "search_subject_endpoint",
    Api.RESOURCE: "search_resource_endpoint",
    Api.ACTION: "search_action_endpoint",
}
"""The metadata parameter that names each."""

_DECISION = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"type": "boolean"}, "context": {"type": "object"}},
}
_PAGE = {
    "type": "object",
    "required": ["next_token"],
    "properties": {
        "next_token": {"type": "string"}, "count": {"type": "integer"}, "total": {"type": "integer"},
        "properties": {"type": "object"},
    },
}  # fmt: skip


def _found(*names: str) -> dict[str, Any]:
    one = {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}
    return {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": one}, "page": _PAGE, "context": {"type": "object"}},
    }


SHAPES: Mapping[Api, Any] = {
    Api.EVALUATION: _DECISION,
    Api.EVALUATIONS: {
        "anyOf": [
            _DECISION,
            {"type": "object", "required": ["evaluations"], "properties": {"evaluations": {"items": _DECISION}}},
        ],
        "properties": {"evaluations": {"type": "array"}},
    },
    Api.SUBJECT: _found("type", "id"),
    Api.RESOURCE: _found("type", "id"),
    Api.ACTION: _found("name"),
}
"""What a successful answer looks like: the information model, in our own words."""


class Failed(Exception):
    """The server did what the scenario does not allow."""


@dataclass(frozen=True)
class Reply:
    """One answer as it came."""

    status: int
    media_type: str
    body: bytes

    def document(self) -> Any:
        """The JSON in it. Raises Failed."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failed("the answer is no JSON") from error


@dataclass
class Pdp:
    """One server under test. Close it, or use it as a context manager."""

    url: str
    token: str
    published: Path | None = None  # a checkout's api/schemas, to hold answers against as well
    timeout: float = 10.0
    _metadata: Mapping[str, Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/")
        self._http = httpx2.Client(timeout=self.timeout, follow_redirects=False)
        self._schemas = {api: [jsonschema_rs.validator_for(shape)] for api, shape in SHAPES.items()}
        if self.published is not None:
            text = (self.published / "evaluation-response.schema.json").read_text()
            self._schemas[Api.EVALUATION].append(jsonschema_rs.validator_for(json.loads(text)))

    # --- the metadata

    @property
    def well_known(self) -> str:
        """Where the metadata of this server is: the path put between host and path (AuthZEN, PDP Metadata)."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, WELL_KNOWN + parts.path, "", ""))

    @property
    def is_local(self) -> bool:
        """Whether plain HTTP will do: nothing between this program and the server could be listening."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and parts.hostname in LOOPBACK

    def metadata(self) -> Reply:
        """What it says of itself; needs no token."""
        return self._send("GET", self.well_known, b"", {})

    def leaves_out(self, api: Api) -> bool:
        """Whether it tells what it has, and this is not among it (AuthZEN, PDP Metadata: then it is not supported)."""
        told = self._told()
        return bool(told) and PARAMETERS[api] not in told

    def _told(self) -> Mapping[str, Any]:
        """The metadata, asked for once; empty where there are none to be read."""
        if self._metadata is None:
            reply = self.metadata()
            told = reply.document() if reply.status == OK else {}
            self._metadata = told if isinstance(told, dict) else {}
        return self._metadata

    def endpoint(self, api: Api) -> str:
        """As the metadata has it, else the default path under the base URL."""
        named = self._told().get(PARAMETERS[api])
        return named if isinstance(named, str) else self.url + api.value

    # --- asking

    def ask(self, api: Api, body: Any) -> dict[str, Any]:
        """The document of a successful answer. Raises Failed."""
        reply = self.post(api, json.dumps(body).encode())
        if reply.status != OK:
            raise Failed(f"answered {reply.status}, not 200: {reply.body[:200]!r}")
        if reply.media_type != "application/json":
            raise Failed(f"the answer is {reply.media_type or 'of no type'}, not application/json")
        told = reply.document()
        for schema in self._schemas[api]:
            for error in schema.iter_errors(told):
                raise Failed(f"the answer has another shape: {error.message[:200]}")
        return dict(told)

    def refuses(self, api: Api, body: bytes, *, media_type: str = "application/json") -> None:
        """Raises Failed unless that is answered 400."""
        reply = self.post(api, body, media_type=media_type)
        if reply.status != BAD_REQUEST:
            raise Failed(f"answered {reply.status}, not 400")

    def post(self, api: Api, body: bytes, *, media_type: str = "application/json", named: bool = True) -> Reply:
        """Whatever is answered. Raises Failed if it does not name the request as we did."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": media_type}
        return self._send("POST", self.endpoint(api), body, headers, named=named)

    def _send(self, method: str, url: str, body: bytes, headers: Mapping[str, str], *, named: bool = True) -> Reply:
        own = {"x-request-id": f"conformance-{secrets.token_hex(8)}"} if named else {}
        try:
            response = self._http.request(method, url, content=body, headers={**headers, **own})
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Failed(f"no answer: {type(error).__name__} {error}".rstrip()) from error
        echoed = response.headers.get("x-request-id")
        if own and method == "POST" and echoed != own["x-request-id"]:
            raise Failed(f"X-Request-ID came back as {echoed!r}")
        media_type = response.headers.get("content-type", "").split(";", 1)[0].strip().lower()
        return Reply(response.status_code, media_type, response.content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


def names(found: Sequence[Mapping[str, Any]], member: str) -> set[str]:
    """One member of each result."""
    return {str(one[member]) for one in found}
