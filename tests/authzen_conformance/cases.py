"""Every case of the scenario, by level: what is sent, and what the server must make of it."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.authzen_conformance.pdp import NOT_FOUND, OK, PARAMETERS, Api, Failed, Pdp, names

Check = Callable[[Pdp], None]
Body = Mapping[str, Any]
PAGES = 100  # read at most; the fixture is small


@dataclass(frozen=True)
class Case:
    """One thing the scenario asks for. `section` is its number there, without the leading C."""

    section: str
    title: str
    check: Check


@dataclass(frozen=True)
class Level:
    """What a server can be certified for. `needs` are levels without which this one does not count; `asks`, whom it asks."""

    name: str
    cases: Sequence[Case]
    needs: Sequence[str] = ()
    asks: Sequence[Api] = ()


# --- the fixture


def user(identifier: str, **properties: Any) -> dict[str, Any]:
    return {"type": "user", "id": identifier, **({"properties": properties} if properties else {})}


def record(identifier: str, **properties: Any) -> dict[str, Any]:
    return {"type": "record", "id": identifier, **({"properties": properties} if properties else {})}


def action(name: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, **({"properties": properties} if properties else {})}


def asking(subject: Any, verb: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "action": verb, "resource": resource, **more}


def without(body: Body, name: str, part: str | None = None) -> dict[str, Any]:
    """The same with a member left out, or a part of it."""
    if part is None:
        return {key: value for key, value in body.items() if key != name}
    return {**body, name: {key: value for key, value in body[name].items() if key != part}}


ALICE, BOB, ADMIN = user("alice"), user("bob"), user("bob", role="admin")
ACTIVE, ARCHIVED = record("record-1"), record("record-2", status="archived")
READ, WRITE = action("read"), action("write")
CONTEXT = {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}
UNKNOWN = {"foo": "bar", "futureField": {"nested": True}}
ALLOWED = asking(ALICE, READ, ACTIVE)


# --- checks


def decides(body: Body, *, permit: bool, api: Api = Api.EVALUATION) -> Check:
    def check(pdp: Pdp) -> None:
        told = pdp.ask(api, body)
        if "decision" not in told:
            raise Failed("`decision` is missing")
        if told["decision"] is not permit:
            raise Failed(f"decided {told['decision']}, not {permit}")

    return check


def decides_each(body: Body, *wanted: bool | None) -> Check:
    """Decisions in order; None is any."""

    def check(pdp: Pdp) -> None:
        told = pdp.ask(Api.EVALUATIONS, body)
        if "evaluations" not in told:
            raise Failed("`evaluations` is missing")
        decided = [one["decision"] for one in told["evaluations"]]
        if len(decided) != len(wanted):
            raise Failed(f"{len(decided)} answers to {len(wanted)} evaluations")
        if any(want is not None and want is not got for want, got in zip(wanted, decided, strict=True)):
            raise Failed(f"decided {decided}, not {list(wanted)}")

    return check


def refuses(api: Api, body: Any, *, media_type: str = "application/json") -> Check:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda pdp: pdp.refuses(api, raw, media_type=media_type)


def finds(api: Api, body: Body, *wanted: str, type_: str | None = None) -> Check:
    """At least these, each of the type that was asked for."""

    def check(pdp: Pdp) -> None:
        found = results(pdp, api, body)
        missing = sorted(set(wanted) - names(found, "name" if api is Api.ACTION else "id"))
        if missing:
            raise Failed(f"the results lack {', '.join(missing)}")
        if type_ is not None and names(found, "type") - {type_}:
            raise Failed(f"there are results of another type than {type_}")

    return check


def finds_the_same(api: Api, body: Body, other: Body) -> Check:
    def check(pdp: Pdp) -> None:
        first, second = (_sorted(results(pdp, api, one)) for one in (body, other))
        if first != second:
            raise Failed(f"the results differ: {first} and {second}")

    return check


def finds_nothing(api: Api, body: Body) -> Check:
    def check(pdp: Pdp) -> None:
        if found := results(pdp, api, body):
            raise Failed(f"there are results: {found[:3]}")

    return check


def results(pdp: Pdp, api: Api, body: Body) -> list[dict[str, Any]]:
    """All of them, over as many pages as the server makes of them."""
    found: list[dict[str, Any]] = []
    told = pdp.ask(api, body)
    for _ in range(PAGES):
        found += told["results"]
        token = told.get("page", {}).get("next_token")
        if not token:
            return found
        told = pdp.ask(api, {**body, "page": {"token": token}})
        if "page" not in told:
            raise Failed("the page after a token has no `page`")
    raise Failed(f"the results do not end within {PAGES} pages")


def _sorted(found: Sequence[Any]) -> list[str]:
    return sorted(json.dumps(one, sort_keys=True) for one in found)


# --- Basic


def _without_an_id(pdp: Pdp) -> None:
    reply = pdp.post(Api.EVALUATION, json.dumps(ALLOWED).encode(), named=False)
    if reply.status != OK:
        raise Failed(f"answered {reply.status}, not 200")


def _again_and_again(pdp: Pdp) -> None:
    for body, permit in ((ALLOWED, True), (asking(BOB, WRITE, ACTIVE), False)):
        for _ in range(5):
            decides(body, permit=permit)(pdp)


_RICH = asking(
    user("alice", department="Sales", role="manager"),
    action("read", method="GET"),
    record("record-1", status="active", owner="bob"),
)

BASIC_CORE = (
    Case("2.2.1", "alice may read record-1", decides(ALLOWED, permit=True)),
    Case("2.2.2", "bob may not write record-1", decides(asking(BOB, WRITE, ACTIVE), permit=False)),
    Case("1.4/2", "alice may write record-1", decides(asking(ALICE, WRITE, ACTIVE), permit=True)),
    Case("1.4/3", "bob may read record-1", decides(asking(BOB, READ, ACTIVE), permit=True)),
    Case("2.2.3", "a context changes nothing", decides({**ALLOWED, "context": CONTEXT}, permit=True)),
    Case("2.2.8", "more properties than needed", decides(_RICH, permit=True)),
    Case("2.2.9", "unknown members are ignored", decides({**ALLOWED, **UNKNOWN}, permit=True)),
    *(Case("2.4.1", f"no {name}", refuses(Api.EVALUATION, without(ALLOWED, name))) for name in ALLOWED),
    *(
        Case("2.4.2", f"no {name}.{part}", refuses(Api.EVALUATION, without(ALLOWED, name, part)))
        for name, part in (
            ("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id"),
        )
    ),
    *(
        Case("2.4.3", f"the media type {kind}", refuses(Api.EVALUATION, ALLOWED, media_type=kind))
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml")
    ),
    Case("2.4.4", "JSON that is cut off", refuses(Api.EVALUATION, b'{"subject": {"type": "user"')),
    Case("2.4.5", "an empty body", refuses(Api.EVALUATION, b"")),
    Case("2.4.6", "a subject that is a string", refuses(Api.EVALUATION, asking("alice", READ, ACTIVE))),
    Case("2.4.6", "an action's name that is a number", refuses(Api.EVALUATION, asking(ALICE, {"name": 123}, ACTIVE))),
    Case("2.5.1", "X-Request-ID comes back", decides(ALLOWED, permit=True)),
    Case("2.5.2", "X-Request-ID may be absent", _without_an_id),
    Case("2.6", "the same question, the same answer", _again_and_again),
)  # fmt: skip

BASIC_PROPERTIES = (
    Case("2.2.4", "alice may not write an archive", decides(asking(ALICE, WRITE, ARCHIVED), permit=False)),
    Case("2.2.5", "an admin may write an archive", decides(asking(ADMIN, WRITE, ARCHIVED), permit=True)),
    Case("2.2.6", "alice may delete softly", decides(asking(ALICE, action("delete", soft=True), ACTIVE), permit=True)),
    Case("2.2.7", "alice may not delete", decides(asking(ALICE, action("delete", soft=False), ACTIVE), permit=False)),
)


# --- Batch

_TWO_RECORDS = [{"resource": ACTIVE}, {"resource": record("record-2")}]
_ONE_LACKS = {
    "subject": ALICE,
    "action": READ,
    "options": {"evaluations_semantic": "execute_all"},
    "evaluations": [{"resource": ACTIVE}, {}],
}
_OVERRIDDEN = {"time": "2025-06-27T19:00-07:00", "source": "batch-override"}

BATCH_CORE = (
    Case("3.2.1", "two resources", decides_each({"subject": ALICE, "action": READ, "evaluations": _TWO_RECORDS}, None, None)),
    Case(
        "3.2.2",
        "two actions, decided in order",
        decides_each({"subject": BOB, "resource": ACTIVE, "evaluations": [{"action": READ}, {"action": WRITE}]}, True, False),
    ),
    Case("3.2.5", "no defaults", decides_each({"evaluations": [ALLOWED, asking(BOB, WRITE, ACTIVE)]}, True, False)),
    Case(
        "3.2.6",
        "a context of its own",
        decides_each(
            {
                "subject": ALICE, "action": READ, "context": CONTEXT,
                "evaluations": [_TWO_RECORDS[0], {**_TWO_RECORDS[1], "context": _OVERRIDDEN}],
            },
            None, None,
        ),
    ),
    Case("3.4.1", "one of them lacks its resource", decides_each(_ONE_LACKS, True, False)),
    Case("3.4.2", "no evaluations: a single one", decides(ALLOWED, permit=True, api=Api.EVALUATIONS)),
    Case("3.4.3", "empty evaluations: a single one", decides({**ALLOWED, "evaluations": []}, permit=True, api=Api.EVALUATIONS)),
    Case("3.4", "nothing at all", refuses(Api.EVALUATIONS, {})),
    Case("2.4.3", "another media type", refuses(Api.EVALUATIONS, {"evaluations": [ALLOWED]}, media_type="text/plain")),
    Case("2.4.4", "JSON that is cut off", refuses(Api.EVALUATIONS, b'{"evaluations": [')),
    Case("2.4.5", "an empty body", refuses(Api.EVALUATIONS, b"")),
    Case("5", "unknown members are ignored", decides_each({**UNKNOWN, "evaluations": [{**ALLOWED, **UNKNOWN}]}, True)),
)  # fmt: skip

BATCH_PROPERTIES = (
    Case(
        "3.2.3",
        "properties of each resource",
        decides_each(
            {
                "subject": ALICE, "action": WRITE,
                "evaluations": [{"resource": record("record-1", status="active")}, {"resource": ARCHIVED}],
            },
            True, False,
        ),
    ),
    Case(
        "3.2.4",
        "properties of each subject",
        decides_each(
            {"action": WRITE, "resource": ARCHIVED, "evaluations": [{"subject": ALICE}, {"subject": ADMIN}]}, False, True
        ),
    ),
    Case(
        "3.2.7",
        "a default is taken whole or replaced whole",
        decides_each(
            asking(ALICE, WRITE, record("record-1", status="active"), evaluations=[{}, {"resource": ARCHIVED}]),
            True, False,
        ),
    ),
)  # fmt: skip


# --- Search

_WHO = asking({"type": "user"}, READ, ACTIVE)
_WHERE = asking(ALICE, READ, {"type": "record"})
_WHAT = {"subject": ALICE, "resource": ACTIVE}
_BY_ID_OF_NO_USE = {Api.SUBJECT: {**_WHO, "subject": ALICE}, Api.RESOURCE: {**_WHERE, "resource": ACTIVE}}


def _paged(api: Api, body: Body) -> Check:
    """One at a time, to the end: nothing is lost and nothing comes twice."""

    def check(pdp: Pdp) -> None:
        first = pdp.ask(api, {**body, "page": {"limit": 1}})
        if "page" not in first:
            return  # paging is optional
        whole, paged = results(pdp, api, body), results(pdp, api, {**body, "page": {"limit": 1}})
        if _sorted(whole) != _sorted(paged):
            raise Failed("by pages there are other results than at once")

    return check


_SEARCHES: Mapping[Api, tuple[Body, tuple[str, ...], str | None]] = {
    Api.SUBJECT: (_WHO, ("alice", "bob"), "user"),
    Api.RESOURCE: (_WHERE, ("record-1",), "record"),
    Api.ACTION: (_WHAT, ("read", "write"), None),
}
_SECTION: Mapping[Api, str] = {Api.SUBJECT: "4.2", Api.RESOURCE: "4.3", Api.ACTION: "4.4"}


def _searching(api: Api) -> list[Case]:
    """What is asked of every search."""
    body, wanted, type_ = _SEARCHES[api]
    with_context = {**body, "context": CONTEXT}
    section, name = _SECTION[api], api.rsplit("/", 1)[1]
    cases = [
        Case(f"{section}.1", f"{name} search", finds(api, body, *wanted, type_=type_)),
        Case(f"{section}.2", f"{name} search with a context", finds(api, with_context, *wanted, type_=type_)),
        Case(f"{section}.2", f"{name} search, the same with a context", finds_the_same(api, body, with_context)),
        Case("4.5", f"{name} search by pages", _paged(api, body)),
        Case("5", f"{name} search with unknown members", finds(api, {**body, **UNKNOWN}, *wanted)),
    ]
    if api in _BY_ID_OF_NO_USE:
        cases.append(
            Case(f"{section}.3", f"{name} search ignores an id", finds_the_same(api, body, _BY_ID_OF_NO_USE[api]))
        )
    return cases


SEARCH_CORE = (
    *(case for api in _SEARCHES for case in _searching(api)),
    Case("4.6.1", "actions of nobody known", finds_nothing(Api.ACTION, {**_WHAT, "subject": user("nonexistent-user")})),
    Case("4.6.1", "resources of nobody known", finds_nothing(Api.RESOURCE, {**_WHERE, "subject": user("nonexistent-user")})),
    Case("4.6.1", "subjects of nothing known", finds_nothing(Api.SUBJECT, {**_WHO, "action": action("nonexistent")})),
    Case("4.6.2", "subjects of no known type", finds_nothing(Api.SUBJECT, {**_WHO, "subject": {"type": "spaceship"}})),
    Case("4.6.2", "resources of no known type", finds_nothing(Api.RESOURCE, {**_WHERE, "resource": {"type": "spaceship"}})),
    Case(
        "4.6.2",
        "actions on no known type",
        finds_nothing(Api.ACTION, {**_WHAT, "resource": {"type": "spaceship", "id": "record-1"}}),
    ),
    Case("4.7.1", "subject search, no action", refuses(Api.SUBJECT, without(_WHO, "action"))),
    Case("4.7.1", "resource search, no subject", refuses(Api.RESOURCE, without(_WHERE, "subject"))),
    Case("4.7.1", "action search, no resource", refuses(Api.ACTION, without(_WHAT, "resource"))),
    Case("4.7.2", "subject search, no resource.id", refuses(Api.SUBJECT, without(_WHO, "resource", "id"))),
    Case("4.7.2", "resource search, no subject.id", refuses(Api.RESOURCE, without(_WHERE, "subject", "id"))),
    Case("4.7.2", "action search, no subject.id", refuses(Api.ACTION, without(_WHAT, "subject", "id"))),
    Case("2.4.3", "another media type", refuses(Api.SUBJECT, _WHO, media_type="text/plain")),
    Case("2.4.5", "an empty body", refuses(Api.RESOURCE, b"")),
)  # fmt: skip

SEARCH_PROPERTIES = (
    Case("4.2.4", "who may write an archive", finds(Api.SUBJECT, asking({"type": "user"}, WRITE, ARCHIVED), "bob")),
    Case("4.3.4", "what an admin may write", finds(Api.RESOURCE, asking(ADMIN, WRITE, {"type": "record"}), "record-2")),
    Case(
        "4.4.3",
        "what an admin may do to an archive",
        finds(Api.ACTION, {"subject": ADMIN, "resource": ARCHIVED}, "write"),
    ),
)


# --- Discovery


def _metadata(pdp: Pdp) -> Mapping[str, Any]:
    reply = pdp.metadata()
    if reply.status != OK:
        raise Failed(
            f"{pdp.well_known} answered {reply.status}" + (", there is none" if reply.status == NOT_FOUND else "")
        )
    if reply.media_type != "application/json":
        raise Failed(f"the metadata are {reply.media_type or 'of no type'}, not application/json")
    told = reply.document()
    if not isinstance(told, dict):
        raise Failed("the metadata are no object")
    return told


def _names_itself(pdp: Pdp) -> None:
    named = _metadata(pdp).get("policy_decision_point")
    if named != pdp.url:
        raise Failed(f"`policy_decision_point` is {named!r}, and was asked for at {pdp.url!r}")


def _names_endpoints(pdp: Pdp) -> None:
    told = _metadata(pdp)
    if PARAMETERS[Api.EVALUATION] not in told:
        raise Failed(f"`{PARAMETERS[Api.EVALUATION]}` is missing")
    for parameter in PARAMETERS.values():
        if parameter in told and not _is_endpoint(told[parameter], pdp):
            raise Failed(f"`{parameter}` is no HTTPS URL")


def _is_endpoint(value: Any, pdp: Pdp) -> bool:
    parts = urlsplit(value) if isinstance(value, str) else None
    return (
        parts is not None
        and bool(parts.hostname)
        and parts.scheme in ({"https", "http"} if pdp.is_local else {"https"})
    )


def _lists_capabilities(pdp: Pdp) -> None:
    told = _metadata(pdp).get("capabilities", [])
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise Failed("`capabilities` is no array of strings")


def _signs(pdp: Pdp) -> None:
    """As far as one can tell without the issuer's keys: a compact JWS that names its issuer."""
    token = _metadata(pdp).get("signed_metadata")
    if token is None:
        return
    try:
        _, payload, signature = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    except (AttributeError, ValueError) as error:
        raise Failed("`signed_metadata` is no JWT") from error
    if not signature or not isinstance(claims, dict) or "iss" not in claims:
        raise Failed("`signed_metadata` is not signed or names no `iss`")


DISCOVERY = (
    Case("6.2", "there are metadata", lambda pdp: _metadata(pdp) and None),
    Case("6.3", "they are of this server", _names_itself),
    Case("6.5", "endpoints are HTTPS URLs", _names_endpoints),
    Case("6.5", "capabilities are strings", _lists_capabilities),
    Case("6.5", "signed metadata are signed", _signs),
)

BATCH = (Api.EVALUATIONS,)
SEARCH = (Api.SUBJECT, Api.RESOURCE, Api.ACTION)
LEVELS = (
    Level("Basic Core", BASIC_CORE),
    Level("Basic Properties", BASIC_PROPERTIES),
    Level("Batch Core", BATCH_CORE, needs=("Basic Core",), asks=BATCH),
    Level("Batch Properties", BATCH_PROPERTIES, needs=("Basic Properties",), asks=BATCH),
    Level("Search Core", SEARCH_CORE, asks=SEARCH),
    Level("Search Properties", SEARCH_PROPERTIES, needs=("Search Core",), asks=SEARCH),
    Level("Discovery", DISCOVERY),
)
