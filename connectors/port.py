"""What a connector can do, and what it is told: one request as it may be shown outside this house."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

Ref = Mapping[str, str]
"""Where a message ended up, in the other system's own words; kept with the delivery, never interpreted outside.

Save one member, `id`: what the other system's calls to us name it by. It is looked up, so it is kept in a column too.
"""


class TransportError(Exception):
    """The other system did not take it. `permanent`: trying again is no use until somebody changes something.

    The text is shown to administrators: what happened and what to do, never a secret, never a body.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Account:
    """One tenant's access to one system. `settings` hold its secrets: never logged, never shown."""

    tenant: str
    tenant_id: int
    kind: str
    settings: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to tell: a Slack channel, a Jira project, an address. `key` is unique per kind and tenant."""

    kind: str
    key: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line an approver is shown, with its secrets taken out. `flags` in words: what deserves a second look."""

    kind: str
    label: str
    value: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Needed:
    """One requirement and how far it is met."""

    teams: tuple[str, ...]
    quorum: int
    approved: int


@dataclass(frozen=True, slots=True)
class Said:
    """One vote, as all surfaces tell it; where it was cast is in words."""

    who: str
    decision: str
    reason: str
    surface: str
    assurance: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the request's story."""

    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Name:
    """What a message of ours is found again by: an id that opens nothing. None was sent under it before `since`."""

    id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """One request at one moment. Everything in it may leave the house; nothing else may.

    `version` rises with each change, so that an older telling never replaces a newer one. `outcome` is one sentence,
    empty while the request is pending, and `ended` as much of it as stays the same for ever. `is_whole` is false where
    a line had to be redacted or cannot be read by eye. `exception` is the title of the waiver that is asked for, if it
    is one.
    """

    request_id: str
    tenant: str
    version: int
    status: str
    agent: str
    principal: str
    tool: str
    method: str
    risk_tier: int | None
    risk_score: int | None
    rule: str
    reason: str
    justification: str
    lines: Sequence[Line]
    is_whole: bool
    display_hash: str
    step_up: str
    needed: Sequence[Needed]
    votes: Sequence[Said]
    opened_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    outcome: str
    story: Sequence[Moment]
    link: str
    ended: str = ""
    exception: str = ""

    @property
    def name(self) -> Name:
        """A request's message is called as the request is."""
        return Name(self.request_id, self.opened_at)


ABOUT = "about"
"""In a place's config: the ref of the message that words belong to. Who can, says them there and not anew."""


CALLED = "called"
"""In a place's config: what words are called, the same at every try. Who can, sends them so that twice counts once."""


ORIGIN = "origin"
"""In a place's config: the thread, issue or record that an ask came from. It hears two lines, and no card."""


@dataclass(frozen=True, slots=True)
class Item:
    """One request in a digest. The title may leave the house."""

    title: str
    expires_at: datetime
    link: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one place: the nearest deadlines first, `total` with those that are not listed, and the inbox.

    `is_replaced`: this message tells it no more, a newer one does.
    """

    total: int
    items: Sequence[Item]
    link: str
    is_replaced: bool = False


class Transport(Protocol):
    """One system, opened with one account. Blocking; every failure is a TransportError."""

    def post(self, place: Place, told: Told) -> Ref:
        """Tell a request for the first time.

        A failure that carries `retry_after` says that nothing was made: it is not looked for before the next try.
        """

    def edit(self, place: Place, ref: Ref, told: Told) -> Ref:
        """Replace what was told: after the end without buttons. Must be safe to repeat."""

    def find(self, place: Place, name: Name) -> Ref | None:
        """Where an earlier message of this name ended up whose answer was lost; None if it never arrived."""

    def say(self, place: Place, words: str) -> None:
        """A plain message: a test, a reminder, a digest."""

    def check(self) -> str:
        """One sentence of good health, for `doctor`; raises what is wrong."""


@runtime_checkable
class Board(Transport, Protocol):
    """What a Transport may do beside: keep one message that stands for many requests, and change it."""

    def digest(self, place: Place, ref: Ref | None, waiting: Waiting, *, name: Name) -> Ref:
        """Tell what waits: in a message of that name, or in place of what `ref` says. Nothing waits: say that.

        Without a ref, a failure that carries `retry_after` says that nothing was made, as with `post`.
        """


@dataclass(frozen=True, slots=True)
class Reply:
    """One line for a place that is not ours: a thread, an issue, a record.

    `where` names it as its caller did, `within` are the only channels, projects or tables it may be in. `name` tells
    the lines of a request apart; none was said before `since`.
    """

    where: Mapping[str, str]
    within: frozenset[str]
    request_id: str
    name: str
    words: str
    since: datetime


@runtime_checkable
class Replying(Protocol):
    """What a Transport may do beside: say a line below something that is there already."""

    def reply(self, reply: Reply) -> None:
        """Say it once, whoever tried before. Refused for good where the place is not `within`, or is our own."""
