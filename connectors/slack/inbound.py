"""What a person did in Slack in, what Slack is told at once out. No network: that is the outbox's.

A button is only kept here, and acted on behind the answer. A window is answered in itself, so it is acted on first.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals import intents, problems
from approvals.models import Decision
from connectors import answers, once
from connectors.answers import Counted, Refused, StepUpNeeded, Unlinked
from connectors.port import Account
from connectors.slack import clicks, codes, confirming, modal, pressing
from connectors.slack.clicks import Body
from connectors.slack.home import HOME
from connectors.slack.pressing import NOT_LINKED
from connectors.slack.signature import KIND
from outbox.queue import enqueue

Reply = Mapping[str, Any]  # what Bolt's `ack` takes
TAKEN: Reply = {}


def pressed(account: Account, body: Body, *, action: str, now: datetime) -> Reply:
    """One of our buttons. What comes of it follows behind the answer: nobody's click waits for another's."""
    pressing.keep(account, clicks.click_of(body, action_id=action), action=action, now=now)
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
            return modal.error(modal.REASON, f"{NOT_LINKED}{link}")
        case StepUpNeeded(request=request):
            intent = confirming.begin(account, person.identity, request, Decision.DENY, reason=reason, now=now)
            is_known = memory.get("seen") == request.display_hash
            return {"response_action": "update", "view": confirming.next_window(intent, request, is_known=is_known)}


def code_given(account: Account, body: Body, *, now: datetime) -> Reply:
    """A vote confirmed with a code typed in Slack, where the tenant allows it."""
    view, person = _view(body), clicks.person_of(body)
    if not _first(account, "view", _sent(view, body), now=now):
        return TAKEN
    member = answers.member_of(account.tenant_id, KIND, person.identity)
    if member is None:
        return modal.error(modal.CODE, f"{NOT_LINKED}{answers.account_link()}")
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
