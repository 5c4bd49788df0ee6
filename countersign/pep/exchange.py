"""One HTTP exchange: what to send, when to send it again, when to give up. Pure: its effects are done by a driver.

A conversation with the PDP is a generator. It yields what it wants done (`Message`, `Pause`, …) and is sent what came
of it, so that the synchronous and the asynchronous client share every decision and differ only in how they wait.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import inf
from time import monotonic
from typing import TypeAlias, TypeVar

from countersign.pep.answer import Answer, Away, Task, Unavailable

T = TypeVar("T")

AGAIN = frozenset({429, 502, 503, 504})  # the PDP or something before it says: not now
FIRST_PAUSE = 0.1  # seconds, doubled with each try
LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One HTTP request. `timeout` bounds it from connect to the last byte, in seconds."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Told before each look at a pending task, for drivers that show progress."""

    task: Task
    elapsed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """An answer with a receipt, to be kept before anything is done on its word."""

    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Nothing came back. `again`: the connection broke, so another try may help; `slow`: a timeout, which has used the
    time of this exchange.
    """

    reason: str
    again: bool
    slow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Something of the program's own that an allow obliges to. What it gives is awaited if there is an event loop."""

    do: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of it: what it gave, or what it raised."""

    value: object = None
    error: Exception | None = None


Effect: TypeAlias = Message | Pause | Waiting | Keep | Doing
Result: TypeAlias = Reply | Lost | Done | None
Steps: TypeAlias = Generator[Effect, Result, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one exchange may take: each try `timeout` seconds, all tries together no new one after `total`."""

    timeout: float = 5.0
    total: float = 4.0
    clock: Callable[[], float] = monotonic
    jitter: Callable[[], float] = random.random


def exchange(message: Message, patience: Patience) -> Steps[Reply]:
    """Send until a reply is worth reading. Raises Unavailable; Away where it may be worth another exchange later."""
    ends = patience.clock() + patience.total
    for tries in count():
        result = yield message
        if isinstance(result, Reply) and result.status not in AGAIN:
            return result
        why, floor = _trouble(result)
        pause = max(floor, min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE) * (0.5 + patience.jitter()))
        if patience.clock() + pause >= ends:
            raise Away(why)
        yield Pause(seconds=pause)
    raise AssertionError("count() does not end")


def _trouble(result: Result) -> tuple[str, float]:
    """Why to try again and the least pause before; raises Unavailable where another try is no help."""
    if isinstance(result, Reply):
        return f"the PDP answered {result.status}", retry_after(result)
    if isinstance(result, Lost) and result.again:
        return result.reason, 0.0
    if isinstance(result, Lost) and result.slow:
        raise Away(result.reason)
    raise Unavailable(result.reason if isinstance(result, Lost) else "the driver gave no result")


def retry_after(reply: Reply) -> float:
    """Seconds asked for by Retry-After (RFC 9110, 10.2.3). A date, or anything else, is longer than we wait."""
    value = reply.headers.get("retry-after", "0").strip()
    return float(value) if value.isascii() and value.isdigit() else inf
