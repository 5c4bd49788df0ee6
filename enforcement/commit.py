"""Judged calls in, durable answers out: one group commit per process, in a thread where it would block.

While one COMMIT runs, the calls that arrive gather; the next transaction takes them all: one look at the epochs and
the clock, the counters locked in sorted order, one INSERT of records. An answer leaves only after its COMMIT. What
was judged under an older epoch goes back to be judged again, for nothing is compiled inside a transaction. Whatever
fails, fails closed: no COMMIT, no answer but 503.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.db import connection

from enforcement import group
from enforcement.group import Outcome, Party, Ticket
from enforcement.judged import Judged
from enforcement.problems import Kind, Problem, unavailable

log = logging.getLogger(__name__)

MOST_AT_ONCE = 256  # calls in one transaction
CAPACITY = 4096  # calls that wait, of all tenants
SHARE = 2048  # calls that wait, of one tenant
DEADLINE = 2.0  # seconds from asking to answering; later the caller is told 503, whatever the database does
LOOK = 0.1  # seconds between two looks at the deadlines


Bundle = tuple[Ticket, ...]
"""Calls that go into one transaction: mostly one, or all of a request that asks many."""

Lines = OrderedDict[int, deque[Bundle]]
"""What waits, by tenant."""


def bundled(calls: Sequence[Judged], party: Party | None, loop: asyncio.AbstractEventLoop) -> Bundle:
    """Calls on their way, with one deadline."""
    deadline = time.monotonic() + DEADLINE
    return tuple(Ticket(judged, loop, loop.create_future(), deadline, party) for judged in calls)


@dataclass(slots=True)
class Waiting:
    """How many calls wait, in all and of each tenant. Touched by event loops and by the writer."""

    capacity: int
    share: int
    total: int = 0
    of: dict[int, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, tenant_id: int, calls: int = 1) -> None:
        """Room for all of them. Raises Problem: 503 when everybody's room is taken, 429 when this tenant's is."""
        with self.lock:
            mine = self.of.get(tenant_id, 0)
            if self.total + calls > self.capacity:
                raise unavailable("Too many calls wait to be recorded.")
            if mine + calls > self.share:
                raise Problem(Kind.TOO_MANY, "Too many calls of this tenant wait.", retry_after=1)
            self.total += calls
            self.of[tenant_id] = mine + calls

    def leave(self, tickets: Iterable[Ticket]) -> None:
        with self.lock:
            for ticket in tickets:
                tenant_id = ticket.judged.world.tenant_id
                self.total -= 1
                self.of[tenant_id] -= 1
                if not self.of[tenant_id]:
                    del self.of[tenant_id]


class Submits(Protocol):
    """What takes judged calls in."""

    def submit(self, judged: Judged) -> "asyncio.Future[bytes]":
        """The answer, once it is durable. Raises Problem at once if there is no room; the future: Problem or Stale."""

    def submit_all(self, calls: Sequence[Judged], *, ends_at: bool | None) -> "list[asyncio.Future[bytes]]":
        """The answers to calls of one tenant, which share a COMMIT. With `ends_at` they are decided in turn until one
        is decided so; the futures of the rest are NotAsked.
        """

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where it must be called; None if anywhere."""


class Writer:
    """The thread that commits, and a second one that watches deadlines while the first hangs in the database."""

    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, *, capacity: int = CAPACITY, share: int = SHARE) -> None:
        self._inbox: queue.SimpleQueue[Bundle | None] = queue.SimpleQueue()
        self._waiting = Waiting(capacity, share)
        self._watched: deque[Ticket] = deque()
        self._stopped = threading.Event()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._write, name="group-commit", daemon=True),
            threading.Thread(target=self._watch, name="deadlines", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, judged: Judged) -> "asyncio.Future[bytes]":
        """The answer, once it is durable. Raises Problem at once if there is no room; the future: Problem or Stale."""
        return self._enter((judged,), None)[0].future

    def submit_all(self, calls: Sequence[Judged], *, ends_at: bool | None) -> "list[asyncio.Future[bytes]]":
        """As `Submits` says."""
        party = None if ends_at is None else Party(ends_at)
        return [ticket.future for ticket in self._enter(calls, party)]

    def _enter(self, calls: Sequence[Judged], party: Party | None) -> Bundle:
        if self._closing:
            raise unavailable("The service is shutting down.")
        self._waiting.enter(calls[0].world.tenant_id, len(calls))
        bundle = bundled(calls, party, asyncio.get_running_loop())
        self._watched.extend(bundle)
        self._inbox.put(bundle)
        return bundle

    def stop(self, timeout: float = 10.0) -> None:
        """Commit what has been submitted, then end."""
        self._closing = True
        self._inbox.put(None)
        self._threads[0].join(timeout)
        self._stopped.set()
        self._threads[1].join(1.0)

    # --- the writing thread

    def _write(self) -> None:
        waiting: Lines = OrderedDict()
        open_ = True
        while open_ or waiting:
            open_ = self._gather(waiting) and open_
            tickets = fair_share(waiting)
            if not tickets:
                continue
            try:
                outcomes = group.commit(tickets)
            except Exception:
                log.exception("the group commit failed in a way nobody foresaw")
                outcomes = [unavailable()] * len(tickets)
            self._waiting.leave(tickets)
            release(tickets, outcomes)
        connection.close()

    def _gather(self, waiting: Lines) -> bool:
        """Take in all that has come; wait only if nothing is left to do. False once told to stop."""
        try:
            bundle = self._inbox.get(block=not waiting)
            while bundle is not None:
                waiting.setdefault(bundle[0].judged.world.tenant_id, deque()).append(bundle)
                bundle = self._inbox.get_nowait()
        except queue.Empty:
            return True
        return False

    # --- the watching thread

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK):
            now = time.monotonic()
            late = []
            while self._watched and (self._watched[0].deadline <= now or self._watched[0].future.done()):
                ticket = self._watched.popleft()
                if not ticket.future.done():
                    late.append(ticket)
            release(late, [unavailable("The record could not be written in time.")] * len(late))


def fair_share(waiting: Lines) -> list[Ticket]:
    """About a batch, one bundle of each tenant in turn, so that a noisy tenant delays its own calls only.

    A bundle is never divided: its last call may be a little beyond the batch.
    """
    taken: list[Ticket] = []
    if len(waiting) == 1:
        ((tenant_id, line),) = waiting.items()
        while line and len(taken) < MOST_AT_ONCE:
            taken += line.popleft()
        if not line:
            del waiting[tenant_id]
        return taken
    while waiting and len(taken) < MOST_AT_ONCE:
        tenant_id, line = waiting.popitem(last=False)
        taken += line.popleft()
        if line:
            waiting[tenant_id] = line  # to the end of the round
    return taken


def release(tickets: Sequence[Ticket], outcomes: Sequence[Outcome]) -> None:
    """Wake those who wait, with one call into each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[bytes], Outcome]]] = {}
    for ticket, outcome in zip(tickets, outcomes, strict=True):
        by_loop.setdefault(ticket.loop, []).append((ticket.future, outcome))
    for loop, ended in by_loop.items():
        try:
            loop.call_soon_threadsafe(settle, ended)
        except RuntimeError:  # that loop is closed: nobody waits there any more
            log.debug("an event loop ended before its answers")


def settle(ended: Iterable[tuple["asyncio.Future[bytes]", Outcome]]) -> None:
    for future, outcome in ended:
        if future.done():
            continue
        if isinstance(outcome, bytes):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)


# --- the one writer of this process

_writer: Writer | None = None
_making = threading.Lock()
_on_loop: Submits | None = None


def writer() -> Submits:
    """The one of this event loop; elsewhere the thread, started with the first call, and again after a fork."""
    if _on_loop is not None and _on_loop.loop is asyncio.get_running_loop():
        return _on_loop
    return _writer or _make()


def use(writer: Submits | None) -> Submits | None:
    """Let another take in the calls of its event loop; answers which one did before."""
    global _on_loop
    before, _on_loop = _on_loop, writer
    return before


def _make() -> Writer:
    global _writer  # noqa: PLW0603 - the process has one, as it has one set of threads
    with _making:
        if _writer is None:
            _writer = Writer()
        return _writer


def stop() -> None:
    """Commit what waits and end the thread; the next call starts another."""
    global _writer
    with _making:
        ending, _writer = _writer, None
    if ending is not None:
        ending.stop()


def _forget() -> None:
    """In a forked process: threads did not follow, and the lock may have been held."""
    global _writer, _making, _on_loop
    _writer, _making, _on_loop = None, threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
