"""`POST /access/v1/search/{subject,resource,action}`: a call with one part left open in; a page of the names that would
be allowed there, recorded, out.

A name is found if evaluating it in this moment would answer `"decision": true`: it is judged by the very steps of
`decide`, short of what they leave behind. Nothing is charged, used up, opened or kept but one record of the search.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from approvals.waivers import using
from countersign import ids
from countersign.policy import search
from countersign.policy.index import Part
from countersign.policy.search import OPEN
from countersign.policy.values import Call, Mode, Requirement, Verdict
from countersign.policy.waivers import Lifted
from countersign.proof import canonical, digests
from countersign.proof.events import Event
from enforcement import (
    authn,
    budgets,
    caps,
    chance,
    closing,
    decide,
    http,
    moments,
    obliging,
    paging,
    parse,
    principals,
    telling,
)
from enforcement.asked import Asked
from enforcement.authn import Caller
from enforcement.budgets import Claim, Demand
from enforcement.clock import at, clock
from enforcement.group import Stale
from enforcement.http import Request, Response
from enforcement.moments import Moment
from enforcement.paging import Page
from enforcement.pool import Pool
from enforcement.principals import Unproven
from enforcement.problems import unavailable
from evidence import ledger
from evidence.journal import timestamp
from evidence.ledger import Actor

PATH: Final = "/access/v1/search/"
PARTS: Final = {PATH + part: part for part in Part}
SECONDS: Final = 0.1  # of this thread's own time; what is found by then is the page, and its token leads on
_THREADS, _WAITING = 2, 64

_pool = Pool(threads=_THREADS, waiting=_WAITING)
"""Searches wait for each other, not evaluations for them: two of them at most take turns with the event loop."""


class Query(NamedTuple):
    """A call with an open part, and which page of its names is wanted."""

    part: Part
    asked: Asked
    page: Page
    bound_to: str


class Found(NamedTuple):
    """A name that is allowed if its caps, and its waiver if it needs one, have something left."""

    name: str
    asked: Asked
    verdict: Verdict
    lifted: Lifted | None
    demands: tuple[Demand, ...]


class Scan(NamedTuple):
    """What one page's work came to. `reached` is what the next page lies beyond; None: there is none."""

    found: list[Found]
    reached: str | None


async def post(request: Request, part: Part) -> Response:
    """One page. Raises Problem."""
    for _ in range(decide.ROUNDS):
        caller = await authn.caller(request.headers)
        try:
            return http.json_bytes(await _pool.run(answer, caller, part, request.body))
        except Unproven as unproven:
            await principals.prove(unproven, caller.world)
        except Stale as stale:
            await decide.renew(stale)
    raise unavailable("The policy changes faster than this search can be made.")


def answer(caller: Caller, part: Part, body: bytes) -> bytes:
    """The page, once it is recorded. Blocking. Raises Problem, Stale."""
    authn.check_speaks(caller.key)
    query = _query(caller, part, body)
    call = query.asked.call
    if part is not Part.SUBJECT:
        authn.check_reach(caller.key, call.subject_type, call.subject_id)
    offset, until = clock.offset, time.thread_time() + SECONDS
    scan = scanned(query, caller, now=at(offset), late=lambda: time.thread_time() >= until)
    return moments.of(caller.world, lambda moment: _told(query, caller, scan, moment), judged_by=offset)


# --- the question


def _query(caller: Caller, part: Part, body: bytes) -> Query:
    """Read as an evaluation is, with something in the open part's place: whatever stands there is ignored."""
    members = parse.document(body)
    page = paging.member(members)
    asked = parse.question(_filled(members, part), body, caller.world)
    bound_to = _bound_to(caller, part, asked.call, page)
    # An approval is for one call, and a search uses none: what only people allowed is not found.
    return Query(part, replace(asked, approval=None), paging.begun(page, bound_to=bound_to), bound_to)


def _filled(members: Mapping[str, Any], part: Part) -> dict[str, Any]:
    if part is Part.ACTION:
        return {**members, "action": {"name": OPEN}}
    given = members.get(part.value)
    return {**members, part.value: {**given, "id": OPEN}} if isinstance(given, dict) else dict(members)


def _bound_to(caller: Caller, part: Part, call: Call, page: Mapping[str, Any]) -> str:
    """Where a token of this query opens: all that must stay the same from page to page."""
    query = {
        "subject": [call.subject_type, call.subject_id, call.subject_properties],
        "action": [call.action_name, call.action_properties],
        "resource": [call.resource_type, call.resource_id, call.resource_properties],
        "context": call.context,
        "properties": page.get("properties", {}),
    }
    digest = digests.sha256(canonical.dumps(query))
    return f"search/{part}/{caller.world.tenant}/{caller.key.key_id}/{digest}"


# --- judging


def scanned(query: Query, caller: Caller, *, now: datetime, late: Callable[[], bool]) -> Scan:
    """Names in order until the page is full and one more is known, or it is late. Each page gets on by one at least."""
    world, after = caller.world, query.page.after
    reaches = authn.reached(caller.key, query.asked.call.subject_type) if query.part is Part.SUBJECT else None
    found: list[Found] = []
    seen = after
    for name, likely in search.names(world.bundle, world.waivers, query.part, query.asked.call, after=after):
        if seen != after and late():
            return Scan(found, seen)
        one = _judged(query, caller, name, now=now) if likely and (reaches is None or reaches(name)) else None
        if one is not None:
            if len(found) == query.page.limit:
                return Scan(found, found[-1].name if found else after)
            found.append(one)
        seen = name
    return Scan(found, None)


def _judged(query: Query, caller: Caller, name: str, *, now: datetime) -> Found | None:
    """The name, unless policy, registry or a cap of one call refuse it."""
    asked = replace(query.asked, call=_called(query, caller, name))
    verdict, lifted = decide.verdict_on(asked, caller.world, now=now)
    if lifted is None and not telling.of_verdict(verdict).permitted:
        return None
    if lifted is None and verdict.mode is Mode.OBSERVE:  # caps are counted then, not enforced
        return Found(name, asked, verdict, None, ())
    asks = decide.asks_of(caller.world, asked)
    return None if asks.refusal else Found(name, asked, verdict, lifted, asks.demands)


def _called(query: Query, caller: Caller, name: str) -> Call:
    """The call with that name in it. Its digest is worked out only where some run of such an action is unsettled."""
    call = search.filled(query.asked.call, query.part, name)
    if not caller.world.unsettled.actions:
        return call
    action = closing.closed(call, caller.world)
    return replace(call, action=action, action_digest=digests.action_digest(action))


def _still_allowed(query: Query, caller: Caller, found: list[Found], moment: Moment) -> list[str]:
    """Those whose caps and waivers have something left, each asked as if it were the only one."""
    used = caps.used(moment.cursor, budgets.places(Claim(one.demands) for one in found), moment.now)
    principal = query.asked.call.principal

    @cache
    def serves(waiver_id: str, version: int, wanted: tuple[Requirement, ...]) -> bool:
        return using.serves(
            waiver_id,
            tenant_id=caller.world.tenant_id,
            version=version,
            wanted=wanted,
            principal=principal.id if principal else None,
            now=moment.now,
        )

    def is_served(one: Found) -> bool:
        tried: set[str] = set()
        lifted = one.lifted
        while lifted is not None:
            if serves(lifted.waiver.id, lifted.waiver.version, one.verdict.requirements):
                return True
            tried.add(lifted.waiver.id)
            lifted, _ = obliging.next_waiver(caller.world, one.asked, one.verdict, now=moment.now, tried=tried)
        return False

    return [
        one.name
        for one in found
        if budgets.over(one.demands, used) is None and (one.lifted is None or is_served(one))
    ]  # fmt: skip


# --- the answer


def _told(query: Query, caller: Caller, scan: Scan, moment: Moment) -> bytes:
    results = [_entity(query, name) for name in _still_allowed(query, caller, scan.found, moment)]
    search_id = ids.of("sea", chance.salt()[:16])
    page: dict[str, Any] = {"next_token": "", "count": len(results)}
    if scan.reached is not None:
        page["next_token"] = paging.token(Page(query.page.limit, scan.reached), bound_to=query.bound_to)
    elif not query.page.after:  # this page is everything: nobody had to look further to know how much there is
        page["total"] = len(results)
    context = {
        "search_id": search_id,
        "evaluated_at": timestamp(moment.now),
        "policy": caller.world.policy,
        "registry": caller.world.registry,
    }
    _record(query, caller, results, search_id, more=scan.reached is not None, now=moment.now)
    # `page` first, as the standard recommends, for those who read along.
    parts = (canonical.dumps(page), canonical.dumps(context), canonical.dumps(results))
    return b'{"page":%b,"context":%b,"results":%b}' % parts


def _entity(query: Query, name: str) -> dict[str, str]:
    call = query.asked.call
    match query.part:
        case Part.SUBJECT:
            return {"type": call.subject_type, "id": name}
        case Part.RESOURCE:
            return {"type": call.resource_type, "id": name}
        case Part.ACTION:
            return {"name": name}


def _record(
    query: Query, caller: Caller, results: list[dict[str, str]], search_id: str, *, more: bool, now: datetime
) -> None:
    """Who searched for what, and how much was found; the names by their digest, the arguments not at all."""
    call = query.asked.call
    ledger.append(
        Event.SEARCH_MADE,
        tenant=caller.world.tenant,
        thread=search_id,
        actor=Actor(**telling.actor(caller.key)),
        now=now,
        event_id=search_id,
        session=call.session or "",
        transaction=call.transaction or "",
        detail={
            "searched": query.part.value,
            "about": _about(query.part, call),
            "arguments": bool(call.arguments),
            "continued": bool(query.page.after),
            "found": len(results),
            "more": more,
            "results": digests.sha256(canonical.dumps(results)),
            "policy": caller.world.policy,
            "registry": caller.world.registry,
        },
    )


def _about(part: Part, call: Call) -> dict[str, Any]:
    """The call's names, but for the one that was searched for."""
    named: dict[str, Any] = {
        "subject": {"type": call.subject_type, "id": call.subject_id},
        "resource": {"type": call.resource_type, "id": call.resource_id},
        "action": {"name": call.action_name},
    }
    if part is Part.ACTION:
        del named["action"]
    else:
        del named[part.value]["id"]
    return named
