"""The decisions of the last minutes in; an alert out for each agent that feels out where a threshold lies.

Read from the evidence after the fact, so that no decision waits for it. A call refused for what is in it says a little
about the limit; the same call again and again with one number changed finds it. A search with arguments says as much,
found or not, and nobody keeps what they were.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Max

from countersign.policy.values import Reason
from countersign.proof import canonical
from countersign.proof.events import Event
from evidence import alerts, kept, keys
from evidence.ledger import Actor
from evidence.models import Record

PROBED = "threshold.probed"
EVERY = timedelta(minutes=1)
WINDOW = timedelta(minutes=10)
QUIET = timedelta(hours=1)  # one alert about one agent and tool, not one a minute
CHANGED = 5
"""So many refusals that differ in one number alone. Nobody in good faith asks a fifth time for a little less."""

REFUSED = 20
"""So many refusals within one session and transaction, where it is not kept what they were about."""

SCATTERED = 3 * REFUSED
"""So many by one limit in whatever sessions and transactions, if no more than that was permitted there: who changes
those with each call is not spared, and who works and meets a limit now and then is.
"""

LOOKED_THROUGH = 200_000  # newest journal rows; at more than 300 decisions a second the window gets shorter
_AT_MOST = 2_000  # refusals judged in one round
_ANY = "*"  # in the place of what was searched for
_NUMBERS = 10  # of one call; the rest are not looked at
_CHUNK = 500
_SYSTEM = Actor(type="system", id="enforcement")

# Refusals that depend on values in the call, and so say something about a limit.
_BY_VALUE = frozenset(
    {Reason.RULE, Reason.ARGUMENT_RULE, Reason.SPEND_CAP, Reason.TOKEN_CAP, Reason.RISK_BLOCK, Reason.RISK_REVIEW,
     Reason.APPROVAL_REQUIRED}
)  # fmt: skip

_RECORDS = (
    'SELECT session, "transaction", body FROM evidence_record'
    " WHERE id > %s AND event = %s AND recorded_at >= %s AND {found} > 0 ORDER BY id DESC LIMIT %s"
)
_PERMITTED_OF = (
    "SELECT count(*) FROM evidence_record WHERE id > %s AND log = %s AND event = %s AND recorded_at >= %s AND "
)
_FOUND = {"postgresql": "position(%s::bytea in body)", "sqlite": "instr(body, %s)"}
_NOT_PERMITTED = b'"permitted":false'  # how every record of a refusal has it; a text within one would carry backslashes
_PERMITTED = b'"permitted":true'
_WITH_ARGUMENTS = b'"arguments":true'  # the same of a search that gave some
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:[.,]\d{1,30})?").fullmatch


class Place(NamedTuple):
    """Who feels out what."""

    log: str
    credential: str
    subject: str
    resource: str
    method: str


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused call as its record has it."""

    place: Place
    commitment: str
    case: tuple[str, str]
    limit: tuple[str, str]  # reason and rule
    arguments: Mapping[str, Any] | None = None


def look(now: datetime) -> int:
    """Fire for everybody who probes. How many alerts that were."""
    refusals = [*_with_arguments(_refused(now)), *_searched(now)]
    suspects, fired = probing(refusals), 0
    for place, times in sorted((scattered(refusals) | suspects).items()):
        if _is_news(place, now) and (place in suspects or _permitted(place, now) <= times):
            _fire(place, times, now=now)
            fired += 1
    return fired


def probing(refusals: Iterable[Refused]) -> dict[Place, int]:
    """Who asked the same with one number changed, or too often altogether, and how often. Pure."""
    changed: dict[tuple[Place, bytes], set[str]] = defaultdict(set)
    blind: Counter[tuple[Place, tuple[str, str]]] = Counter()
    for one in refusals:
        if one.arguments is None:
            blind[one.place, one.case] += 1
            continue
        for rest, number in _variants(one.arguments):
            changed[one.place, rest].add(number)
    suspects: dict[Place, int] = {}
    for (place, _), numbers in changed.items():
        if len(numbers) >= CHANGED:
            suspects[place] = max(suspects.get(place, 0), len(numbers))
    for (place, _), times in blind.items():
        if times >= REFUSED:
            suspects[place] = max(suspects.get(place, 0), times)
    return suspects


def scattered(refusals: Iterable[Refused]) -> dict[Place, int]:
    """Who met one limit that often, whatever the case, where it is not kept what each was about. Pure."""
    met = Counter((one.place, one.limit) for one in refusals if one.arguments is None)
    suspects: dict[Place, int] = {}
    for (place, _), times in met.items():
        if times >= SCATTERED:
            suspects[place] = max(suspects.get(place, 0), times)
    return suspects


# --- reading


def _refused(now: datetime) -> list[Refused]:
    """Refusals that say something about a limit, newest first."""
    read = _records(Event.DECISION_MADE, _NOT_PERMITTED, now)
    return [_read(one, case) for one, case in read if one["predicate"]["decision"]["reason"] in _BY_VALUE]


def _searched(now: datetime) -> Iterator[Refused]:
    """Searches that say something about a limit: those with arguments, as calls that nobody kept."""
    for statement, case in _records(Event.SEARCH_MADE, _WITH_ARGUMENTS, now):
        said = statement["predicate"]
        if said["detail"]["continued"]:
            continue  # the same question's next page
        about = said["detail"]["about"]
        subject, resource = (_entity(about[name], own) for name, own in (("subject", "agent"), ("resource", "tool")))
        method = about["action"]["name"] if "action" in about else _ANY
        yield Refused(Place(said["log"], said["actor"]["id"], subject, resource, method), "", case, ("", ""))


def _entity(named: Mapping[str, Any], own: str) -> str:
    name = str(named.get("id", _ANY))
    return name if named["type"] == own else f"{named['type']}:{name}"


def _records(event: Event, having: bytes, now: datetime) -> list[tuple[dict[str, Any], tuple[str, str]]]:
    """The statements of one event with those bytes in them, each with its session and transaction, newest first.
    Bounded, whatever the traffic.
    """
    with connection.cursor() as cursor:
        sql = _RECORDS.format(found=_FOUND[connection.vendor])
        cursor.execute(sql, [_oldest(), event.value, _since(now), having, _AT_MOST])
        rows = cursor.fetchall()
    return [(canonical.loads_object(bytes(body)), (session, case)) for session, case, body in rows]


def _oldest() -> int:
    top: int = Record.objects.aggregate(top=Max("id"))["top"] or 0
    return top - LOOKED_THROUGH


def _since(now: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(now - WINDOW)


def _permitted(place: Place, now: datetime) -> int:
    """How many calls of the same kind were permitted in that time. None of a search: it tells of either."""
    having = [_PERMITTED, *_members(place)]
    found = " AND ".join([f"{_FOUND[connection.vendor]} > 0"] * len(having))
    with connection.cursor() as cursor:
        cursor.execute(_PERMITTED_OF + found, [_oldest(), place.log, Event.DECISION_MADE.value, _since(now), *having])
        return int(cursor.fetchone()[0])


def _members(place: Place) -> Iterator[bytes]:
    """What stands in the record of each call of that place; within another text its quotes would carry backslashes."""
    yield b'"id":' + canonical.dumps(place.credential)
    yield b'"method":' + canonical.dumps(place.method)
    for name, own in ((place.subject, b'"agent":'), (place.resource, b'"tool":')):
        kind, colon, identifier = name.partition(":")
        yield canonical.dumps({"type": kind, "id": identifier}) if colon else own + canonical.dumps(name)


def _read(statement: Mapping[str, Any], case: tuple[str, str]) -> Refused:
    said = statement["predicate"]
    action = said["action"]
    place = Place(
        said["log"], said["actor"]["id"], _named(action, "agent", "subject"), _named(action, "tool", "resource"),
        str(action["method"]),
    )  # fmt: skip
    first = said["decision"]["reasons"][0]
    commitment = "sha256:" + statement["subject"][0]["digest"]["sha256"]
    return Refused(place, commitment, case, (said["decision"]["reason"], first.get("rule", "")))


def _named(action: Mapping[str, Any], registered: str, other: str) -> str:
    if registered in action:
        return str(action[registered])
    return f"{action[other]['type']}:{action[other]['id']}"


def _with_arguments(refusals: Sequence[Refused]) -> Iterator[Refused]:
    """With what is kept of each: of every escalation, of denials only where the tenant keeps them."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for log in {one.place.log for one in refusals}:
        wanted = sorted({one.commitment for one in refusals if one.place.log == log})
        for at in range(0, len(wanted), _CHUNK):
            found |= {(log, name): box.arguments for name, box in _kept(log, wanted[at : at + _CHUNK]).items()}
    for one in refusals:
        yield replace(one, arguments=found.get((one.place.log, one.commitment)))


def _kept(log: str, commitments: Sequence[str]) -> Mapping[str, kept.Kept]:
    try:
        return kept.read_many(log, commitments)
    except keys.CannotUnseal:  # a row changed by hand: the audit tells; here the others must still be looked at
        return {}


# --- telling


def _variants(arguments: Mapping[str, Any]) -> Iterator[tuple[bytes, str]]:
    """For each number in a call: all the rest of it, as a digest, and the number."""
    for path, number in list(_numbers(arguments, ()))[:_NUMBERS]:
        yield sha256(canonical.dumps(_without(arguments, path))).digest(), number


def _numbers(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Numbers and texts that are one, such as money."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _numbers(child, (*path, name))
    elif isinstance(value, list):
        for n, child in enumerate(value):
            yield from _numbers(child, (*path, n))
    elif (isinstance(value, int | float) and not isinstance(value, bool)) or (
        isinstance(value, str) and _NUMBER(value)
    ):
        yield path, str(value)


def _without(value: Any, path: tuple[str | int, ...]) -> Any:
    """The same with what is at `path` left open."""
    if not path:
        return None
    step, *rest = path
    if isinstance(value, Mapping):
        return {**value, str(step): _without(value[str(step)], tuple(rest))}
    return [_without(child, tuple(rest)) if n == step else child for n, child in enumerate(value)]


def _is_news(place: Place, now: datetime) -> bool:
    """The same agent at the same tool is told of once an hour."""
    lately = alerts.latest(place.log, since=now - QUIET)
    return not any(told.name == PROBED and _about(place).items() <= dict(told.detail).items() for told in lately)


def _about(place: Place) -> dict[str, str]:
    return {"credential": place.credential, "agent": place.subject, "tool": place.resource, "method": place.method}


def _fire(place: Place, refusals: int, *, now: datetime) -> None:
    detail = {**_about(place), "refusals": refusals, "window_seconds": int(WINDOW.total_seconds())}
    with transaction.atomic():
        alerts.fire(PROBED, tenant=place.log, actor=_SYSTEM, now=now, detail=detail)
