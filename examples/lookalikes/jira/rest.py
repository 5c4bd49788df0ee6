"""The REST API of a site: requests in, Jira's answers out, judged as strictly as the real one judges them."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from examples.lookalikes.faults import Fault
from examples.lookalikes.jira.site import (
    LONGEST_LABEL,
    LONGEST_SUMMARY,
    LONGEST_TEXT,
    PAGE,
    Called,
    Issue,
    Json,
    Refused,
    Site,
    shown_comment,
    user,
)

Answer = tuple[int, Any]
Endpoint = Callable[[Site, Request, Any], Answer]
_SETTABLE = {"project", "issuetype", "summary", "description", "labels", "priority", "duedate"}
_CLAUSE = re.compile(r'(project|labels|creator)\s*=\s*(?:"([^"]*)"|(\w[\w-]*)(\(\))?)', re.IGNORECASE)


# --- endpoints


def myself(site: Site, _request: Request, _body: Any) -> Answer:
    return 200, user(site.bot) | {"emailAddress": site.email}


def server_info(site: Site, _request: Request, _body: Any) -> Answer:
    return 200, {"baseUrl": site.base_url, "deploymentType": "Cloud", "versionNumbers": [1001, 0, 0]}


def create(site: Site, request: Request, body: Any) -> Answer:
    fields = dict(_fields(body))
    errors = {} if _known(site, fields, "project", "key") in site.projects else {"project": "valid project is required"}
    if not errors and _known(site, fields, "issuetype", "name") not in site.projects[fields["project"]["key"]].types:
        errors["issuetype"] = "Specify a valid issue type"
    if not fields.get("summary"):
        errors["summary"] = "You must specify a summary of the issue."
    _refuse(errors | _wrong(request, fields))
    issue = site.create(fields, by=site.bot)
    return 201, {"id": issue.id, "key": issue.key, "self": f"{site.base_url}/rest/api/2/issue/{issue.id}"}


def read(site: Site, request: Request, _body: Any) -> Answer:
    issue = _issue(site, request)
    told = site.shown(issue)
    wanted = [name for name in request.query_params.get("fields", "").split(",") if name]
    if wanted and "*all" not in wanted:
        told["fields"] = {name: value for name, value in told["fields"].items() if name in wanted}
    if "changelog" in request.query_params.get("expand", ""):
        newest = issue.history[::-1][:PAGE]
        told["changelog"] = {"startAt": 0, "maxResults": PAGE, "total": len(issue.history), "histories": newest}
    return 200, told


def update(site: Site, request: Request, body: Any) -> Answer:
    issue, fields = _issue(site, request), _fields(body)
    _refuse(_wrong(request, fields))
    site.edit(issue, fields, by=site.bot)
    return 204, None


def comments(site: Site, request: Request, _body: Any) -> Answer:
    issue = _issue(site, request)
    start, most = (
        int(request.query_params.get("startAt", 0)),
        min(int(request.query_params.get("maxResults", 50)), 5000),
    )
    newest_first = request.query_params.get("orderBy", "created") == "-created"
    ordered = issue.comments[::-1] if newest_first else issue.comments
    shown = [shown_comment(comment) for comment in ordered[start : start + most]]
    return 200, {"comments": shown, "startAt": start, "maxResults": most, "total": len(issue.comments)}


def add_comment(site: Site, request: Request, body: Any) -> Answer:
    issue, words = _issue(site, request), _mapping(body).get("body")
    _refuse(_bad_text(request, "comment", words))
    if not isinstance(words, str) or not words.strip():
        raise Refused(400, "Comment body can not be empty!")
    return 201, shown_comment(site.comment(issue, words, by=site.bot))


def transitions(site: Site, request: Request, _body: Any) -> Answer:
    issue = _issue(site, request)
    ids = issue.project.statuses
    found = [
        {"id": move.id, "name": move.name, "to": {"name": move.target, "id": ids[move.target]}, "isAvailable": True}
        for move in site.moves(issue)
    ]
    return 200, {"expand": "transitions", "transitions": found}


def transition(site: Site, request: Request, body: Any) -> Answer:
    issue, wanted = _issue(site, request), _mapping(_mapping(body).get("transition"))
    if not str(wanted.get("id", "")).isdigit():
        raise Refused(400, "Missing 'transition' identifier")
    site.move(issue, str(wanted["id"]), by=site.bot)
    return 204, None


def search(site: Site, request: Request, body: Any) -> Answer:
    given: Mapping[str, Any] = body if isinstance(body, Mapping) else request.query_params
    jql, _, order = str(given.get("jql", "")).partition(" ORDER BY ")
    clauses = [_clause(site, part) for part in jql.split(" AND ")]
    found = [issue for issue in site.issues.values() if time.monotonic() >= issue.indexed_at]
    for name, value in clauses:
        found = [issue for issue in found if _holds(issue, name, value)]
    if order.endswith("DESC"):
        found.reverse()
    most = int(given.get("maxResults", 50))
    return 200, {"issues": [{"id": issue.id} for issue in found[:most]], "isLast": len(found) <= most}


def gone(_site: Site, _request: Request, _body: Any) -> Answer:
    raise Refused(410, "The requested API has been removed. Please use the /rest/api/3/search/jql API.")


ENDPOINTS: tuple[tuple[str, str, str, Endpoint], ...] = (
    ("myself", "GET", "/myself", myself),
    ("serverInfo", "GET", "/serverInfo", server_info),
    ("issue.create", "POST", "/issue", create),
    ("issue.read", "GET", "/issue/{issue}", read),
    ("issue.update", "PUT", "/issue/{issue}", update),
    ("comments.list", "GET", "/issue/{issue}/comment", comments),
    ("comments.add", "POST", "/issue/{issue}/comment", add_comment),
    ("transitions.list", "GET", "/issue/{issue}/transitions", transitions),
    ("transitions.do", "POST", "/issue/{issue}/transitions", transition),
    ("search", "GET", "/search/jql", search),
    ("search", "POST", "/search/jql", search),
    ("search.gone", "GET", "/search", gone),
    ("search.gone", "POST", "/search", gone),
)


# --- judging


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(400, "Invalid request payload. Refer to the REST API documentation and try again.")
    return value


def _fields(body: Any) -> Mapping[str, Any]:
    return _mapping(_mapping(body).get("fields"))


def _known(_site: Site, fields: Mapping[str, Any], name: str, by: str) -> Any:
    value = fields.get(name)
    return value.get(by) if isinstance(value, Mapping) else None


def _refuse(errors: Mapping[str, str]) -> None:
    if errors:
        raise Refused(400, errors=errors)


def _wrong(request: Request, fields: Mapping[str, Any]) -> dict[str, str]:
    off_screen = "Field '{}' cannot be set. It is not on the appropriate screen, or unknown."
    errors = {name: off_screen.format(name) for name in fields if name not in _SETTABLE}
    summary, labels = str(fields.get("summary", "")), fields.get("labels", [])
    if "\n" in summary or "\r" in summary:
        errors["summary"] = "The summary is invalid because it contains newline characters."
    if len(summary) > LONGEST_SUMMARY:
        errors["summary"] = f"Summary can't exceed {LONGEST_SUMMARY} characters."
    if not isinstance(labels, list) or any(not label or " " in label or len(label) > LONGEST_LABEL for label in labels):
        errors["labels"] = "The label can't contain spaces."
    return errors | _bad_text(request, "description", fields.get("description"))


def _bad_text(request: Request, name: str, value: Any) -> dict[str, str]:
    if request.path_params["version"] == "3" and isinstance(value, str):
        return {name: "Operation value must be an Atlassian Document (see the Atlassian Document Format)"}
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return {name: f"The entered text is too long. It exceeds the allowed limit of {LONGEST_TEXT:,} characters."}
    return {}


def _clause(site: Site, part: str) -> tuple[str, str]:
    match = _CLAUSE.fullmatch(part.strip())
    if match is None:
        raise Refused(400, f"Error in the JQL Query: {part[:100]!r}. Unbounded JQL queries are not allowed here.")
    name, quoted, bare, call = match.groups()
    value = quoted if quoted is not None else bare
    if call:
        value = site.bot.id
    return name.lower(), value


def _holds(issue: Issue, name: str, value: str) -> bool:
    if name == "project":
        return issue.project.key == value
    if name == "creator":
        return issue.creator.id == value
    return value in issue.fields.get("labels", [])


def _issue(site: Site, request: Request) -> Issue:
    return site.issue(request.path_params["issue"])


def _is_let_in(site: Site, request: Request) -> bool:
    if site.scoped and not request.url.path.startswith("/ex/jira/"):
        return False
    given = request.headers.get("authorization", "")
    basic = base64.b64encode(f"{site.email}:{site.token}".encode()).decode()
    return given in {f"Basic {basic}", f"Bearer {site.token}"}


# --- HTTP


def application(site: Site) -> Starlette:
    """The site's own address, and the gateway that scoped tokens are for."""
    routes = [
        Route(f"/rest/api/{{version:int}}{path}", _handler(site, where, endpoint), methods=[method])
        for where, method, path, endpoint in ENDPOINTS
    ]
    return Starlette(routes=[*routes, Mount(f"/ex/jira/{site.cloud_id}", routes=routes)])


def _handler(site: Site, where: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        request.path_params["version"] = str(request.path_params["version"])
        raw = await request.body()
        fault = site.faults.take(where)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and (broken := _broken(fault)):
            site.calls.append(Called(where, request.url.path, raw.decode(), 0))
            return broken
        status, told = _answer(site, request, endpoint, raw)
        site.calls.append(Called(where, request.url.path, raw.decode(), status))
        if fault and fault.drop == "after":
            return _Cut()
        return JSONResponse(told, status) if told is not None else Response(status_code=status)

    return handle


def _answer(site: Site, request: Request, endpoint: Endpoint, raw: bytes) -> Answer:
    if not _is_let_in(site, request):
        return 401, {"errorMessages": ["Client must be authenticated to access this resource."], "errors": {}}
    try:
        body = json.loads(raw) if raw else None
        with site.lock:
            return endpoint(site, request, body)
    except ValueError:
        return 400, {"errorMessages": ["There was an error parsing JSON. Check that your request body is valid."]}
    except Refused as refused:
        return refused.status, refused.body


def _broken(fault: Fault) -> Response | None:
    """An answer in the place of one that would have had an effect."""
    if fault.drop == "before":
        return _Cut()
    if fault.garbage:
        return Response("<html>We are down for maintenance</html>", 200, media_type="text/html")
    if fault.status is None:
        return None
    given = {"Retry-After": fault.retry_after, "Location": fault.location}
    headers = {name: str(value) for name, value in given.items() if value is not None}
    told: Json = {"errorMessages": [f"fault {fault.status}"], "errors": {}}
    return JSONResponse(told, fault.status, headers=headers)


class _Cut(Response):
    """A connection that ends before its answer does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        headers = [(b"content-length", b"64"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
