"""`/approvals` and what was typed after it in, what Slack answers to that one person out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from approvals import inbox
from connectors import answers
from connectors.port import Account
from connectors.slack import linking
from connectors.slack.clicks import Person, person_of
from connectors.slack.signature import KIND
from connectors.slack.text import code, cut, link, linked, moment
from registry import throttle
from registry.models import Membership

_LISTED = 15
_NAME = 60
_LINK_FIRST = (
    "Your Slack account is not linked to anybody in Countersign yet. Sign in there, open your account, choose Slack,"
    " and type the code you are shown: /approvals link CODE"
)
_HELP = (
    "`/approvals list` – what waits for your answer\n"
    "`/approvals link CODE` – link this Slack account with the code that your account page shows\n"
    "`/approvals unlink` – take that link back\n"
    "`/approvals help` – this"
)


def run(account: Account, body: Mapping[str, Any], *, now: datetime) -> Mapping[str, Any]:
    """The answer, as Bolt's `ack` takes it."""
    verb, _, rest = str(body.get("text") or "").strip().partition(" ")
    person = person_of(body)
    match verb.lower():
        case "" | "list":
            return _said(_list(account, person, now=now))
        case "link":
            return _said(_link(account, person, rest.strip(), now=now))
        case "unlink":
            return _said(_unlink(account, person, now=now))
        case _:
            return _said(_HELP)


def _list(account: Account, person: Person, *, now: datetime) -> str:
    member = answers.member_of(account.tenant_id, KIND, person.identity)
    if member is None:
        return _ours(f"{_LINK_FIRST}\n{settings.COUNTERSIGN.base_url}/account/")
    found = inbox.of(member, now=now)
    if not found.waiting:
        return "Nothing waits for your answer."
    rows = [_row(row.asked) for row in found.waiting[:_LISTED]]
    more = found.total - len(rows)
    rest = f"\n… and {more} more: {link(f'{settings.COUNTERSIGN.base_url}/inbox/', 'your inbox')}" if more > 0 else ""
    return f"*{found.total} waiting for your answer*\n" + "\n".join(rows) + rest


def _row(asked: Any) -> str:
    """Which agent wants what until when. Arguments are read on the card or the page, never in a list."""
    agent, tool, method = (code(cut(name, _NAME)) for name in (asked.agent_id, asked.tool_id, asked.method))
    return (
        f"• {link(answers.request_link(asked.pk), 'open')} {agent}: {tool} {method}, until {moment(asked.expires_at)}"
    )


def _link(account: Account, person: Person, typed: str, *, now: datetime) -> str:
    if not typed:
        return _ours(f"{_LINK_FIRST}\n{settings.COUNTERSIGN.base_url}/account/")
    known = answers.member_of(account.tenant_id, KIND, person.identity)
    if known is not None:
        return f"This Slack account is linked already, to {_who(known)}."
    try:
        member = linking.offer(account.tenant_id, typed, person, now=now)
    except throttle.Waiting as waiting:
        return f"Too many wrong codes. Try again after {moment(waiting.until)}."
    except linking.UnknownCode:
        return "That code is unknown, typed before, or older than five minutes. Make a new one on your account page."
    return (
        f"This is the code of {_who(member)}. If that is you, go back to the page that showed it and confirm there:"
        " until then nothing is linked. If somebody sent you this code, do not go on and tell your administrator."
    )


def _unlink(account: Account, person: Person, *, now: datetime) -> str:
    """From here too: whoever was talked into a link must be able to take it back without anybody's help."""
    member = answers.member_of(account.tenant_id, KIND, person.identity)
    if member is None:
        return "This Slack account is linked to nobody."
    linking.forget(member, now=now)
    return f"This Slack account is no longer {_who(member)}'s. What it answered before stands."


def _who(member: Membership) -> str:
    return code(member.user.username)


def _ours(words: str) -> str:
    return linked(words, origin=settings.COUNTERSIGN.base_url)


def _said(text: str) -> Mapping[str, Any]:
    return {"response_type": "ephemeral", "text": text, "unfurl_links": False, "unfurl_media": False}
