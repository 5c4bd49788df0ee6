"""A hint in: the issue is read again, and what people did there is voted, once, or answered with why not.

Reading and replying use the network, each in a job of its own; the vote is cast between them, in one transaction with
the note that it was taken and the reply that is owed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

from django.conf import settings
from django.db import transaction

from approvals.models import AccessRequest, Status
from connectors import accounts, answers, once, plain
from connectors.jira import board, card, inbound, text
from connectors.jira.api import Read, Site
from connectors.jira.proposals import Proposal, is_our_text, proposals
from connectors.models import Delivery
from connectors.port import TransportError
from evidence import clock
from outbox import pump
from outbox.queue import enqueue, handler

REPLY = "connectors.jira.reply"
LONG_OVER = timedelta(days=7)  # nobody waits for an answer; and within the time that what was taken is remembered
MOST_MOVES = 10  # by us: beyond it a rule moves the issue each time we do
_LINE = 1_000


@dataclass(frozen=True, slots=True)
class Owed:
    """What is left to do in Jira: words for the person, and whether the issue stands where it should not."""

    words: str = ""
    is_astray: bool = False


@handler(inbound.LOOK)
def look(payload: Mapping[str, Any]) -> None:
    """Read the issue and take everything proposed there that was not taken yet."""
    found = _opened(payload["delivery"])
    if found is None or _is_long_over(found[0].request):
        return
    delivery, site = found
    issue = delivery.ref["id"]
    try:
        ours = {site.me().account_id, delivery.ref.get("account", "")}
        read, comments = site.read(issue), site.comments(issue)
    except TransportError as error:
        raise _again(error) from None
    names = card.outcomes(delivery.config)
    seen = delivery.ref.get("seen", "") if is_our_text(read, ours=ours) else ""
    for proposal in proposals(read, comments, names=names, targets=delivery.ref, ours=ours):
        take(delivery, proposal, seen=seen, now=clock.now())


def take(delivery: Delivery, proposal: Proposal, *, seen: str, now: datetime) -> None:
    """One proposal, once. `seen` is the hash of what the issue shows; empty where it does not show all, or not ours."""
    with transaction.atomic():
        if not once.first(inbound.KIND, f"{delivery.tenant_id}:{delivery.ref['id']}:{proposal.key}", now=now):
            return
        owed = _owed(delivery, proposal, seen=seen, now=now)
        if owed.words or owed.is_astray:
            payload = {
                "delivery": delivery.pk, "words": owed.words and f"{plain.moment(now)} – {owed.words}",
                "to": proposal.author.account_id if proposal.author.is_person else "",
                "is_astray": owed.is_astray, "back_to": proposal.came_from,
            }  # fmt: skip
            enqueue(REPLY, payload, tenant=delivery.tenant.slug, max_attempts=inbound.ATTEMPTS)


@handler(REPLY)
def reply(payload: Mapping[str, Any]) -> None:
    """Put the issue where it belongs, and say to the person what became of what they did."""
    found = _opened(payload["delivery"])
    if found is None:
        return
    delivery, site = found
    try:
        lines = [_line(payload["words"], to=payload["to"])] if payload["words"] else []
        if payload["is_astray"]:
            lines += [card.own(words) for words in _put_right(site, delivery, back_to=payload["back_to"]) if words]
        if lines:
            board.say_once(site, delivery.ref["id"], lines, me=site.me().account_id)
    except TransportError as error:
        raise _again(error) from None


# --- judging


def _owed(delivery: Delivery, proposal: Proposal, *, seen: str, now: datetime) -> Owed:
    """The vote, if it is one, and what has to be said or done about it in Jira."""
    is_move = proposal.is_move
    if proposal.objection:
        return Owed(proposal.objection, is_astray=is_move)
    if not seen:
        link = answers.request_link(delivery.request_id)
        return Owed(f"Not counted: this issue does not show the request as we wrote it. Decide here: {link}", is_move)
    answer = answers.answer(
        tenant_id=delivery.tenant_id, kind=inbound.KIND, identity=proposal.author.account_id,
        request_id=delivery.request_id, decision=proposal.decision, reason=proposal.reason, seen=seen, now=now,
    )  # fmt: skip
    match answer:
        case answers.Counted(request=request):
            return _counted(request, proposal) if is_move else Owed()
        case answers.Refused(words=words):
            return Owed(f"Not counted. {words}", is_move)
        case answers.StepUpNeeded(link=link):
            return Owed(f"Not counted yet: this needs a fresh proof of who you are. Confirm here: {link}", is_move)
        case answers.Unlinked(link=link):
            return Owed(f"Not counted: nobody here is known by this Jira account. Decide here: {link}", is_move)
    assert_never(answer)


def _counted(request: AccessRequest, proposal: Proposal) -> Owed:
    """A vote is not yet an outcome: until there is one, or against it, the issue must not stand for it."""
    if request.status == Status.PENDING:
        return Owed("Counted. The request is still open: more people are needed.", is_astray=True)
    stands = {"approve": Status.APPROVED, "deny": Status.DENIED}[proposal.decision.value]
    return Owed(is_astray=request.status != stands)


def _is_long_over(request: AccessRequest) -> bool:
    return request.closed_at is not None and clock.now() - request.closed_at > LONG_OVER


# --- doing


def _put_right(site: Site, delivery: Delivery, *, back_to: str) -> list[str]:
    """To the status of the outcome, or while there is none back to where it came from; words where that fails."""
    issue = delivery.ref["id"]
    if _own_moves(site.read(issue), delivery) >= MOST_MOVES:
        return ["This issue is moved by a rule again and again, so it is left there. Its status decides nothing."]
    status = _status(delivery)
    words = _moved(site, delivery, status, back_to=back_to)
    if status == Status.PENDING and (now := _status(delivery)) != Status.PENDING:
        return [_moved(site, delivery, now, back_to=back_to)]  # it was decided while we moved it back
    return [words]


def _moved(site: Site, delivery: Delivery, status: str, *, back_to: str) -> str:
    issue, name = delivery.ref["id"], card.outcomes(delivery.config).get(status)
    if name is not None and status != Status.PENDING:
        return board.settle(site, issue, name=name, target_id=delivery.ref.get(f"{status}_to", ""))
    if board.send_back(site, issue, status_id=back_to):
        return ""
    return "This issue could not be moved back. Its status decides nothing."


def _own_moves(read: Read, delivery: Delivery) -> int:
    ours = delivery.ref.get("account", "")
    return sum(change.field == "status" and change.author.account_id == ours for change in read.changes)


def _status(delivery: Delivery) -> str:
    return str(AccessRequest.objects.values_list("status", flat=True).get(pk=delivery.request_id))


def _line(words: str, *, to: str) -> str:
    cut = plain.line(words, most=_LINE)
    return text.mention(to) + text.escape(cut, ours=f"{settings.COUNTERSIGN.base_url}/")


def _opened(pk: int) -> tuple[Delivery, Site] | None:
    """The delivery and its site; None where the tenant has disconnected it meanwhile."""
    delivery = Delivery.objects.select_related("tenant", "request").get(pk=pk)
    account = accounts.account(delivery.tenant, inbound.KIND)
    return None if account is None else (delivery, Site(account))


def _again(error: TransportError) -> Exception:
    """The same failure in the outbox's terms."""
    if error.permanent:
        return pump.Permanent(str(error))
    return pump.Later(error.retry_after) if error.retry_after is not None else error
