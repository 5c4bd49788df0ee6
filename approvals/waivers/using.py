"""A waiver and the call it is to let through in; one use of it counted, or the reason why not, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet

from approvals import counting, issuing, requirements, separation
from approvals.models import Approval, Status
from approvals.quorum import Standing
from approvals.waivers import holding, moving
from approvals.waivers.models import State, Waiver
from approvals.waivers.moving import SYSTEM
from countersign.policy.values import Requirement
from countersign.proof import digests
from countersign.proof.events import Event
from evidence import clock, ledger
from evidence.ledger import Actor

_MOVES = frozenset(
    {
        Event.WAIVER_GRANTED, Event.WAIVER_REFUSED, Event.WAIVER_SUSPENDED, Event.WAIVER_RESUMED, Event.WAIVER_EXPIRED,
        Event.WAIVER_REVOKED, Event.WAIVER_USED_UP,
    }
)  # fmt: skip


class NotWaived(Exception):
    """The waiver does not serve this call: it is judged as if there were none. `why` is what an operator reads."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Use:
    """One use, counted in the caller's transaction. `member` is what the decision's record says of it."""

    waiver: Waiver
    number: int
    member: dict[str, Any]


def use(
    waiver_id: str,
    *,
    tenant_id: int,
    version: int,
    wanted: Sequence[Requirement],
    principal: str | None,
    now: datetime,
) -> Use:
    """Take one use, in the caller's transaction. Raises NotWaived and then has changed nothing.

    Locks the request, then the waiver. `wanted` are the requirements of the policy of now, which its votes must meet
    beside those it was granted under; `principal` is for whom the call is made: who gains by a call has not granted it.
    Time is the database's, read again once the locks are held, so that nobody slips past a suspension or its end.
    """
    try:
        waiver = moving.locked(waiver_id, tenant_id=tenant_id)
    except moving.UnknownWaiver:
        raise NotWaived("no such waiver here") from None
    at = max(now, clock.now())
    _check(waiver, version=version, wanted=wanted, principal=principal, now=at)
    if not _left(waiver, at).update(uses=F("uses") + 1):
        raise NotWaived("its uses or its time are over")
    waiver.uses += 1
    member = moving.member(waiver) | {
        "use": waiver.uses,
        "controls": [{"place": one.place, "kind": one.kind} for one in holding.controls_of(waiver)],
    }
    return Use(waiver, waiver.uses, member)


def serves(
    waiver_id: str,
    *,
    tenant_id: int,
    version: int,
    wanted: Sequence[Requirement],
    principal: str | None,
    now: datetime,
) -> bool:
    """Whether `use` would take one. Takes none and locks nothing: by the time somebody asks for it, it may be gone."""
    found = Waiver.objects.select_related("tenant", "request__tenant", "owner__user", "asked_by__user")
    waiver = found.filter(pk=waiver_id, tenant_id=tenant_id).first()
    if waiver is None:
        return False
    at = max(now, clock.now())
    try:
        _check(waiver, version=version, wanted=wanted, principal=principal, now=at)
    except NotWaived:
        return False
    return _left(waiver, at).exists()


def _left(waiver: Waiver, at: datetime) -> QuerySet[Waiver]:
    """The waiver's row, if it has a use left at that time."""
    live = Waiver.objects.filter(pk=waiver.pk, state=State.ACTIVE, expires_at__gt=at, not_before__lte=at)
    return live.filter(Q(max_uses__isnull=True) | Q(uses__lt=F("max_uses")))


def finish(taken: Use, *, now: datetime) -> None:
    """After the decision's record: a waiver whose last use this was has ended with it."""
    if taken.waiver.uses == taken.waiver.max_uses:
        moving.move(taken.waiver, State.USED_UP, actor=SYSTEM, now=now)


def _check(
    waiver: Waiver, *, version: int, wanted: Sequence[Requirement], principal: str | None, now: datetime
) -> None:
    # 1. In force, and the one that was judged with.
    if waiver.state != State.ACTIVE:
        raise NotWaived(f"it is {waiver.state}")
    if waiver.version != version:
        raise NotWaived("it was shortened since")
    # 2. Its terms are those that people voted on, and its row allows no more than they do.
    request = waiver.request
    if digests.arguments_digest(waiver.terms) != request.arguments_digest or not _within(waiver):
        raise NotWaived("its row is not what was granted")
    _check_story(waiver)
    # 3. Every control holds now.
    if lack := holding.why_not(waiver, now=now):
        raise NotWaived(lack)
    # 4. What people voted, in evidence and signed; enough for then and for now, without who gains.
    approval = Approval.objects.filter(request=request, revoked_at__isnull=True).first()
    if approval is None or request.status != Status.APPROVED:
        raise NotWaived("it was not granted")
    try:
        votes = issuing.verified(approval, request, used_by=Actor("person", waiver.asked_by.user.username))
    except issuing.Unverifiable as error:
        raise NotWaived(str(error)) from error
    gains = separation.human_named(waiver.tenant, principal) if principal else None
    kept_out = frozenset({gains.pk} if gains else ())
    for needed in (requirements.from_json(request.requirements), wanted):
        standing = counting.count(request, needed, votes, kept_out=kept_out).standing if needed else Standing.MET
        if standing is not Standing.MET:
            raise NotWaived("the votes no longer meet what is required")


def _within(waiver: Waiver) -> bool:
    """Whether the row ends no later, and allows no more uses, than the terms say."""
    said = waiver.terms["terms"]
    return waiver.max_uses == said.get("max_uses") and waiver.expires_at <= datetime.fromisoformat(said["expires_at"])


def _check_story(waiver: Waiver) -> None:
    """Whether evidence tells the same: neither a state nor a count can be set back in the row.

    A use says that it was in force then, so what was recorded last suffices, however many uses there are.
    """
    log, thread = waiver.tenant.slug, waiver.request_id
    last = ledger.history(log, thread, limit=1, events=_MOVES | {Event.DECISION_MADE})
    told: Mapping[str, Any] = last[0]["predicate"] if last else {"event": None}
    if told["event"] in {Event.WAIVER_GRANTED, Event.WAIVER_RESUMED}:
        used = ledger.history(log, thread, limit=1, events={Event.DECISION_MADE})
        told = used[0]["predicate"] if used else {"waiver": {"use": 0}}
    elif told["event"] != Event.DECISION_MADE:
        raise NotWaived("evidence does not say that it is in force")
    if waiver.uses != told["waiver"]["use"]:
        raise NotWaived("the uses recorded are not the uses counted")
