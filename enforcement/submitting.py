"""A submission in, the task it leads to out: one request, or a bundle of several. Blocking, in its own transaction."""

from collections.abc import Mapping
from typing import Any

from approvals import bundles, callbacks, handle, requests
from approvals.models import AccessRequest, Bundle, Status
from countersign.policy.evaluate import evaluate
from countersign.policy.values import Mode, Outcome
from enforcement import asking, authn, binding, checks, parse, unsettled
from enforcement.asked import Asked
from enforcement.asking import Step
from enforcement.authn import Caller
from enforcement.clock import clock
from enforcement.moments import Moment
from enforcement.problems import Kind, Problem
from evidence import kept, keys

_ACTORS = {"ai_agent": "agent"}
"""How the profile names what AuthZEN calls otherwise; any other actor type is the subject's own."""

_MAX_LINKS = 16  # of a chain of actors


def submit(caller: Caller, submission: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """The task document. Raises Problem."""
    _check_client(caller, submission.get("client", {}))
    _check_wishes(submission)
    return _bundle(caller, submission, moment) if "items" in submission else _single(caller, submission, moment)


# --- one, or several


def _single(caller: Caller, submission: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    request = _opened(caller, submission, moment)
    return handle.document(request, brief=caller.key.brief, now=moment.now)


def _bundle(caller: Caller, submission: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """All or nothing: an item that cannot be asked for refuses the whole, and says which it is."""
    items = submission["items"]
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise Problem(Kind.MALFORMED, "`items` must be an array of objects, and not empty.")
    if len(items) > bundles.MAX_ITEMS:
        raise Problem(Kind.UNREPRESENTABLE, f"`items` has at most {bundles.MAX_ITEMS} members.")
    if "resource" in submission or "action" in submission:
        raise Problem(Kind.MALFORMED, "With `items`, `resource` and `action` belong into each item.")
    opened = [_opened_item(caller, submission, item, place, moment) for place, item in enumerate(items)]
    try:
        made = bundles.make(
            opened,
            tenant_id=caller.world.tenant_id,
            subject=opened[0].subject,
            credential_id=caller.key.id,
            now=moment.now,
        )
    except bundles.SameTwice as error:
        raise Problem(Kind.MALFORMED, f"`items[{error.place}]` is an action that was named before.") from error
    _wish(caller, made, submission)
    return handle.bundle(made, brief=caller.key.brief, now=moment.now)


def _opened_item(
    caller: Caller, submission: Mapping[str, Any], item: Mapping[str, Any], place: int, moment: Moment
) -> AccessRequest:
    """An item is a submission of its own: what it does not say is said by the whole."""
    _check_wishes(item)
    own = {name: item[name] for name in ("resource", "action", "denial") if name in item}
    try:
        return _opened(caller, {**submission, **own}, moment)
    except Problem as problem:
        raise problem.about(f"items[{place}]") from problem


def _opened(caller: Caller, submission: Mapping[str, Any], moment: Moment) -> AccessRequest:
    """Open or join the request for a recorded escalation."""
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
    _wish(caller, opened.request, submission)
    return opened.request


def _denied(caller: Caller, submission: Mapping[str, Any], moment: Moment) -> Step:
    """The recorded escalation that a submission names, judged again by what holds now. Raises Problem."""
    escalation, claims = binding.escalation(caller, submission.get("denial"), now=moment.now)
    sealed = asking.place_of(caller.world.tenant, escalation.evaluation_id)
    body = keys.unseal(bytes(escalation.question), bound_to=sealed)
    recorded = parse.document(body)
    binding.check(recorded, submission, claims)
    asked = parse.question(recorded, body, caller.world, kept=True)
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
    asked.origin = checks.origin(submission.get("context", {})) or asked.origin
    return Step(asked, caller.key, caller.world, escalation.evaluation_id, verdict, clock.offset)


# --- what is said beside


def _wish(caller: Caller, task: AccessRequest | Bundle, submission: Mapping[str, Any]) -> None:
    if "callback" not in submission:
        return
    try:
        callbacks.wish(task, submission["callback"], credential_id=caller.key.id)
    except callbacks.BadWish as error:
        raise Problem(Kind.MALFORMED, str(error)) from error


def _justification(submission: Mapping[str, Any], asked: Asked) -> str:
    context = submission.get("context", {})
    said = context.get("business_justification", context.get("justification", asked.justification))
    if not isinstance(said, str):
        raise Problem(Kind.MALFORMED, "`context.business_justification` must be a string.")
    if len(said) > checks.MAX_JUSTIFICATION:
        raise Problem(Kind.UNREPRESENTABLE, f"A justification has at most {checks.MAX_JUSTIFICATION} characters.")
    return said


def _check_wishes(submission: Mapping[str, Any]) -> None:
    """`requested_access` is a wish that changes nothing: how long an approval lasts is the policy's to say."""
    wishes = submission.get("requested_access", {})
    if not isinstance(wishes, dict):
        raise Problem(Kind.MALFORMED, "`requested_access` must be an object.")
    until, emergency = wishes.get("requested_until", ""), wishes.get("emergency", False)
    if not isinstance(until, str) or not isinstance(emergency, bool):
        raise Problem(Kind.MALFORMED, "`requested_until` must be a string, `emergency` true or false.")


def _check_client(caller: Caller, client: object) -> None:
    """Whom a submission claims to act for must be those its credential speaks for, to the last link.

    Profile, delegation. Names and sources are not believed, so they are not looked at.
    """
    if not isinstance(client, dict):
        raise Problem(Kind.MALFORMED, "`client` must be an object.")
    if "actor" not in client:
        return
    link: Any = client["actor"]
    issuer, name = "issuer", "id"
    for _ in range(_MAX_LINKS):
        if not isinstance(link, dict) or not isinstance(link.get(name), str):
            raise Problem(Kind.MALFORMED, f"Each actor of `client.actor` is an object with `{name}`.")
        kind = link.get("type", link.get("sub_profile", "ai_agent"))
        if issuer in link or not isinstance(kind, str):  # what another issuer says cannot be checked here
            raise Problem(Kind.FORBIDDEN, "An actor of another issuer, or of no known type, cannot be verified.")
        if not authn.reaches(caller.key, _ACTORS.get(kind, kind), link[name]):
            raise Problem(Kind.FORBIDDEN, "This credential does not speak for the actors in `client.actor`.")
        if "act" not in link:
            return
        link, issuer, name = link["act"], "iss", "sub"
    raise Problem(Kind.FORBIDDEN, f"A chain of more than {_MAX_LINKS} actors is not followed.")


def status_of(told: Mapping[str, Any]) -> int:
    """202 while people are asked, 201 once nothing is left to wait for."""
    return 202 if told["task"]["status"] == Status.PENDING else 201
