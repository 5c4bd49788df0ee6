"""What goes to one person alone in, told in Slack out: words beside a card, or a modal. Jobs of the outbox.

A person waits for these, and a trigger lives three seconds: such a job goes before all others that are due.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from slack_sdk.models.blocks import SectionBlock

from approvals.models import AccessRequest
from connectors import accounts, telling
from connectors.port import Account
from connectors.slack import modal
from connectors.slack.clicks import Click
from connectors.slack.failures import SlackRefused, translated
from connectors.slack.signature import KIND
from connectors.slack.text import cut, escape, linked, marked
from connectors.slack.transport import client
from evidence import clock
from outbox import pump
from outbox.queue import enqueue, handler
from registry.models import Tenant

WHISPER = "connectors.slack.whisper"
MODAL = "connectors.slack.modal"
_WORTH = timedelta(minutes=5)  # an answer that comes later confuses
_TRIGGER = timedelta(seconds=3)
AHEAD = timedelta(hours=1)  # of what is merely due
_SECONDS = 3
_LATE = "Slack waited too long to open a window here. Press the button again, or decide on our page: "
_NO_WINDOW = frozenset({"expired_trigger_id", "trigger_expired", "exchanged_trigger_id", "trigger_exchanged"})
_NOT_HERE = frozenset({"channel_not_found", "not_in_channel", "user_not_in_channel", "is_archived"})


def whisper(account: Account, click: Click, words: str, *, now: datetime) -> None:
    """Plain words of ours to whoever pressed, through the outbox."""
    section = SectionBlock(text=marked(linked(words, origin=settings.COUNTERSIGN.base_url)))
    whisper_blocks(account, click, escape(cut(words, 300)), [section.to_dict()], now=now)


def note(account: Account, user: str, words: str, *, now: datetime) -> None:
    """Plain words of ours into somebody's direct messages, through the outbox."""
    section = SectionBlock(text=marked(linked(words, origin=settings.COUNTERSIGN.base_url)))
    payload = {
        "tenant": account.tenant_id, "user": user, "channel": "", "thread": "", "text": escape(cut(words, 300)),
        "blocks": [section.to_dict()], "until": (now + _WORTH).isoformat(),
    }  # fmt: skip
    enqueue(WHISPER, payload, tenant=account.tenant, run_at=now - AHEAD, max_attempts=4)


def whisper_blocks(
    account: Account, click: Click, text: str, blocks: Sequence[Mapping[str, Any]], *, now: datetime
) -> None:
    payload = {
        "tenant": account.tenant_id, "user": click.person.user, "channel": click.channel, "thread": click.thread,
        "text": text, "blocks": list(blocks), "until": (now + _WORTH).isoformat(),
    }  # fmt: skip
    enqueue(WHISPER, payload, tenant=account.tenant, run_at=now - AHEAD, max_attempts=4)


def open_modal(account: Account, click: Click, view: Mapping[str, Any] | None, *, pressed_at: datetime) -> None:
    """Open a window for whoever pressed, while their trigger lives. None: the request's details, built by then."""
    payload = {
        "tenant": account.tenant_id, "user": click.person.user, "channel": click.channel, "thread": click.thread,
        "trigger": click.trigger, "request": click.request_id, "view": view,
        "pressed_at": pressed_at.isoformat(),
    }  # fmt: skip
    enqueue(MODAL, payload, tenant=account.tenant, run_at=pressed_at - AHEAD, max_attempts=1)


@handler(WHISPER)
def tell(payload: Mapping[str, Any]) -> None:
    """Say it beside the card; where the app or the person is not in that channel, in their direct messages."""
    if clock.now() >= datetime.fromisoformat(payload["until"]):
        return
    try:
        _told(payload)
    except SlackRefused as refused:
        if refused.permanent:
            raise pump.Permanent(str(refused)) from refused
        if refused.retry_after is not None:
            raise pump.Later(refused.retry_after) from refused
        raise


@handler(MODAL)
def show(payload: Mapping[str, Any]) -> None:
    """Open the window; where its time is over or Slack does not answer, say so instead. Never tried twice."""
    now = clock.now()
    if now - datetime.fromisoformat(payload["pressed_at"]) < _TRIGGER:
        try:
            web = client(account_of(payload["tenant"]), seconds=_SECONDS)
            with translated():
                web.views_open(trigger_id=payload["trigger"], view=payload["view"] or _details(payload))
        except SlackRefused as refused:
            if refused.permanent and refused.code not in _NO_WINDOW:
                raise pump.Permanent(str(refused)) from refused
        else:
            return
    _say_late(payload, now=now)


def _say_late(payload: Mapping[str, Any], *, now: datetime) -> None:
    address = f"{settings.COUNTERSIGN.base_url}/requests/{payload['request']}/"
    section = SectionBlock(text=marked(linked(f"{_LATE}{address}", origin=settings.COUNTERSIGN.base_url)))
    told = {name: payload[name] for name in ("tenant", "user", "channel", "thread")}
    told |= {"text": escape(_LATE), "blocks": [section.to_dict()], "until": (now + _WORTH).isoformat()}
    slug = account_of(payload["tenant"]).tenant
    enqueue(WHISPER, told, tenant=slug, run_at=now - AHEAD, max_attempts=4)


def _told(payload: Mapping[str, Any]) -> None:
    web = client(account_of(payload["tenant"]), seconds=_SECONDS)
    said = {"text": payload["text"], "blocks": payload["blocks"]}
    if payload["channel"]:
        beside = {"thread_ts": payload["thread"]} if payload["thread"] else {}
        try:
            with translated():
                web.chat_postEphemeral(channel=payload["channel"], user=payload["user"], **beside, **said)
        except SlackRefused as refused:
            if refused.code not in _NOT_HERE:
                raise
        else:
            return
    with translated():
        channel = web.conversations_open(users=payload["user"])["channel"]["id"]
        web.chat_postMessage(channel=channel, unfurl_links=False, unfurl_media=False, **said)


def _details(payload: Mapping[str, Any]) -> dict[str, Any]:
    rows = AccessRequest.objects.select_related("tenant")
    request = rows.get(pk=payload["request"], tenant_id=payload["tenant"])
    return modal.details(telling.told(request, version=0))


def account_of(tenant_id: int) -> Account:
    """A job's account. Raises pump.Permanent where it has none."""
    tenant = Tenant.objects.get(pk=tenant_id)
    found = accounts.account(tenant, KIND)
    if found is None:
        raise pump.Permanent(f"{tenant.slug} has no Slack any more")
    return found
