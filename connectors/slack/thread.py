"""A line for a thread that somebody else began in, said there once out; never below a message of our own."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from slack_sdk import WebClient

from connectors.port import Reply
from connectors.slack.calls import POSTED, call, pages, said
from connectors.slack.failures import SlackRefused

LINE = "countersign_line"  # another word than that of cards: who looks for a card must not find a line
SKEW = timedelta(minutes=5)  # between our clock and Slack's

NOT_WITHIN = "No channel of the tenant lists that one under origins, so nothing is told there."
NO_THREAD = "No thread begins at that message. Give the ts of its first message."
OURS = "The thread is below a message of Countersign's own, where nothing of another request is told."


def reply(web: WebClient, line: Reply) -> None:
    """Look into the thread, then say it. A thread is in one channel: with another's name it is not found.

    Raises SlackRefused, for good where the app may not read the thread: it could not tell whose it is.
    """
    channel, ts = line.where["channel"], line.where["thread"]
    if channel not in line.within:
        raise SlackRefused(NOT_WITHIN, permanent=True)
    there = call(web.conversations_replies, channel=channel, ts=ts, limit=1).get("messages") or []
    if not there or str(there[0].get("ts")) != ts or there[0].get("thread_ts", ts) != ts:
        raise SlackRefused(NO_THREAD, permanent=True)
    since = f"{(line.since - SKEW).timestamp():.6f}"
    lines = [
        one for one in pages(web.conversations_replies, channel=channel, ts=ts, oldest=since) if _is_line(one, line)
    ]
    by_bots = [one for one in (there[0], *lines) if one.get("bot_id")]
    own = str(call(web.auth_test)["bot_id"]) if by_bots else ""  # anybody in the workspace may post our metadata
    if there[0].get("bot_id") == own != "":
        raise SlackRefused(OURS, permanent=True)
    if not any(one.get("bot_id") == own != "" for one in lines):
        call(
            web.chat_postMessage, channel=channel, thread_ts=ts, metadata=_metadata(line), **said(line.words), **POSTED
        )  # fmt: skip


def _metadata(line: Reply) -> dict[str, Any]:
    return {"event_type": LINE, "event_payload": {"request": line.request_id, "line": line.name}}


def _is_line(message: Mapping[str, Any], line: Reply) -> bool:
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    named = (payload.get("request"), payload.get("line"))
    return metadata.get("event_type") == LINE and named == (line.request_id, line.name)
