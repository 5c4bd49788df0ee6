"""What a person did in Slack in, our one call, what Slack is told at once out. No network: that is the outbox's.

A click is what somebody wants, as far as Slack knows who they are. Where a vote needs more, it is confirmed elsewhere.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals import intents, problems
from approvals.models import AccessRequest, Decision, Intent, Status
from connectors import answers, once
from connectors.answers import Counted, Refused, StepUpNeeded, Unlinked
from connectors.port import Account
from connectors.slack import aside, clicks, codes, modal
from connectors.slack.card import APPROVE, DENY, DETAILS
from connectors.slack.clicks import Body, Click
from connectors.slack.home import HOME
from connectors.slack.signature import KIND
from connectors.slack.text import code, cut
from evidence.queries import Compiled
from outbox.queue import enqueue

Reply = Mapping[str, Any]  # what Bolt's `ack` takes
TAKEN: Reply = {}
_NAME = 100
_NOT_LINKED = (
    "Your Slack account is not linked to anybody in Countersign, so nothing was counted. Sign in there, open your"
    " account and choose Slack: "
)
_NOT_ABOUT = "That button does not belong to this message, so nothing was done."
_GONE = "There is no such request here any more."


def approve(account: Account, body: Body, *, now: datetime) -> Reply:
    """One click counts; Slack asked "are you sure" before. Where a step-up is needed, it says where to confirm."""
    click = clicks.click_of(body, action_id=APPROVE)
    if not _first(account, "click", click.key, now=now):
        return TAKEN
    asked = _asked(account, click.request_id)
    said = answers.answer(
        tenant_id=account.tenant_id, kind=KIND, identity=click.person.identity, request_id=click.request_id,
        decision=Decision.APPROVE, reason="", seen=_seen(asked, click), now=now,
    )  # fmt: skip
    match said:
        case Counted():
            pass  # the card tells it, to everybody
        case Refused(words=words):
            aside.whisper(account, click, words, now=now)
        case Unlinked(link=link):
            aside.whisper(account, click, f"{_NOT_LINKED}{link}", now=now)
        case StepUpNeeded(request=request):
            _step_up(account, click, request, now=now)
    return TAKEN


def deny(account: Account, body: Body, *, now: datetime) -> Reply:
    """A window asks for the reason; it is sent or closed there."""
    click = clicks.click_of(body, action_id=DENY)
    if not _first(account, "click", click.key, now=now):
        return TAKEN
    asked = _asked(account, click.request_id)
    refused = _refused(account, click, asked)
    if refused or asked is None:
        aside.whisper(account, click, refused or _GONE, now=now)
        return TAKEN
    memory = json.dumps({"request": asked.pk, "seen": _seen(asked, click)})
    aside.open_modal(account, click, modal.reason(what=_named(asked), memory=memory), now=now)
    return TAKEN


def details(account: Account, body: Body, *, now: datetime) -> Reply:
    """All lines in a window, for a member who has the card before them."""
    click = clicks.click_of(body, action_id=DETAILS)
    if not _first(account, "click", click.key, now=now):
        return TAKEN
    if answers.member_of(account.tenant_id, KIND, click.person.identity) is None:
        aside.whisper(account, click, f"{_NOT_LINKED}{answers.account_link()}", now=now)
    elif not clicks.is_about(body, click.request_id) or _asked(account, click.request_id) is None:
        aside.whisper(account, click, _NOT_ABOUT, now=now)
    else:
        aside.open_modal(account, click, None, now=now)
    return TAKEN


def reason_given(account: Account, body: Body, *, now: datetime) -> Reply:
    """The denial, or in the same window what it still needs."""
    view, person = _view(body), clicks.person_of(body)
    if not _first(account, "view", _sent(view, body), now=now):
        return TAKEN
    memory, reason = _memory(view), clicks.value_in(view, modal.REASON)
    said = answers.answer(
        tenant_id=account.tenant_id, kind=KIND, identity=person.identity, request_id=memory.get("request", ""),
        decision=Decision.DENY, reason=reason, seen=memory.get("seen", ""), now=now,
    )  # fmt: skip
    match said:
        case Counted():
            return TAKEN
        case Refused(words=words):
            return modal.error(modal.REASON, words)
        case Unlinked(link=link):
            return modal.error(modal.REASON, f"{_NOT_LINKED}{link}")
        case StepUpNeeded(request=request):
            intent = _begin(account, person.identity, request, Decision.DENY, reason=reason, now=now)
            is_known = memory.get("seen") == request.display_hash
            return {"response_action": "update", "view": _next_window(intent, request, is_known=is_known)}


def code_given(account: Account, body: Body, *, now: datetime) -> Reply:
    """A vote confirmed with a code typed in Slack, where the tenant allows it."""
    view, person = _view(body), clicks.person_of(body)
    if not _first(account, "view", _sent(view, body), now=now):
        return TAKEN
    member = answers.member_of(account.tenant_id, KIND, person.identity)
    if member is None:
        return modal.error(modal.CODE, f"{_NOT_LINKED}{answers.account_link()}")
    try:
        intent = intents.of_member(_memory(view).get("intent", ""), membership=member)
        if not codes.allowed(intent.request):
            return modal.error(modal.CODE, f"Codes are not taken in Slack. Confirm here: {intents.link(intent)}")
        intents.confirm_there(intent, code=clicks.value_in(view, modal.CODE), now=now)
    except intents.UnknownIntent:
        return modal.error(modal.CODE, "This window is not yours any more. Close it and press the button again.")
    except problems.REFUSALS as error:
        return modal.error(modal.CODE, problems.refusal(error).words)
    return TAKEN


def home_opened(account: Account, body: Body, *, now: datetime) -> Reply:
    """The app's Home shows what waits for this person; it is drawn off the path."""
    person = clicks.person_of(body)
    if _maybe_home(body) and _first(account, "event", str(body.get("event_id")), now=now):
        enqueue(
            HOME, {"tenant": account.tenant_id, "user": person.user, "identity": person.identity}, tenant=account.tenant
        )
    return TAKEN


# --- what is known


def _first(account: Account, what: str, key: str, *, now: datetime) -> bool:
    """Slack tells an event again until it is taken, and may tell anything twice."""
    return once.first(f"slack.{what}", f"{account.tenant}:{key}", now=now)


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
        return f"{_NOT_LINKED}{answers.account_link()}"
    if asked is None:
        return _GONE
    if asked.status != Status.PENDING:
        return f"This request is closed already, so nothing changed. See {answers.request_link(asked.pk)}"
    return ""


def _view(body: Body) -> Body:
    view = body.get("view")
    if not isinstance(view, Mapping):
        raise clicks.NotUnderstood("view")
    return view


def _sent(view: Body, body: Body) -> str:
    """One sending of one window: after an error the same window is sent again, with another trigger."""
    return f"{view.get('id')}:{view.get('hash')}:{body.get('trigger_id')}"


def _memory(view: Body) -> dict[str, str]:
    """What we gave the window to remember. It went through Slack, so all of it is looked at again."""
    try:
        told = json.loads(str(view.get("private_metadata") or "{}"))
    except (ValueError, RecursionError):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)} if isinstance(told, dict) else {}


def _maybe_home(body: Body) -> bool:
    event = body.get("event")
    return isinstance(event, Mapping) and event.get("tab") == "home"


def _named(asked: AccessRequest) -> str:
    agent, tool, method = (code(cut(name, _NAME)) for name in (asked.agent_id, asked.tool_id, asked.method))
    return f"{agent} asks to run {tool} {method}"


# --- where a vote needs more


def _step_up(account: Account, click: Click, request: AccessRequest, *, now: datetime) -> None:
    """A window for the code where the tenant allows it and the card was whole; else a link and a number."""
    intent = _begin(account, click.person.identity, request, Decision.APPROVE, now=now)
    if click.is_offered and codes.allowed(request):
        aside.open_modal(account, click, _next_window(intent, request, is_known=True), now=now)
        return
    blocks = [block.to_dict() for block in modal.confirming(intents.link(intent), number=intent.number)]
    aside.whisper_blocks(account, click, "Confirm your vote on our page.", blocks, now=now)


def _begin(
    account: Account, identity: str, request: AccessRequest, decision: Decision, *, reason: str = "", now: datetime
) -> Intent:
    member = answers.member_of(account.tenant_id, KIND, identity)
    if member is None:
        raise clicks.NotUnderstood("nobody is known by this identity any more")
    return intents.begin(request, membership=member, decision=decision, reason=reason, surface=KIND, now=now)


def _next_window(intent: Intent, request: AccessRequest, *, is_known: bool) -> Mapping[str, Any]:
    if is_known and codes.allowed(request):
        verb = "Approve" if intent.decision == Decision.APPROVE else "Deny"
        return modal.totp(what=_named(request), verb=verb, memory=json.dumps({"intent": intent.pk}))
    return modal.confirm(intents.link(intent), number=intent.number)
