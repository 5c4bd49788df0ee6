"""Slack as a Transport: a card a request, edited as it changes, its story in the card's thread.

The SDK's own retries sleep in the calling thread; ours go through the outbox. Each message carries its name and, of a
request, how far its story is told in its metadata, where a post whose answer was lost is found again. Any member and
app of the workspace may read metadata and post some of its own: only that of our own messages is believed.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.models.blocks import ContextBlock
from slack_sdk.web import SlackResponse

from connectors import plain as plainly
from connectors.port import ABOUT, Account, Moment, Name, Place, Ref, Reply, Told, Waiting
from connectors.slack import card, thread
from connectors.slack.calls import AS_IT_IS, POSTED, call, pages, said
from connectors.slack.failures import GONE, SlackRefused
from connectors.slack.manifest import HISTORY, SCOPES
from connectors.slack.text import cut, escape, marked, moment, plain
from connectors.slack.thread import SKEW
from connectors.slack.web import Web

SECONDS = 5
EVENT = "countersign_request"
DIGEST = "countersign_digest"
_NAMED: Mapping[str, str] = {EVENT: "request", DIGEST: "digest"}  # where each kind of metadata has the name
_PENDING = "pending"
_BEFORE = "0"  # sorts before any time
_MOMENTS = 40  # one block each
_PERSON = ("U", "W")

# The SDK logs what it sends and what it cannot read, requests' arguments and foreign pages among it.
SILENT = logging.getLogger("connectors.slack.sdk")
SILENT.setLevel(logging.CRITICAL + 1)


def open_(account: Account) -> "Slack":
    """Ready to tell; nothing is sent yet."""
    return Slack(client(account), team=account.settings.get("team", ""))


def client(account: Account, *, seconds: int = SECONDS) -> WebClient:
    """The account's Web API, which gives up after `seconds` and tries nothing twice."""
    return Web(
        token=account.settings.get("bot_token", ""),
        base_url=account.settings.get("api_url") or WebClient.BASE_URL,
        timeout=seconds,
        retry_handlers=[],
        logger=SILENT,
    )


class Slack:
    """One workspace. `team`: its id, if the account names the one it must be."""

    def __init__(self, web: WebClient, *, team: str = "") -> None:
        self._web = web
        self._team = team

    def post(self, place: Place, told: Told) -> Ref:
        """A new card. What the request's story has by then is on the card."""
        channel = self._channel(place)
        answer = call(
            self._web.chat_postMessage, channel=channel, metadata=_story(told), **card.message(told), **POSTED
        )
        return _ref(str(answer["channel"]), str(answer["ts"]), until=_latest(told.story))

    def edit(self, place: Place, ref: Ref, told: Told) -> Ref:
        """The card as it is now, then what is new of the story in its thread.

        A card that somebody deleted while the request waits is posted anew.
        """
        try:
            return self._updated(ref, told)
        except SlackRefused as refused:
            if refused.code not in GONE:
                raise
        if told.status != _PENDING:  # somebody tidied up; what is over needs no card
            return ref
        found = self._found_anew(place, ref, told.name)
        return self.post(place, told) if found is None else self._updated(found, told)

    def find(self, place: Place, name: Name) -> Ref | None:
        """Our own message of this name; None too where the app may not read the channel's history."""
        channel = self._channel(place)
        since = f"{(name.since - SKEW).timestamp():.6f}"
        found = pages(self._web.conversations_history, channel=channel, oldest=since)
        try:
            named = [message for message in found if _told_until(message, name.id)]
            own = str(call(self._web.auth_test)["bot_id"]) if named else ""
        except SlackRefused as refused:
            if refused.code == "missing_scope":
                return None
            raise
        for message in named:
            if message.get("bot_id") == own:
                return _ref(channel, str(message["ts"]), until=_told_until(message, name.id))
        return None

    def say(self, place: Place, words: str) -> None:
        """Words of ours, in the thread of what they are about; of the addresses in them only ours become links."""
        about: Ref = place.config.get(ABOUT, {})
        where = {"channel": about["channel"], "thread_ts": about["ts"]} if about else {"channel": self._channel(place)}
        call(self._web.chat_postMessage, **where, **said(words), **POSTED)

    def digest(self, place: Place, ref: Ref | None, waiting: Waiting, *, name: Name) -> Ref:
        """One message of words and links, without buttons; posted anew where somebody deleted it."""
        message = {**said(plainly.waiting(waiting)), "metadata": _metadata(DIGEST, name)}
        try:
            if ref:
                return self._reworded(ref, message)
        except SlackRefused as refused:
            if refused.code not in GONE:
                raise
        found = self._found_anew(place, ref, name) if ref else None
        if found is not None:
            return self._reworded(found, message)
        if not waiting.total:
            return {}
        answer = call(self._web.chat_postMessage, channel=self._channel(place), **message, **POSTED)
        return {"channel": str(answer["channel"]), "ts": str(answer["ts"])}

    def reply(self, reply: Reply) -> None:
        """A line in a thread that somebody else began."""
        thread.reply(self._web, reply)

    def check(self) -> str:
        """The workspace, what the app is called there, and whether it may do what we need."""
        answer = call(self._web.auth_test)
        team = str(answer.get("team_id", ""))
        if self._team and team != self._team:
            raise SlackRefused(
                f"The bot token is of workspace {team}, not of {self._team}. Enter the right one.", permanent=True
            )
        granted = _scopes(answer)
        if granted is not None and not granted >= SCOPES:
            words = f"The app lacks {', '.join(sorted(SCOPES - granted))}. Compare its manifest with"
            raise SlackRefused(f"{words} `manage.py slack_manifest`, then install it again.", permanent=True)
        blind = granted is not None and not granted & HISTORY
        note = " It may not read channels: a message whose answer is lost on the way is posted twice." if blind else ""
        return f"Slack lets us into {answer.get('team', team)} ({team}) as {answer.get('user', 'a bot')}.{note}"

    def publish(self, user: str, view: Mapping[str, Any]) -> None:
        """Set one person's App Home."""
        call(self._web.views_publish, user_id=user, view=dict(view))

    def _updated(self, ref: Ref, told: Told) -> Ref:
        self._reworded(ref, {**card.message(told), "metadata": _story(told)})
        return self._tell_story(ref, told)

    def _reworded(self, ref: Ref, message: Mapping[str, Any]) -> Ref:
        call(self._web.chat_update, channel=ref["channel"], ts=ref["ts"], **message, **AS_IT_IS)
        return ref

    def _found_anew(self, place: Place, ref: Ref, name: Name) -> Ref | None:
        """Where the message of a ref that is gone was posted anew already, by a try whose answer was lost."""
        found = self.find(place, name)
        return None if found is None or found["ts"] == ref["ts"] else found

    # --- the thread

    def _tell_story(self, ref: Ref, told: Told) -> Ref:
        """One reply with all that is new, by time: lines of a story may fold. The card says what was before it."""
        until = ref.get("until", "")
        if _since(told.story, until):
            until = max(until, self._replied(ref, told))
        new = _since(told.story, until)
        if new:
            call(
                self._web.chat_postMessage, channel=ref["channel"], thread_ts=ref["ts"], metadata=_story(told),
                text=escape(cut(" ".join(one.words for one in new), 300)), blocks=_moments(new), **POSTED,
            )  # fmt: skip
        return _ref(ref["channel"], ref["ts"], until=max(until, _latest(told.story)))

    def _replied(self, ref: Ref, told: Told) -> str:
        """How far our own replies tell the story already: the answer to one of them may have been lost."""
        found = pages(self._web.conversations_replies, channel=ref["channel"], ts=ref["ts"])
        try:
            there = list(found)
        except SlackRefused as refused:
            if refused.code == "missing_scope":
                return ""
            raise
        own = there[0].get("bot_id") if there else None
        replies = [message for message in there[1:] if own and message.get("bot_id") == own]
        return max((_told_until(message, told.request_id) for message in replies), default="")

    def _channel(self, place: Place) -> str:
        """Where to post. A person is told in the direct messages with the app, which are opened for it."""
        wanted = str(place.config.get("channel") or place.key).rpartition("/")[2]  # a person may come as TEAM/USER
        if not wanted.startswith(_PERSON):
            return wanted
        return str(call(self._web.conversations_open, users=wanted)["channel"]["id"])


def _ref(channel: str, ts: str, *, until: str) -> Ref:
    return {"channel": channel, "ts": ts, "until": until}


def _story(told: Told) -> dict[str, Any]:
    return _metadata(EVENT, told.name, until=_latest(told.story))


def _metadata(kind: str, name: Name, **more: str) -> dict[str, Any]:
    """No more than an id that opens nothing, and a time: everybody in the workspace can read it."""
    return {"event_type": kind, "event_payload": {_NAMED[kind]: name.id, **more}}


def _told_until(message: Mapping[str, Any], name: str) -> str:
    """How far a message tells the story of what is called so; empty if it speaks of something else."""
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    is_about_it = payload.get(_NAMED.get(str(metadata.get("event_type")), "")) == name
    return str(payload.get("until") or _BEFORE) if is_about_it else ""


def _latest(story: Sequence[Moment]) -> str:
    return max((_written(one.at) for one in story), default=_BEFORE)


def _since(story: Sequence[Moment], until: str) -> list[Moment]:
    return [one for one in story if _written(one.at) > until]


def _written(at: datetime) -> str:
    """A time as text that sorts as the time does."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _moments(story: Sequence[Moment]) -> list[dict[str, Any]]:
    """When and what, a line each."""
    lines = [(marked(moment(one.at)), plain(one.words, most=1000)) for one in story[:_MOMENTS]]
    return [ContextBlock(elements=line).to_dict() for line in lines]


def _scopes(answer: SlackResponse) -> frozenset[str] | None:
    """What the token may, by the header that says so; None if this Slack does not send it."""
    told = next((value for name, value in answer.headers.items() if name.lower() == "x-oauth-scopes"), None)
    return None if told is None else frozenset(scope.strip() for scope in str(told).split(","))
