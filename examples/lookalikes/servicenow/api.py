"""The Table API over HTTP, as far as it is documented and needed: create, read, query, change; basic auth.

https://www.servicenow.com/docs/bundle/zurich-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from examples.lookalikes.faults import Fault, Faults
from examples.lookalikes.servicenow.instance import (
    APPROVALS,
    CHANGES,
    FIELDS,
    JOURNALS,
    REFERENCES,
    USERS,
    Instance,
    Person,
    Refused,
    Row,
)

_CLAUSE = re.compile(r"(\w+)(!=|=|IN|STARTSWITH)(.*)", re.DOTALL)
_READERS = {CHANGES: {"itil"}, APPROVALS: {"itil", "approval_admin"}, USERS: {"itil"}}


class Dropped(Response):
    """An answer that never arrives: headers promise a body and the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        headers = [(b"content-length", b"100"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


def application(instance: Instance, faults: Faults) -> Starlette:
    """The instance behind HTTP."""

    async def answer(request: Request) -> Response:
        table = request.path_params["table"]
        fault = faults.take(f"{request.method} {table}") or Fault()
        await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return Dropped()
        if fault.status is not None:
            headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
            return _refusal(Refused(fault.status, "A fault on purpose"), headers)
        try:
            answered = _serve(instance, request, await _body(request))
        except Refused as refused:
            return _refusal(
                refused,
                {"WWW-Authenticate": 'BASIC realm="Service-now"'} if refused.status == HTTPStatus.UNAUTHORIZED else {},
            )
        return Dropped() if fault.drop == "after" else answered

    return Starlette(
        routes=[
            Route("/api/now/table/{table}", answer, methods=["GET", "POST"]),
            Route("/api/now/table/{table}/{sys_id}", answer, methods=["GET", "PATCH"]),
        ]
    )


def _serve(instance: Instance, request: Request, given: Any) -> Response:
    person = _who(instance, request.headers.get("authorization", ""))
    table, sys_id = request.path_params["table"], request.path_params.get("sys_id")
    if table not in instance.tables:
        raise Refused(400, f"Invalid table {table}")
    if request.method == "GET":
        return _read(instance, request, person, table, sys_id)
    if not isinstance(given, dict):
        raise Refused(400, "Exception while reading request", "The payload is not valid JSON")
    if sys_id is None:
        row = instance.create(table, given, by=person)
        where = {"Location": f"{request.url}/{row['sys_id']}"}
        return JSONResponse({"result": _shown(instance, table, row, request)}, 201, where)
    row = instance.change(table, sys_id, given, by=person)
    return JSONResponse({"result": _shown(instance, table, row, request)})


def _read(instance: Instance, request: Request, person: Person, table: str, sys_id: str | None) -> Response:
    may_all = not person.roles.isdisjoint({*_READERS[table], "admin"})
    if sys_id is not None:
        row = instance.row(table, sys_id)
        if not may_all and row.get("approver") != person.sys_id:
            raise Refused(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
        return JSONResponse({"result": _shown(instance, table, row, request)})
    if not may_all:
        raise Refused(403, "User Not Authorized", "Failed API level ACL Validation")
    found = _found(instance, table, request.query_params.get("sysparm_query", ""))
    start = int(request.query_params.get("sysparm_offset", 0))
    rows = found[start : start + int(request.query_params.get("sysparm_limit", 10_000))]
    headers = {"X-Total-Count": str(len(found))}
    return JSONResponse({"result": [_shown(instance, table, row, request) for row in rows]}, headers=headers)


def _found(instance: Instance, table: str, query: str) -> list[Row]:
    """A clause over a field that does not exist is dropped, and then everything matches: so does the real one."""
    rows = list(instance.tables[table].values())
    for clause in filter(None, query.split("^")):
        if clause.startswith("ORDERBYDESC"):
            rows.sort(key=lambda row, name=clause[11:]: row.get(name, ""), reverse=True)
        elif clause.startswith("ORDERBY"):
            rows.sort(key=lambda row, name=clause[7:]: row.get(name, ""))
        elif (match := _CLAUSE.fullmatch(clause)) and match[1] in FIELDS[table]:
            rows = [row for row in rows if _holds(row.get(match[1], ""), match[2], match[3])]
    return rows


def _holds(value: str, operator: str, wanted: str) -> bool:
    match operator:
        case "=":
            return value == wanted
        case "!=":
            return value != wanted
        case "IN":
            return value in wanted.split(",")
        case _:
            return value.startswith(wanted)


def _shown(instance: Instance, table: str, row: Row, request: Request) -> dict[str, Any]:
    asked = request.query_params.get("sysparm_fields", "")
    names: Iterable[str] = [name for name in asked.split(",") if name in FIELDS[table]] if asked else FIELDS[table]
    return {name: _value(instance, table, row, name, request) for name in names}


def _value(instance: Instance, table: str, row: Row, name: str, request: Request) -> Any:
    display = request.query_params.get("sysparm_display_value", "false")
    value = row.get(name, "")
    if name in JOURNALS[table]:
        shown = _journal(instance, row["sys_id"], name)
        return {"false": "", "true": shown, "all": {"display_value": shown, "value": ""}}[display]
    if display == "all":
        return {"display_value": value, "value": value}
    if name in REFERENCES and value and request.query_params.get("sysparm_exclude_reference_link") != "true":
        return {"link": f"{request.base_url}api/now/table/{REFERENCES[name]}/{value}", "value": value}
    return value


def _journal(instance: Instance, sys_id: str, element: str) -> str:
    titles = {"work_notes": "Work notes", "comments": "Additional comments"}
    entries = [entry for entry in instance.journal.get(sys_id, []) if entry.element == element]
    return "".join(f"{one.at} - {one.by} ({titles[element]})\n{one.text}\n\n" for one in reversed(entries))


def _who(instance: Instance, header: str) -> Person:
    scheme, _, credentials = header.partition(" ")
    try:
        name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name, password = "", ""
    person = instance.people.get(name)
    active = person is not None and instance.tables[USERS][person.sys_id]["active"] == "true"
    if scheme.lower() != "basic" or person is None or person.password != password or not active:
        raise Refused(401, "User Not Authenticated", "Required to provide Auth information")
    return person


async def _body(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        return None


def _refusal(refused: Refused, headers: dict[str, str]) -> Response:
    error = {"message": refused.message, "detail": refused.detail}
    return JSONResponse({"error": error, "status": "failure"}, refused.status, headers)
