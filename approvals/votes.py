"""One person's decision on one request in, the request as it then stands out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from approvals import counting, issuing, lifecycle, pace, quorum, requirements, shown, stepup
from approvals.counting import Electorate
from approvals.lifecycle import NotPending as NotPending
from approvals.lifecycle import UnknownRequest as UnknownRequest
from approvals.lifecycle import announce, record
from approvals.models import AccessRequest, Decision, Status, StepUpProof, Vote
from approvals.pace import TooFast as TooFast
from approvals.quorum import Standing
from approvals.signals import Change
from approvals.stepup import ProofRefused as ProofRefused
from approvals.stepup import SeenOther as SeenOther
from countersign.inspection.redact import redact
from countersign.policy.values import StepUp
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from evidence.queries import Compiled
from registry.models import Membership

QUICK = timedelta(seconds=2)  # nobody has read a card in less
MEANT_FOR = timedelta(minutes=5)  # who pressed may have thought again; as long as a confirmation is good


class NotEligible(Exception):
    """The person is in none of the teams that are asked, is not active here, or is no person."""


class SelfApproval(NotEligible):
    """The person asked, is asked for, or owns the agent: separation of duties keeps them out."""


class TooLate(Exception):
    """It was meant elsewhere, and is only heard when it may not be meant any more."""


class AlreadyVoted(Exception):
    """The same human said something else on this request before, perhaps from another account."""


class StepUpNeeded(Exception):
    """The vote needs a fresh proof of at least `needed`."""

    def __init__(self, needed: StepUp) -> None:
        super().__init__(f"a step-up of {needed} is needed")
        self.needed = needed


class StepUpFirst(StepUpNeeded):
    """The same for a vote that was only meant: nothing was tried, and nothing is recorded. `request` is it as it is."""

    def __init__(self, needed: StepUp, request: AccessRequest) -> None:
        super().__init__(needed)
        self.request = request


_REFUSALS = (NotEligible, AlreadyVoted, SeenOther, TooLate, TooFast, StepUpNeeded, ProofRefused)


def cast(
    request_id: str,
    *,
    tenant_id: int,
    membership: Membership,
    decision: Decision,
    reason: str,
    seen: str,
    step_up: str | None,
    surface: str,
    now: datetime,
    first_seen_at: datetime | None = None,
    meant_at: datetime | None = None,
) -> AccessRequest:
    """Record a vote and close the request if that decides it, in one transaction under the request's lock.

    The same human saying the same again gets the request as it stands: a double click is one vote. Raises
    UnknownRequest, NotPending, NotEligible, SelfApproval, SeenOther, AlreadyVoted, TooLate, TooFast, StepUpNeeded,
    ProofRefused; all but the first two are recorded as `vote.refused`. `meant_at` says when it was meant elsewhere, as
    by a click: if it then would need a step-up, which cannot be done there, StepUpFirst comes before all others, for
    meaning to vote is no refused vote.
    """
    decision = Decision(decision)
    try:
        with transaction.atomic():
            request = lifecycle.locked(request_id, tenant_id=tenant_id)
            at = max(now, clock.now())
            voter = _active(membership, tenant_id=tenant_id)
            earlier = counting.votes_of(request)
            heard = counting.electorate(request, [voter, *(vote.membership for vote in earlier)])
            if meant_at is not None:
                _check_meant(request, voter, heard, earlier, meant_at=meant_at, now=at)
            if _said_before(earlier, voter, decision):
                return request
            lifecycle.check_pending(request, now=at)
            needed = _check_eligible(request, voter, heard)
            if seen != request.display_hash or not shown.is_whole(request):
                raise SeenOther(request_id)
            if decision is Decision.APPROVE:
                pace.check(voter.user.human_id, now=at)
            proof = _proof(step_up, needed, request, voter, decision=decision, seen=seen, now=at)
            vote = _vote(request, voter, decision, reason=reason, proof=proof, surface=surface, now=at)
            _record(vote, request, quick=first_seen_at is not None and at - first_seen_at < QUICK)
            _settle(request, [*earlier, vote], heard, actor=_actor(voter, proof), now=at)
    except StepUpFirst:
        raise
    except _REFUSALS as error:
        _record_refusal(request_id, membership, tenant_id=tenant_id, error=error, decision=decision, surface=surface)
        raise
    return request


def needed_step_up(request: AccessRequest, membership: Membership) -> StepUp:
    """The step-up this person's vote would need now. Raises NotEligible, SelfApproval."""
    voter = _active(membership, tenant_id=request.tenant_id)
    return _check_eligible(request, voter, counting.electorate(request, [voter]))


# --- who


_fresh = Compiled(lambda pk: Membership.objects.select_related("user").filter(pk=pk))


def _active(membership: Membership, *, tenant_id: int) -> Membership:
    """The membership as the database has it now, not as a session remembers it."""
    fresh = _fresh.first(membership.pk)
    if fresh is None or fresh.tenant_id != tenant_id:
        raise UnknownRequest("not a member of this tenant")
    if not fresh.active or not fresh.user.is_active:
        raise NotEligible("not active")
    if fresh.user.is_service:
        raise NotEligible("a service account is nobody's judgement")
    return fresh


def _check_eligible(request: AccessRequest, voter: Membership, heard: Electorate) -> StepUp:
    """The strongest step-up of the requirements this person may answer; their one vote should count for each."""
    if voter.user.human_id in heard.excluded:
        raise SelfApproval("who asks, is asked for or owns the agent does not approve")
    teams = heard.teams[voter.pk]
    answered = [one for one in requirements.from_json(request.requirements) if quorum.in_team(teams, one)]
    if not answered:
        raise NotEligible("in none of the teams that are asked")
    return quorum.strongest(one.step_up for one in answered)


def _check_meant(
    request: AccessRequest,
    voter: Membership,
    heard: Electorate,
    earlier: Sequence[Vote],
    *,
    meant_at: datetime,
    now: datetime,
) -> None:
    """Raises TooLate, StepUpFirst, only where a vote could count: what else is wrong with it the vote itself tells.

    A vote that stands is not too late: what was meant may be heard twice, the second time much later.
    """
    if request.status != Status.PENDING or now >= request.expires_at:
        return
    try:
        needed = _check_eligible(request, voter, heard)
    except NotEligible:
        return
    stands = any(vote.human_id == voter.user.human_id for vote in earlier)
    if not stands and now - meant_at >= MEANT_FOR:
        raise TooLate(f"meant at {meant_at}")
    if needed is not StepUp.NONE:
        raise StepUpFirst(needed, request)


def _said_before(votes: Sequence[Vote], voter: Membership, decision: Decision) -> bool:
    earlier = next((vote for vote in votes if vote.human_id == voter.user.human_id), None)
    if earlier is not None and earlier.decision != decision:
        raise AlreadyVoted(f"voted {earlier.decision} before")
    return earlier is not None


def _proof(
    step_up: str | None,
    needed: StepUp,
    request: AccessRequest,
    voter: Membership,
    *,
    decision: Decision,
    seen: str,
    now: datetime,
) -> StepUpProof | None:
    """The proof used up by this vote; one that was offered counts even where none is needed."""
    proof = None
    if step_up:
        proof = stepup.consume(step_up, request, voter, decision=decision, seen=seen, now=now)
    if not quorum.reaches(_assurance(proof), needed):
        raise StepUpNeeded(needed)
    return proof


def _assurance(proof: StepUpProof | None) -> StepUp:
    return stepup.assurance_of(proof) if proof else StepUp.NONE


def _actor(voter: Membership, proof: StepUpProof | None) -> Actor:
    return Actor(type="person", id=voter.user.username, auth=stepup.auth_of(proof) if proof else {})


# --- what


def _vote(
    request: AccessRequest,
    voter: Membership,
    decision: Decision,
    *,
    reason: str,
    proof: StepUpProof | None,
    surface: str,
    now: datetime,
) -> Vote:
    return Vote(
        tenant_id=request.tenant_id,
        request=request,
        human_id=voter.user.human_id,
        membership=voter,
        decision=decision.value,
        reason=reason,
        seen=request.display_hash,
        step_up=proof,
        assurance=_assurance(proof).value,
        surface=surface,
        cast_at=now,
    )


def _record(vote: Vote, request: AccessRequest, *, quick: bool) -> None:
    """The record first: its leaf is part of the row, and of what the approval is signed over."""
    written = record(
        Event.VOTE_CAST, request, actor=_actor(vote.membership, vote.step_up), now=vote.cast_at,
        rendered={"display_hash": vote.seen},
        detail={**issuing.vote_detail(vote), "reason": redact(vote.reason).text, "flags": ["quick"] if quick else []},
    )  # fmt: skip
    vote.leaf = written.leaf
    vote.save(force_insert=True)


def _settle(request: AccessRequest, votes: Sequence[Vote], heard: Electorate, *, actor: Actor, now: datetime) -> None:
    """Close the request if the votes, counted with everybody's teams of now, decide it; else tell of the vote."""
    standing = counting.counted(requirements.from_json(request.requirements), votes, heard).standing
    if standing is Standing.OPEN:
        announce(request, Change.VOTED)
    elif standing is Standing.DENIED:
        lifecycle.close(request, Status.DENIED, actor=actor, now=now)
    else:
        lifecycle.close(request, Status.APPROVED, actor=actor, now=now)
        issuing.issue(request, votes, actor=actor, now=now)


def _record_refusal(
    request_id: str, membership: Membership, *, tenant_id: int, error: Exception, decision: Decision, surface: str
) -> None:
    """In a transaction of its own: that of the vote is gone with the vote."""
    with transaction.atomic():
        request = lifecycle.locked(request_id, tenant_id=tenant_id)
        record(
            Event.VOTE_REFUSED, request, actor=Actor(type="person", id=membership.user.username), now=clock.now(),
            detail={"decision": decision.value, "why": type(error).__name__, "surface": surface},
        )  # fmt: skip
