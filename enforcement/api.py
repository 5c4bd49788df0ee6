"""One request in, one response out: which path leads to which endpoint, and no error leaves untold."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from countersign import ids
from enforcement import (
    arap,
    authn,
    chance,
    decide,
    discovery,
    http,
    outcomes,
    problems,
    proxies,
    published,
    search,
    tasks,
    turns,
    verification,
)
from enforcement.http import Request, Response
from enforcement.problems import Kind, Problem

log = logging.getLogger(__name__)

OUTCOMES = "/access/v1/outcomes"
PREFIXES = ("/access/v1/", discovery.PATH)
"""What begins like this is a machine's, and comes to this room."""

_ASKING = {discovery.EVALUATION: decide.evaluation, discovery.EVALUATIONS: turns.evaluations}
_request_id = re.compile(r"[\x21-\x7e]{1,200}").fullmatch
_JSON = "application/json"

Endpoint = Callable[..., Awaitable[Response]]


async def answer(request: Request) -> Response:
    """Always a response; what nobody foresaw is logged and opaque."""
    try:
        response = await _route(proxies.stripped(request))
    except Exception as error:  # noqa: BLE001 - told, and logged unless it was foreseen
        response = failed(error)
    return Response(response.status, response.headers, response.body, request_id(request))


def failed(error: BaseException) -> Response:
    """What the caller is told of it."""
    if isinstance(error, Problem):
        return problems.response(error)
    log.error("an endpoint failed in a way nobody foresaw", exc_info=error)
    return problems.response(Problem(Kind.INTERNAL, "The call is not decided; a PEP denies it."))


def request_id(request: Request) -> str:
    """The caller's own, if it can be echoed, else a new one."""
    return named(request.headers.get("x-request-id", ""))


def named(given: str) -> str:
    """As `request_id`, of the header's value."""
    return given if _request_id(given) else ids.of("req", chance.salt()[:16])


async def _route(request: Request) -> Response:
    path = request.path
    if "\0" in path:  # no name has one, and PostgreSQL refuses to be asked for it
        raise Problem(Kind.NOT_FOUND)
    if path in _ASKING:
        return http.json_bytes(await _ASKING[path](_asked(request).headers, request.body))
    for matches, endpoints in _routes:
        if (found := matches(path)) is not None:
            _only(request, *endpoints)
            return await endpoints[request.method](request, **found.groupdict())
    if path in published.PATHS or path.startswith(discovery.PATH):
        _only(request, "GET")
        return await published.document(path) if path in published.PATHS else discovery.document(path)
    raise Problem(Kind.NOT_FOUND)


# --- endpoints


async def _search(request: Request) -> Response:
    return await search.post(_asked(request), search.PARTS[request.path])


async def _submit(request: Request) -> Response:
    return await tasks.submit(_posted(request), await authn.caller(request.headers))


async def _look(request: Request, task: str) -> Response:
    return await tasks.get(request, await authn.caller(request.headers), task)


async def _cancel(request: Request, task: str) -> Response:
    return await tasks.cancel(request, await authn.caller(request.headers), task)


async def _report(request: Request) -> Response:
    return await outcomes.post(_posted(request), await authn.caller(request.headers))


async def _verify(request: Request, evaluation: str) -> Response:
    return await verification.post(_posted(request), await authn.caller(request.headers), evaluation)


ROUTES: Mapping[str, Mapping[str, Endpoint]] = {
    **{path: {"POST": _search} for path in search.PARTS},
    arap.PATH: {"POST": _submit},
    f"{arap.PATH}/{{task}}": {"GET": _look},
    f"{arap.PATH}/{{task}}/cancel": {"POST": _cancel, "DELETE": _cancel},
    OUTCOMES: {"POST": _report},
    f"{OUTCOMES}/{{evaluation}}/{verification.VERB}": {"POST": _verify},
}
"""Which paths lead where, but for what is asked most (`_ASKING`, before them) and what is only published."""


def _pattern(path: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)).fullmatch


_routes = tuple((_pattern(path), endpoints) for path, endpoints in ROUTES.items())


# --- what they want


def _asked(request: Request) -> Request:
    """A POST of JSON to an endpoint of AuthZEN, which wants 400 for any other media type. Raises Problem: 400, 405."""
    _only(request, "POST")
    if not _is_json(request):
        raise Problem(Kind.MALFORMED, "Send `content-type: application/json`.")
    return request


def _posted(request: Request) -> Request:
    """A POST of JSON. Raises Problem: 405, 415."""
    _only(request, "POST")
    if not _is_json(request):
        raise Problem(Kind.MEDIA_TYPE)
    return request


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "")
    return kind == _JSON or kind.split(";", 1)[0].strip().lower() == _JSON


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise Problem(Kind.METHOD_NOT_ALLOWED, f"Use {methods[0]}.", headers=(("allow", ", ".join(methods)),))


def too_large(limit: int) -> Problem:
    """What both ways in answer to a body beyond the limit."""
    return Problem(Kind.TOO_LARGE, f"A request has at most {limit} bytes.")
