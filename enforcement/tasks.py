"""ARAP's request endpoints: submit a denial for approval, look at a task (or wait for it), cancel it."""

import asyncio
import math
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from approvals import bundles, handle, requests
from approvals.models import AccessRequest, Bundle, Status
from enforcement import authn, checks, http, outcomes, parse, pool, repeats, submitting, waiting
from enforcement.authn import Caller
from enforcement.http import Request, Response
from enforcement.moments import Moment
from enforcement.problems import Kind, Problem
from evidence import clock as database_clock
from evidence.ledger import Actor


async def submit(request: Request, caller: Caller) -> Response:
    """Open or join what a submission asks for. Raises Problem."""
    authn.check_speaks(caller.key)
    submission = parse.document(request.body)
    key = repeats.key_of(request.headers)

    def work(who: Caller, moment: Moment) -> dict[str, Any]:
        return repeats.once(who, key, submission, moment, lambda: submitting.submit(who, submission, moment))

    told = await outcomes.in_transaction(request, caller, work)
    headers = (("location", told["task"]["status_endpoint"]),)
    return http.json(told, status=submitting.status_of(told), headers=headers)


async def get(request: Request, caller: Caller, task_id: str) -> Response:
    """The task as it stands, or as it stands once it is decided or `wait` seconds are over. Raises Problem."""
    until = asyncio.get_running_loop().time() + _wait(request.query)
    looked = await pool.look(_look, caller, task_id)
    while looked.pending and (left := until - asyncio.get_running_loop().time()) > 0:
        await waiting.closed(looked.pending, seconds=left)
        caller = await authn.caller(request.headers)  # whoever lost the right to ask meanwhile is not answered
        looked = await pool.look(_look, caller, task_id)
    return http.json(looked.told)


async def cancel(request: Request, caller: Caller, task_id: str) -> Response:
    """Withdraw what is pending of a task; sent again under its key, the same success. Raises Problem."""
    authn.check_speaks(caller.key)
    key = repeats.key_of(request.headers)
    said = parse.document(request.body) if request.body.strip() else {}
    reason, comment = said.get("reason", ""), said.get("comment", "")
    if not isinstance(reason, str) or not isinstance(comment, str):
        raise Problem(Kind.MALFORMED, "`reason` and `comment` must be strings.")
    words = f"{reason}: {comment}" if reason and comment else reason or comment
    words = words[: checks.MAX_JUSTIFICATION]
    body = {"cancel": task_id, "said": words}

    def work(who: Caller, moment: Moment) -> dict[str, Any]:
        found = _visible(who, task_id)
        return repeats.once(who, key, body, moment, lambda: _cancel(who, found, words, moment))

    return http.json(await outcomes.in_transaction(request, caller, work))


# --- looking


class _Looked(NamedTuple):
    """What is told, and a request whose end is worth waiting for; empty if there is none."""

    told: dict[str, Any]
    pending: str


def _look(caller: Caller, task_id: str) -> _Looked:
    now = database_clock.now()
    found = _visible(caller, task_id)
    if isinstance(found, Bundle):
        if handle.bundle_is_over(found, now=now):
            raise _gone()
        waits = [one.pk for one in bundles.requests_of(found) if handle.status_of(one, now=now) == Status.PENDING]
        return _Looked(handle.bundle(found, brief=caller.key.brief, now=now), next(iter(waits), ""))
    if handle.is_over(found, now=now):
        raise _gone()
    told = handle.document(found, brief=caller.key.brief, now=now)
    return _Looked(told, found.pk if told["task"]["status"] == Status.PENDING else "")


def _visible(caller: Caller, task_id: str) -> AccessRequest | Bundle:
    """A task of this tenant whose subject the credential speaks for; anything else is as unknown as nothing."""
    tenant_id = caller.world.tenant_id
    found: AccessRequest | Bundle | None = bundles.find(task_id, tenant_id=tenant_id)
    found = found or AccessRequest.objects.filter(pk=task_id, tenant_id=tenant_id).first()
    if found is None or not authn.reaches(caller.key, found.subject["type"], found.subject["id"]):
        raise Problem(Kind.UNKNOWN_TASK, "No such task, or none of yours.")
    return found


def _gone() -> Problem:
    return Problem(Kind.TASK_EXPIRED, "This task ended long ago.")


def _wait(query: str) -> float:
    given = parse_qs(query).get("wait", ["0"])[-1]
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise Problem(Kind.MALFORMED, "`wait` must be a number of seconds.")
    return min(seconds, waiting.LONGEST)


# --- cancelling


def _cancel(caller: Caller, found: AccessRequest | Bundle, reason: str, moment: Moment) -> dict[str, Any]:
    actor = Actor(caller.key.kind, caller.key.key_id, {"method": caller.key.method})
    if isinstance(found, Bundle):
        try:
            bundles.cancel(found, actor=actor, reason=reason, now=moment.now)
        except bundles.NothingPending as error:
            raise Problem(Kind.INVALID_TASK_STATE, "Every item has ended.") from error
        return handle.bundle(found, brief=caller.key.brief, now=moment.now)
    try:
        closed = requests.cancel(
            found.pk, tenant_id=caller.world.tenant_id, actor=actor, reason=reason, now=moment.now
        )  # fmt: skip
    except requests.NotPending as error:
        raise Problem(Kind.INVALID_TASK_STATE, f"The task is {error.status}.") from error
    return handle.document(closed, brief=caller.key.brief, now=moment.now)
