"""One Slack workspace in memory: people, channels, messages, views, and what is lent out for a while. No HTTP here."""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from examples.lookalikes.faults import Faults

ALL_SCOPES = frozenset(
    {"chat:write", "commands", "im:write", "users:read", "users:read.email", "channels:history", "groups:history"}
)
Json = dict[str, Any]
Blocks = list[Json]


class Refused(Exception):
    """A Web API answer with `ok: false`. `complaints` go to `response_metadata.messages`, as Slack puts them."""

    def __init__(self, error: str, complaints: Sequence[str] = (), **more: object) -> None:
        super().__init__(error)
        self.error, self.complaints, self.more = error, list(complaints), more


@dataclass
class Person:
    id: str
    name: str
    real_name: str
    email: str
    is_bot: bool = False
    deleted: bool = False


@dataclass
class Channel:
    """`members` are ids; the app is one of them where it may post. `im_of` names the person of a direct message."""

    id: str
    name: str
    members: set[str]
    im_of: str = ""
    is_archived: bool = False


@dataclass
class Message:
    """A message as stored. `only_for` is set on an ephemeral one; `versions` keeps the blocks of earlier edits."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: Blocks = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str | None = None
    only_for: str | None = None
    edited_ts: str | None = None
    deleted: bool = False
    versions: list[Blocks] = field(default_factory=list)


@dataclass
class View:
    id: str
    user: str
    shape: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    is_open: bool = True
    errors: dict[str, str] = field(default_factory=dict)


@dataclass
class Lent:
    """A trigger or response URL: whose it is, from when, how often used."""

    user: str
    at: float
    uses: int = 0
    channel: str = ""
    message_ts: str = ""
    view_id: str = ""


@dataclass(frozen=True)
class Called:
    """One call the app made to us."""

    method: str
    arguments: Mapping[str, Any]
    answer: Mapping[str, Any]
    at: float


@dataclass(frozen=True)
class Delivered:
    """One thing we told the app, with its answer. `status` None: no answer at all, or too late."""

    kind: str
    payload: Mapping[str, Any]
    status: int | None
    body: str
    attempts: int
    seconds: float

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004


@dataclass
class Workspace:
    """The whole state. Everything that changes it holds `lock`; `revision` rises with what a person can see."""

    team_id: str = "T0ACME"
    team: str = "Acme"
    app_id: str = "A0COUNTERSIGN"
    app_name: str = "Countersign"
    bot_id: str = "B0COUNTERSIGN"
    bot_user: str = "U0COUNTERSIGN"
    bot_token: str = field(default_factory=lambda: f"xoxb-lookalike-{secrets.token_hex(12)}")
    app_token: str = ""
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    scopes: frozenset[str] = ALL_SCOPES
    request_url: str = ""
    base_url: str = ""
    answer_within: float = 3.0
    trigger_lifetime: float = 3.0
    retry_after: Sequence[float] = (0.0, 60.0, 300.0)
    storm: bool | None = False

    def __post_init__(self) -> None:
        self.app_token = self.app_token or f"xapp-1-{self.app_id}-{secrets.randbelow(10**12)}-{secrets.token_hex(16)}"
        self.lock = threading.RLock()
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: list[Message] = []
        self.views: dict[str, View] = {}
        self.stacks: dict[str, list[str]] = {}
        self.homes: dict[str, str] = {}
        self.triggers: dict[str, Lent] = {}
        self.response_urls: dict[str, Lent] = {}
        self.tickets: set[str] = set()
        self.calls: list[Called] = []
        self.delivered: list[Delivered] = []
        self.faults = Faults("slack", storm=self.storm)
        self.revision = 0
        self._last_ts = 0
        self.add_person(Person(self.bot_user, "countersign", self.app_name, "", is_bot=True))

    def add_person(self, person: Person) -> Person:
        self.people[person.id] = person
        return person

    def add_channel(self, channel_id: str, name: str, *, members: Sequence[str] = (), with_app: bool = True) -> Channel:
        channel = Channel(channel_id, name, {*members, *([self.bot_user] if with_app else [])})
        self.channels[channel_id] = channel
        return channel

    def direct(self, user: str) -> Channel:
        """The direct messages between the app and a person, opened at the first need."""
        for channel in self.channels.values():
            if channel.im_of == user:
                return channel
        channel = Channel(f"D{user[1:]}", "", {user, self.bot_user}, im_of=user)
        self.channels[channel.id] = channel
        return channel

    def next_ts(self) -> str:
        """Seconds and microseconds, never twice: a message's name within its channel."""
        now = max(time.time_ns() // 1000, self._last_ts + 1)
        self._last_ts = now
        return f"{now // 1_000_000}.{now % 1_000_000:06d}"

    def changed(self) -> None:
        self.revision += 1

    def message(self, channel: str, ts: str) -> Message | None:
        for message in self.messages:
            if message.channel == channel and message.ts == ts and not message.deleted:
                return message
        return None

    def seen_by(self, user: str, channel: str) -> Iterator[Message]:
        """What this person finds in a channel, oldest first: everybody's messages and their own ephemeral ones."""
        member = user in self.channels[channel].members
        for message in self.messages:
            if message.channel == channel and member and not message.deleted and message.only_for in {None, user}:
                yield message

    def post(self, message: Message) -> Message:
        self.messages.append(message)
        self.changed()
        return message

    def lend_trigger(self, user: str) -> str:
        trigger = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**13)}.{secrets.token_hex(16)}"
        self.triggers[trigger] = Lent(user, time.monotonic())
        return trigger

    def redeem_trigger(self, trigger: str) -> Lent:
        """Whose interaction this trigger came from. Good once, for `trigger_lifetime` seconds."""
        lent = self.triggers.get(trigger)
        if lent is None:
            raise Refused("invalid_trigger_id")
        if time.monotonic() - lent.at > self.trigger_lifetime:
            raise Refused("expired_trigger_id")
        if lent.uses:
            raise Refused("exchanged_trigger_id")
        lent.uses += 1
        return lent

    def lend_response_url(self, user: str, channel: str, message_ts: str) -> str:
        secret = secrets.token_hex(12)
        self.response_urls[secret] = Lent(user, time.monotonic(), channel=channel, message_ts=message_ts)
        return f"{self.base_url}/actions/{self.team_id}/{secret}"

    def top_view(self, user: str) -> View | None:
        """The modal this person looks at."""
        stack = self.stacks.get(user, [])
        return self.views[stack[-1]] if stack else None
