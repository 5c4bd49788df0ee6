"""An approved request in, its signed approval out; an approval row in, the votes it is proven to stand on out.

The rows are only a copy. What counts is the envelope, signed by a key outside the database over the leaves of the
votes' records, and those records, whose bytes must still have these leaves. A row written by hand is worth nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from approvals import counting, requirements, shown
from approvals.jobs import lapse_later
from approvals.lifecycle import record
from approvals.models import AccessRequest, Approval, Vote
from countersign import ids
from countersign.proof import canonical, digests, dsse, merkle
from countersign.proof.events import Event
from evidence import keys, ledger
from evidence.keys import Purpose
from evidence.ledger import Actor

PAYLOAD_TYPE = "application/vnd.countersign.approval+json"
VERSION = 1
# What an approval is proven by. A machine can make a thread as long as it likes, but not by any of these.
_PROVES = frozenset(
    {Event.REQUEST_OPENED, Event.REQUEST_JOINED, Event.VOTE_CAST, Event.APPROVAL_USED, Event.APPROVAL_REVOKED}
)


class Unverifiable(Exception):
    """The approval is not what the votes in evidence were signed into. The text says which step failed."""


def issue(request: AccessRequest, votes: Sequence[Vote], *, actor: Actor, now: datetime) -> Approval:
    """Sign and insert the approval of a request just approved under its lock, and record it."""
    wanted = requirements.from_json(request.requirements)
    approval = Approval(
        id=ids.new("apr"),
        tenant_id=request.tenant_id,
        request=request,
        action_digest=request.action_digest,
        issued_at=now,
        expires_at=now + requirements.good_for(wanted),
        uses_allowed=requirements.uses_of(wanted),
    )
    statement = payload(approval, request, votes)
    approval.envelope = dsse.sign(canonical.dumps(statement), PAYLOAD_TYPE, keys.signer(Purpose.APPROVALS))
    approval.save(force_insert=True)
    record(
        Event.APPROVAL_ISSUED, request, actor=actor, now=now,
        entitlement={"approval": approval.pk, "expires_at": statement["expires_at"], "uses": approval.uses_allowed},
        detail={"votes": statement["votes"], "key_id": approval.envelope["signatures"][0]["keyid"]},
    )  # fmt: skip
    if request.asked_by_id is None:  # a waiver's is not used up by a call, and ends with the waiver
        lapse_later(approval)
    return approval


def payload(approval: Approval, request: AccessRequest, votes: Sequence[Vote]) -> dict[str, Any]:
    """What is signed. Grows by version only: the bytes are rebuilt from the rows when an approval is verified."""
    return {
        "v": VERSION,
        "approval": approval.pk,
        "tenant": request.tenant.slug,
        "request": request.pk,
        "action_digest": approval.action_digest,
        "commitment": request.commitment,
        "display_hash": request.display_hash,
        "requirements": request.requirements,
        "votes": [
            {"human": vote.human_id, "decision": vote.decision, "leaf": digests.text(bytes(vote.leaf))}
            for vote in votes
        ],
        "issued_at": timestamp(approval.issued_at),
        "expires_at": timestamp(approval.expires_at),
        "uses": approval.uses_allowed,
    }


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: the whole of what a row holds, or verification would round."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def verified(approval: Approval, request: AccessRequest, *, used_by: Actor) -> list[Vote]:
    """The votes this approval provably stands on, under the request's lock. Raises Unverifiable."""
    votes = counting.votes_of(request)
    # 1. The envelope is ours.
    try:
        signed = dsse.verify(approval.envelope, keys.verifiers(Purpose.APPROVALS), PAYLOAD_TYPE)
    except dsse.BadEnvelope as error:
        raise Unverifiable("the approval's signature does not hold") from error
    # 2. It says what the rows say: approval, request, requirements, votes.
    if signed != _bytes(payload(approval, request, votes)):
        raise Unverifiable("the rows are not the ones that were signed")
    # 3. The action is the one of the digest.
    try:
        action = shown.action_of(request)
    except keys.CannotUnseal as error:
        raise Unverifiable("what was kept of the action was changed") from error
    if action is None or digests.action_digest(action) != approval.action_digest:
        raise Unverifiable("the action is erased, or does not have the digest that was approved")
    # 4. Every vote is in evidence, and says what its row says.
    thread = ledger.history(request.tenant.slug, request.pk, limit=None, events=_PROVES)
    records = {merkle.leaf_hash(canonical.dumps(statement)): statement["predicate"] for statement in thread}
    for vote in votes:
        _check_vote(vote, records.get(bytes(vote.leaf)), request)
    # 5. What was voted on is what was recorded at opening.
    opened = [one["rendered"]["display_hash"] for one in records.values() if one["event"] == Event.REQUEST_OPENED]
    if opened != [request.display_hash]:
        raise Unverifiable("the display is not the one that was recorded at opening")
    # 6. Who uses it asked for it, by the record and not by the row alone.
    asked = {Event.REQUEST_OPENED, Event.REQUEST_JOINED}
    if used_by.id not in {one["actor"]["id"] for one in records.values() if one["event"] in asked}:
        raise Unverifiable("the credential is a party by its row only")
    # 7. Uses and revocation are as recorded: neither can be taken back in the row.
    events = [predicate["event"] for predicate in records.values()]
    if events.count(Event.APPROVAL_USED) != approval.uses:
        raise Unverifiable("the uses recorded are not the uses counted")
    if (Event.APPROVAL_REVOKED in events) != (approval.revoked_at is not None):
        raise Unverifiable("the revocation recorded is not the one in the row")
    return votes


def vote_detail(vote: Vote) -> dict[str, Any]:
    """What a vote's record says of it, and what its row must still say at use."""
    return {
        "human": vote.human_id,
        "membership": vote.membership_id,
        "decision": vote.decision,
        "assurance": vote.assurance,
        "step_up": vote.step_up_id or "",
        "surface": vote.surface,
    }


def _check_vote(vote: Vote, predicate: Mapping[str, Any] | None, request: AccessRequest) -> None:
    if predicate is None or predicate["event"] != Event.VOTE_CAST:
        raise Unverifiable("a vote has no record in evidence")
    detail = predicate.get("detail", {})
    if any(detail.get(name) != value for name, value in vote_detail(vote).items()):
        raise Unverifiable("a vote's row is not what its record says")
    if not vote.seen == request.display_hash == predicate.get("rendered", {}).get("display_hash"):
        raise Unverifiable("a vote was cast on another display")


def _bytes(statement: Mapping[str, Any]) -> bytes:
    """Canonical bytes; rows that have none were not written by us."""
    try:
        return canonical.dumps(statement)
    except canonical.NotCanonical as error:
        raise Unverifiable("a row holds what no approval can") from error
