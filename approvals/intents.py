"""A vote somebody wishes to cast in, a link to our own page and a number to know it by out; there it is confirmed.

Who clicks in a chat is known by that chat alone. So the click is kept as a wish, and counts once the same person,
signed in here, names the number they were shown there and enters a fresh code.
"""

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from approvals import lifecycle, stepup, totp, votes
from approvals.models import AccessRequest, Decision, Intent
from countersign import ids
from countersign.policy.values import StepUp
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from registry.models import Membership, User

GOOD_FOR = timedelta(minutes=5)
WRONG_NUMBERS = 3  # then the intent is burned
CONFIRMED_ON = "web"
_NUMBERS = range(10, 100)


class UnknownIntent(LookupError):
    """No such intent of this person. Another's is as unknown as none."""


class IntentOver(Exception):
    """Used, past its time, replaced by a newer one, or burned by wrong numbers."""


class WrongNumber(Exception):
    """Not the number that was shown where the vote began. `left` more may be tried."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} left")
        self.left = left


def begin(
    request: AccessRequest, *, membership: Membership, decision: Decision, reason: str = "", surface: str, now: datetime
) -> Intent:
    """Keep the wish for five minutes. Only the newest of a person about one request can be confirmed."""
    at = max(now, clock.now())
    with transaction.atomic():
        _open(at).filter(request=request, membership=membership).update(expires_at=at)
        return Intent.objects.create(
            id=ids.new("int"), tenant_id=request.tenant_id, request=request, membership=membership, decision=decision,
            reason=reason, surface=surface, number=secrets.choice(_NUMBERS), created_at=at, expires_at=at + GOOD_FOR,
        )  # fmt: skip


def link(intent: Intent) -> str:
    """Where the person confirms. Worth nothing to anybody else, nor to them without number and code."""
    return f"{settings.COUNTERSIGN.base_url}/requests/{intent.request_id}/confirm/?intent={intent.pk}"


def find(intent_id: str, *, request_id: str, user: User) -> Intent:
    """The person's intent about this request, whatever became of it. Raises UnknownIntent."""
    rows = Intent.objects.select_related("request__tenant", "membership__user__human", "membership__tenant")
    found = rows.filter(pk=intent_id, request_id=request_id, membership__user=user, membership__active=True).first()
    if found is None:
        raise UnknownIntent(intent_id)
    return found


def of_member(intent_id: str, *, membership: Membership) -> Intent:
    """The intent of this member, for who is known by another system alone. Raises UnknownIntent."""
    rows = Intent.objects.select_related("request__tenant", "membership__user__human", "membership__tenant")
    found = rows.filter(pk=intent_id, membership=membership).first()
    if found is None:
        raise UnknownIntent(intent_id)
    return found


def is_open(intent: Intent, *, now: datetime) -> bool:
    """Whether it can still be confirmed."""
    return _open(now).filter(pk=intent.pk).exists()


def confirm(
    intent: Intent, *, number: str, code: str, seen: str, now: datetime, first_seen_at: datetime | None = None
) -> AccessRequest:
    """Cast the vote: the number first, then the code, then the intent is used up. Must not run inside a transaction.

    A wrong code leaves the intent open, for its failures are counted elsewhere. Raises IntentOver, WrongNumber, and all
    that `stepup.pass_totp` and `votes.cast` raise.
    """
    _match(intent, number, now=now)
    return _cast(intent, code=code, seen=seen, on=CONFIRMED_ON, now=now, first_seen_at=first_seen_at)


def confirm_there(intent: Intent, *, code: str, now: datetime) -> AccessRequest:
    """The same with a code that was typed where the vote began: no number, for nobody went anywhere.

    Only for a window that was opened from a whole display. Raises as `confirm`, but for WrongNumber.
    """
    if not is_open(intent, now=max(now, clock.now())):
        raise IntentOver(intent.pk)
    return _cast(intent, code=code, seen=intent.request.display_hash, on=intent.surface, now=now)


def _cast(
    intent: Intent, *, code: str, seen: str, on: str, now: datetime, first_seen_at: datetime | None = None
) -> AccessRequest:
    proof = _proven(intent, code=code, seen=seen, on=on, now=now)
    if not _open(max(now, clock.now())).filter(pk=intent.pk).update(used_at=now):
        raise IntentOver(intent.pk)
    return votes.cast(
        intent.request_id,
        tenant_id=intent.tenant_id,
        membership=intent.membership,
        decision=Decision(intent.decision),
        reason=intent.reason,
        seen=seen,
        step_up=proof,
        surface=intent.surface if on == intent.surface else f"{intent.surface}+{on}",
        now=now,
        first_seen_at=first_seen_at,
    )


def _open(now: datetime) -> QuerySet[Intent]:
    return Intent.objects.filter(used_at__isnull=True, expires_at__gt=now, wrong_numbers__lt=WRONG_NUMBERS)


def _match(intent: Intent, number: str, *, now: datetime) -> None:
    """Compare under the row's lock, so that guesses at once are all counted; a wrong one is kept and recorded."""
    with transaction.atomic():
        request = lifecycle.locked(intent.request_id, tenant_id=intent.tenant_id)
        row = _open(max(now, clock.now())).filter(pk=intent.pk).first()
        if row is None:
            raise IntentOver(intent.pk)
        if totp.normalised(number) == str(row.number):
            return
        row.wrong_numbers += 1
        row.save(update_fields=["wrong_numbers"])
        lifecycle.record(
            Event.STEPUP_FAILED, request, actor=Actor("person", intent.membership.user.username), now=now,
            detail={"method": "number", "reason": WrongNumber.__name__, "surface": CONFIRMED_ON},
        )  # fmt: skip
    raise WrongNumber(WRONG_NUMBERS - row.wrong_numbers)


def _proven(intent: Intent, *, code: str, seen: str, on: str, now: datetime) -> str | None:
    """A step-up of the kind the code looks like; none where the vote needs none."""
    if votes.needed_step_up(intent.request, intent.membership) == StepUp.NONE:
        return None
    passed = stepup.pass_totp(
        intent.request_id, tenant_id=intent.tenant_id, membership=intent.membership, method=stepup.method_of(code),
        decision=Decision(intent.decision), seen=seen, code=code, surface=on, now=now,
    )  # fmt: skip
    return passed.pk
