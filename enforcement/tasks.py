"""ARAP's request endpoints: submit a denial for approval, look at a task (or wait for it), cancel it."""

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from approvals import callbacks, handle, requests
from approvals.models import AccessRequest, Status
from countersign.policy.evaluate import evaluate
from countersign.policy.values import Mode, Outcome
from countersign.proof import canonical, digests
from enforcement import asking, authn, decide, http, moments, outcomes, parse, pool, unsettled, waiting
from enforcement.asking import Step
from enforcement.authn import Caller
from enforcement.clock import clock
from enforcement.group import Stale
from enforcement.http import Request, Response
from enforcement.models import Escalation, Submission
from enforcement.moments import Moment
from enforcement.parse import Asked
from enforcement.problems import Kind, Problem, unavailable
from evidence import kept, keys, ledger
from evidence.ledger import Actor

MAX_KEY = 200
# Members of the context that are about the asking, not about what is asked (profile, terminology).
_MACHINERY = frozenset(
    {"access_request", "evaluation_id", "evaluated_at", "reason", "business_justification", "justification", "attempt",
     "approval", "open_request", "supported_obligations", "origin"}
)  # fmt: skip
_BINDING = frozenset({"arguments", "intent", "principal", "session", "transaction", "usage", "environment"})


async def submit(request: Request, caller: Caller) -> Response:
    """Open or join the request for a recorded escalation. Raises Problem."""
    authn.check_speaks(caller.key)
    submission = parse.document(request.body)
    key = request.headers.get("idempotency-key", "")
    if len(key) > MAX_KEY:
        raise Problem(Kind.UNREPRESENTABLE, f"`Idempotency-Key` must have at most {MAX_KEY} characters.")
    for _ in range(decide.ROUNDS):
        try:
            told = await pool.run(_submit_in_transaction, caller, submission, key)
            break
        except Stale as stale:
            await decide.renew(stale)
            caller = await authn.caller(request.headers)
    else:
        raise unavailable("The policy changes faster than this request can be judged.")
    headers = (("location", told["task"]["status_endpoint"]),)
    return http.json(told, status=202 if told["task"]["status"] == Status.PENDING else 201, headers=headers)


async def get(request: Request, caller: Caller, request_id: str) -> Response:
    """The task as it stands, or as it stands once it is decided or `wait` seconds are over. Raises Problem."""
    seconds = _wait(request.query)
    told = await pool.look(_told, caller, request_id)
    if seconds and told["task"]["status"] == Status.PENDING:
        await waiting.closed(request_id, seconds=seconds)
        caller = await authn.caller(request.headers)  # whoever lost the right to ask meanwhile is not answered
        told = await pool.look(_told, caller, request_id)
    return http.json(told)


async def cancel(request: Request, caller: Caller, request_id: str) -> Response:
    """Withdraw a pending request. Raises Problem."""
    authn.check_speaks(caller.key)
    said = parse.document(request.body) if request.body.strip() else {}
    reason, comment = said.get("reason", ""), said.get("comment", "")
    if not isinstance(reason, str) or not isinstance(comment, str):
        raise Problem(Kind.MALFORMED, "`reason` and `comment` must be strings.")
    words = f"{reason}: {comment}" if reason and comment else reason or comment
    words = words[: parse.MAX_JUSTIFICATION]
    told = await outcomes.in_transaction(
        request, caller, lambda who, moment: _cancel(who, request_id, words, moment)
    )  # fmt: skip
    return http.json(told)


# --- submitting


def _submit_in_transaction(caller: Caller, submission: Mapping[str, Any], key: str) -> dict[str, Any]:
    return moments.of(caller.world, lambda moment: _submit(caller, submission, key, moment))


def _submit(caller: Caller, submission: Mapping[str, Any], key: str, moment: Moment) -> dict[str, Any]:
    body_digest = digests.sha256(canonical.dumps(submission))
    if key and (known := Submission.objects.filter(credential_id=caller.key.id, key=key).first()):
        if known.body_digest != body_digest:
            raise Problem(Kind.DUPLICATE_REQUEST, "The Idempotency-Key was used with another body.")
        return _tell(AccessRequest.objects.get(pk=known.request_id), caller)
    step = _denied(caller, submission, moment)
    try:
        opened = requests.open_or_join(
            asking.ask_of(step, justification=_justification(submission, step.asked)),
            max_open=caller.world.snapshot.max_open_requests,
            now=moment.now,
        )
    except requests.TooManyOpen as error:
        words = f"This agent already waits for {error.limit} approvals; cancel one or wait."
        raise Problem(Kind.TOO_MANY, words, retry_after=30) from error
    if "callback" in submission:
        try:
            callbacks.wish(opened.request, submission["callback"], credential_id=caller.key.id)
        except callbacks.BadWish as error:
            raise Problem(Kind.MALFORMED, str(error)) from error
    if key:
        Submission.objects.create(
            credential_id=caller.key.id,
            key=key,
            body_digest=body_digest,
            request_id=opened.request.pk,
            made_at=moment.now,
        )
    return _tell(opened.request, caller)


def _denied(caller: Caller, submission: Mapping[str, Any], moment: Moment) -> Step:
    """The recorded escalation that a submission names, judged again by what holds now. Raises Problem."""
    if "items" in submission:
        raise Problem(Kind.MALFORMED, "Several items in one request are not supported; submit one request for each.")
    escalation = _escalation(caller, submission)
    if moment.now >= escalation.expires_at:
        raise Problem(Kind.EXPIRED_DENIAL, "Evaluate the call again and submit the new denial.")
    sealed = asking.place_of(caller.world.tenant, escalation.evaluation_id)
    body = keys.unseal(bytes(escalation.question), bound_to=sealed)
    recorded = parse.document(body)
    _check_bound(recorded, submission)
    asked = parse.question(recorded, body, caller.world)
    authn.check_reach(caller.key, asked.call.subject_type, asked.call.subject_id)
    if asked.call.action_digest != escalation.action_digest:
        raise Problem(Kind.INVALID_DENIAL_BINDING, "What is registered for this tool has changed; evaluate again.")
    verdict = unsettled.judged(caller.world, asked.call, evaluate(caller.world.bundle, asked.call, now=moment.now))
    if verdict.outcome is not Outcome.ESCALATE or verdict.mode is Mode.OBSERVE:
        raise Problem(Kind.NOT_REQUESTABLE, f"Policy now says {verdict.outcome}; evaluate again.")
    found = kept.read(caller.world.tenant, escalation.commitment)
    if found is None:
        raise Problem(Kind.EXPIRED_DENIAL, "The arguments of this denial have been erased; evaluate again.")
    asked.salt, asked.commitment = found.salt, escalation.commitment
    asked.origin = parse.origin(submission.get("context", {})) or asked.origin
    return Step(asked, caller.key, caller.world, escalation.evaluation_id, verdict, clock.offset)


def _escalation(caller: Caller, submission: Mapping[str, Any]) -> Escalation:
    denial = submission.get("denial")
    evaluation_id = denial.get("evaluation_id") if isinstance(denial, dict) else None
    if not isinstance(evaluation_id, str):
        raise Problem(Kind.INVALID_DENIAL_BINDING, "`denial.evaluation_id` must name the evaluation that was denied.")
    found = Escalation.objects.filter(pk=evaluation_id, tenant_id=caller.world.tenant_id).first()
    if found is not None:
        return found
    if ledger.find(caller.world.tenant, evaluation_id) is not None:
        raise Problem(Kind.NOT_REQUESTABLE, "That evaluation did not offer an access request.")
    raise Problem(Kind.INVALID_DENIAL_BINDING, "No such evaluation.")


def _check_bound(recorded: Mapping[str, Any], submission: Mapping[str, Any]) -> None:
    """Subject, resource and action as they were; of the context what is given as it was, what is left out as well."""
    for name in ("subject", "resource", "action"):
        if name not in submission or not _same(submission[name], recorded[name]):
            raise Problem(Kind.INVALID_DENIAL_BINDING, f"`{name}` is not that of the denied evaluation.")
    context = submission.get("context", {})
    if not isinstance(context, dict):
        raise Problem(Kind.MALFORMED, "`context` must be an object.")
    was = recorded.get("context", {})
    for name in context.keys() - _MACHINERY:
        if not _same(context[name], was[name]) if name in was else name in _BINDING:
            raise Problem(Kind.INVALID_DENIAL_BINDING, f"`context.{name}` is not that of the denied evaluation.")


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return canonical.dumps(one) == canonical.dumps(other)


def _justification(submission: Mapping[str, Any], asked: Asked) -> str:
    context = submission.get("context", {})
    said = context.get("business_justification", context.get("justification", asked.justification))
    if not isinstance(said, str):
        raise Problem(Kind.MALFORMED, "`context.business_justification` must be a string.")
    if len(said) > parse.MAX_JUSTIFICATION:
        raise Problem(Kind.UNREPRESENTABLE, f"A justification has at most {parse.MAX_JUSTIFICATION} characters.")
    return said


# --- looking and cancelling


def _told(caller: Caller, request_id: str) -> dict[str, Any]:
    return _tell(_visible(caller, request_id), caller)


def _tell(request: AccessRequest, caller: Caller) -> dict[str, Any]:
    return handle.document(request, base_url=settings.COUNTERSIGN.base_url, brief=caller.key.brief)


def _visible(caller: Caller, request_id: str) -> AccessRequest:
    """A task of this tenant whose subject the credential speaks for; anything else is as unknown as nothing."""
    found = AccessRequest.objects.filter(pk=request_id, tenant_id=caller.world.tenant_id).first()
    if found is None or not authn.reaches(caller.key, found.subject["type"], found.subject["id"]):
        raise Problem(Kind.UNKNOWN_TASK, "No such task, or none of yours.")
    return found


def _cancel(caller: Caller, request_id: str, reason: str, moment: Moment) -> dict[str, Any]:
    request = _visible(caller, request_id)
    actor = Actor(caller.key.kind, caller.key.key_id, {"method": "bearer"})
    try:
        closed = requests.cancel(
            request.pk, tenant_id=caller.world.tenant_id, actor=actor, reason=reason, now=moment.now
        )  # fmt: skip
    except requests.NotPending as error:
        raise Problem(Kind.INVALID_TASK_STATE, f"The task is {error.status}.") from error
    return _tell(closed, caller)


def _wait(query: str) -> float:
    given = parse_qs(query).get("wait", ["0"])[-1]
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise Problem(Kind.MALFORMED, "`wait` must be a number of seconds.")
    return min(seconds, waiting.LONGEST)
