"""A button that somebody pressed in, what it leads to out: a vote cast, a window opened, or words to them. A job.

Slack is told "taken" when this job's row is committed, and by then nothing else was looked at: no lock of a request, no
system that is slow, stands between a click and its answer.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction

from approvals import intents
from approvals.models import AccessRequest, Decision, Status
from connectors import answers, once
from connectors.answers import Counted, Refused, StepUpNeeded, Unlinked
from connectors.port import Account
from connectors.slack import aside, clicks, codes, confirming, modal
from connectors.slack.card import APPROVE, DENY, DETAILS
from connectors.slack.clicks import Click
from connectors.slack.signature import KIND
from evidence import clock
from evidence.queries import Compiled
from outbox import pump
from outbox.queue import enqueue, handler

PRESSED = "connectors.slack.pressed"
NOT_LINKED = (
    "Your Slack account is not linked to anybody in Countersign, so nothing was counted. Sign in there, open your"
    " account and choose Slack: "
)
_NOT_ABOUT = "That button does not belong to this message, so nothing was done."
_GONE = "There is no such request here any more."


def keep(account: Account, click: Click, *, action: str, now: datetime) -> None:
    """Take it, once and for good: that it came and what is to be done of it are one commit."""
    with transaction.atomic():
        if once.first("slack.click", f"{account.tenant}:{click.key}", now=now):
            payload = {"tenant": account.tenant_id, "action": action, "click": asdict(click), "at": now.isoformat()}
            enqueue(PRESSED, payload, tenant=account.tenant, run_at=now - aside.AHEAD)


@handler(PRESSED)
def act(payload: Mapping[str, Any]) -> None:
    """Do what the button says. Safe to repeat: the same vote of the same human is one vote.

    Whose workspace is not the tenant's any more is nobody by now.
    """
    click = clicks.kept(payload["click"])
    account = aside.account_of(payload["tenant"])
    if not clicks.is_from(account, click.person):
        raise pump.Permanent("this Slack is another workspace by now")
    _ACTS[payload["action"]](account, click, datetime.fromisoformat(payload["at"]))


def _approve(account: Account, click: Click, at: datetime) -> None:
    """One click counts; Slack asked "are you sure" before. Where a step-up is needed, it says where to confirm."""
    now, asked = clock.now(), _asked(account, click.request_id)
    said = answers.answer(
        tenant_id=account.tenant_id, kind=KIND, identity=click.person.identity, request_id=click.request_id,
        decision=Decision.APPROVE, reason="", seen=_seen(asked, click), now=now, said_at=at,
    )  # fmt: skip
    match said:
        case Counted():
            pass  # the card tells it, to everybody
        case Refused(words=words):
            aside.whisper(account, click, words, now=now)
        case Unlinked(link=link):
            aside.whisper(account, click, f"{NOT_LINKED}{link}", now=now)
        case StepUpNeeded(request=request):
            _step_up(account, click, request, at)


def _deny(account: Account, click: Click, at: datetime) -> None:
    """A window asks for the reason; it is sent or closed there."""
    asked = _asked(account, click.request_id)
    refused = _refused(account, click, asked)
    if refused or asked is None:
        aside.whisper(account, click, refused or _GONE, now=clock.now())
        return
    memory = json.dumps({"request": asked.pk, "seen": _seen(asked, click)})
    aside.open_modal(account, click, modal.reason(what=confirming.named(asked), memory=memory), pressed_at=at)


def _details(account: Account, click: Click, at: datetime) -> None:
    """All lines in a window, for a member who has the card before them."""
    if answers.member_of(account.tenant_id, KIND, click.person.identity) is None:
        aside.whisper(account, click, f"{NOT_LINKED}{answers.account_link()}", now=clock.now())
    elif not click.is_about or _asked(account, click.request_id) is None:
        aside.whisper(account, click, _NOT_ABOUT, now=clock.now())
    else:
        aside.open_modal(account, click, None, pressed_at=at)


_ACTS: Mapping[str, Callable[[Account, Click, datetime], None]] = {APPROVE: _approve, DENY: _deny, DETAILS: _details}


def _step_up(account: Account, click: Click, request: AccessRequest, at: datetime) -> None:
    """A window for the code where the tenant allows it and the card was whole; else a link and a number."""
    now = clock.now()
    intent = confirming.begin(account, click.person.identity, request, Decision.APPROVE, now=now)
    if click.is_offered and codes.allowed(request):
        view = confirming.next_window(intent, request, is_known=True)
        aside.open_modal(account, click, view, pressed_at=at)
        return
    blocks = [block.to_dict() for block in modal.confirming(intents.link(intent), number=intent.number)]
    aside.whisper_blocks(account, click, "Confirm your vote on our page.", blocks, now=now)


# --- what is known


def _asked(account: Account, request_id: str) -> AccessRequest | None:
    """What is needed of it here; the vote itself reads it anew, under its lock."""
    return _in_brief.first(request_id, account.tenant_id)


_in_brief = Compiled(
    lambda request, tenant: AccessRequest.objects.filter(pk=request, tenant_id=tenant).only(
        "status", "display_hash", "agent_id", "tool_id", "method"
    )
)


def _seen(asked: AccessRequest | None, click: Click) -> str:
    """The display the person had before them: that of the request whose button their message holds, else none.

    A card whose lines do not all fit, or are redacted, has no button to approve, so such a click has seen nothing.
    """
    return asked.display_hash if asked and click.is_offered else ""


def _refused(account: Account, click: Click, asked: AccessRequest | None) -> str:
    """Why no window is opened for this person; empty if one is."""
    if answers.member_of(account.tenant_id, KIND, click.person.identity) is None:
        return f"{NOT_LINKED}{answers.account_link()}"
    if asked is None:
        return _GONE
    if asked.status != Status.PENDING:
        return f"This request is closed already, so nothing changed. See {answers.request_link(asked.pk)}"
    return ""
