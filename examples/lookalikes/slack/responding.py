"""Response URLs: what an app may say after an interaction, five times within half an hour.

https://docs.slack.dev/interactivity/handling-user-interaction/#message_responses
"""

import json
import time
from typing import Any

from examples.lookalikes.slack import acting, chatting
from examples.lookalikes.slack.workspace import Json, Lent, Message, Refused, Workspace

USES = 5
LIFETIME = 1800.0


def respond(workspace: Workspace, secret: str, body: bytes) -> Json:
    """Carry out one response. Raises Refused."""
    with workspace.lock:
        lent = workspace.response_urls.get(secret)
        if lent is None:
            raise Refused("invalid_url")
        if time.monotonic() - lent.at > LIFETIME or lent.uses >= USES:
            raise Refused("expired_url" if lent.uses < USES else "used_url")
        said = _parsed(body)
        lent.uses += 1
        _carry_out(workspace, lent, said)
        return {"ok": True}


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        raise Refused("invalid_payload") from None
    if not isinstance(said, dict):
        raise Refused("invalid_payload")
    return said


def _carry_out(workspace: Workspace, lent: Lent, said: dict[str, Any]) -> None:
    source = workspace.message(lent.channel, lent.message_ts) if lent.message_ts else None
    if said.get("delete_original"):
        _delete(workspace, source)
    elif said.get("replace_original"):
        _replace(workspace, source, said)
    else:
        thread = said.get("thread_ts") or (source.thread_ts if source else None)
        acting.shown_from(workspace, json.dumps(said), user=lent.user, channel=lent.channel, thread=thread)


def _delete(workspace: Workspace, source: Message | None) -> None:
    if source is None:
        raise Refused("message_not_found")
    source.deleted = True
    workspace.changed()


def _replace(workspace: Workspace, source: Message | None, said: dict[str, Any]) -> None:
    if source is None:
        raise Refused("message_not_found")
    text, blocks = chatting.text_of(said), chatting.blocks_of(said)
    if not text and not blocks:
        raise Refused("no_text")
    chatting.revise(workspace, source, text=text, blocks=blocks)
