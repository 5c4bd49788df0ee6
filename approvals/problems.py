"""Why a vote or a step-up was refused in, status and words out: one table for the pages and for the people's API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpResponse
from rest_framework.response import Response

from approvals import intents, repeating, totp, votes
from approvals.waivers import ending, exporting, moving
from evidence import clock

URN = "urn:countersign:problem:"
_UNAUTHENTICATED = 401

V = TypeVar("V", bound=Callable[..., HttpResponse])


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status, a name that programs can match, and what happened and what to do."""

    status: int
    name: str
    words: str


# The first that fits, so the narrower errors stand above the wider.
_TABLE: Mapping[type[Exception], tuple[int, str, str]] = {
    totp.Barred: (
        401,
        "authenticator-disabled",
        "Your authenticator was disabled after too many wrong codes. An operator has to give you another.",
    ),
    totp.NoDevice: (
        401,
        "no-authenticator",
        "You have no authenticator yet. Set one up under your name, then come back.",
    ),
    totp.NotYetUsable: (
        401,
        "authenticator-too-new",
        "Your authenticator is new, and a new one waits. It counts from {at} UTC.",
    ),
    totp.Locked: (429, "locked", "Too many wrong codes. Use a new one after {at} UTC."),
    totp.CodeUsed: (401, "code-used", "That code was used already. Wait for the next one, at most 30 seconds."),
    totp.NotPassed: (401, "wrong-code", "That code is wrong. Use the one your authenticator shows right now."),
    votes.UnknownRequest: (404, "unknown-request", "There is no such request in your tenant."),
    votes.NotPending: (409, "not-pending", "This request is decided or closed already."),
    votes.SelfApproval: (
        403,
        "self-approval",
        "You asked for this, it is for you, or the agent is yours: others decide.",
    ),
    votes.NotEligible: (403, "not-eligible", "Only members of the teams that are asked can vote."),
    votes.SeenOther: (409, "seen-other", "This is not the request as it stands now. Read it again, then decide."),
    votes.AlreadyVoted: (409, "already-voted", "You voted on this already, and a vote stands."),
    votes.TooLate: (
        410,
        "too-late",
        "You pressed this more than five minutes ago, so it was not counted. Look again, then press again.",
    ),
    votes.TooFast: (
        429,
        "too-fast",
        "You approved as many requests in one minute as anybody reads. Read this one, and approve it after {at} UTC.",
    ),
    votes.StepUpNeeded: (401, "step-up-needed", "This vote needs a fresh code from your authenticator."),
    intents.IntentOver: (
        410,
        "confirmation-over",
        "This confirmation was used, ran out, or had three wrong numbers. Press the button again where you came from.",
    ),
    intents.WrongNumber: (
        401,
        "wrong-number",
        "That is not the number shown where you came from. If you pressed no button there, close this page.",
    ),
    moving.UnknownWaiver: (404, "unknown-waiver", "There is no such waiver in your tenant, or no such control of it."),
    moving.NotNow: (409, "not-now", "The waiver is not in a state in which this can be done. Read it again."),
    ending.NotYours: (
        403,
        "not-yours",
        "Who asked, the owner, approvers and administrators end a waiver; only the person named confirms a control.",
    ),
    ending.NotShorter: (
        409,
        "not-shorter",
        "A waiver can only end earlier, at a time still to come. Later is a renewal.",
    ),
    repeating.KeyReused: (
        409,
        "key-reused",
        "This Idempotency-Key came with something else before. Send another key with what is new.",
    ),
    repeating.KeyTooLong: (422, "key-too-long", "An Idempotency-Key has at most 200 characters."),
    exporting.TooMuch: (
        409,
        "too-much",
        "This has too many uses to wait for. `manage.py export_evidence` writes its pack.",
    ),
    votes.ProofRefused: (401, "step-up-refused", "The confirmation ran out or was for another vote. Enter a new code."),
}
REFUSALS = tuple(_TABLE)


def refusal(error: Exception) -> Refusal:
    """What to say of one of `REFUSALS`."""
    status, name, words = next(answer for kind, answer in _TABLE.items() if isinstance(error, kind))
    at = _until(error)
    return Refusal(status, name, words.format(at=at.strftime("%H:%M:%S") if at else ""))


def _until(error: Exception) -> datetime | None:
    """When it is worth trying again, for those refusals that know."""
    match error:
        case totp.Locked(until=at) | totp.NotYetUsable(since=at) | votes.TooFast(until=at):
            return totp.whole_second(at)
        case _:
            return None


def answered(method: V) -> V:
    """A view method whose refusals become problem details (RFC 9457), challenged as in RFC 9470 if a step-up lacks."""

    @wraps(method)
    def view(*args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return method(*args, **kwargs)
        except REFUSALS as error:
            return _problem(refusal(error), error)

    return view  # type: ignore[return-value]  # the same signature, which TypeVar cannot say


def _problem(told: Refusal, error: Exception) -> Response:
    body = {"type": URN + told.name, "title": told.words, "status": told.status}
    response = Response(body, status=told.status, content_type="application/problem+json")
    until = _until(error)
    if until is not None:
        response["Retry-After"] = str(max(int((until - clock.now()).total_seconds()) + 1, 1))
    if isinstance(error, votes.StepUpNeeded):
        response["WWW-Authenticate"] = f'Bearer error="insufficient_user_authentication", acr_values="{error.needed}"'
    elif told.status == _UNAUTHENTICATED:
        response["WWW-Authenticate"] = 'Bearer error="insufficient_user_authentication"'
    return response
