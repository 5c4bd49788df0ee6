"""The group commit on the event loop itself, where the database is PostgreSQL: judged calls in, durable answers out.

The same groups in the same transaction as the writing thread's (`commit`), without the thread: between two threads
each wait for the database is a wait for the interpreter as well. While one group's COMMIT is on its way, calls gather
and the next group begins on a second connection: with one, the process would idle for as long as the disk takes.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from django.db import connection

from enforcement import commit
from enforcement.attempts import Name
from enforcement.commit import CAPACITY, LOOK, SHARE, Bundle, Lines, bundled, fair_share, settle
from enforcement.committer import Committer
from enforcement.group import Party, Ticket, name_of
from enforcement.judged import Judged
from enforcement.problems import unavailable

_COMMITTERS = 2  # a third finds nothing left to do, and makes groups smaller
_GOODBYE = 10.0  # seconds for what waits at the end
_RETRY = 0.5  # seconds until a committer without a connection looks for one again, while the other has one


class Writer:
    """One of an event loop. All of it runs there, so nothing needs a lock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, capacity: int = CAPACITY, share: int = SHARE) -> None:
        self.loop = loop
        self._waiting = commit.Waiting(capacity, share)
        self._lines: Lines = OrderedDict()
        self._watched: deque[Ticket] = deque()
        self._bell: asyncio.Future[None] | None = None
        self._closing = False
        self._turn = asyncio.Lock()
        self._under_way: dict[Name, asyncio.Future[None]] = {}  # attempts whose COMMIT is not known of yet
        self._committers = [Committer(loop, lost=self._doubt) for _ in range(_COMMITTERS)]
        self._tasks = {loop.create_task(self._write(committer)) for committer in self._committers}
        self._watch = loop.call_later(LOOK, self._look)

    def submit(self, judged: Judged) -> "asyncio.Future[bytes]":
        """The answer, once it is durable. Raises Problem at once if there is no room; the future: Problem or Stale."""
        return self._enter((judged,), None)[0].future

    def submit_all(self, calls: Sequence[Judged], *, ends_at: bool | None) -> "list[asyncio.Future[bytes]]":
        """As `commit.Submits` says."""
        party = None if ends_at is None else Party(ends_at)
        return [ticket.future for ticket in self._enter(calls, party)]

    def _enter(self, calls: Sequence[Judged], party: Party | None) -> Bundle:
        if self._closing:
            raise unavailable("The service is shutting down.")
        tenant_id = calls[0].world.tenant_id
        self._waiting.enter(tenant_id, len(calls))
        bundle = bundled(calls, party, self.loop)
        self._watched.extend(bundle)
        self._lines.setdefault(tenant_id, deque()).append(bundle)
        self._ring()
        return bundle

    async def stop(self) -> None:
        """Commit what has been submitted, then end."""
        self._closing = True
        self._ring()
        await asyncio.wait(self._tasks, timeout=_GOODBYE)
        for task in self._tasks:
            task.cancel()
        self._watch.cancel()
        for committer in self._committers:
            committer.drop()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def _write(self, committer: Committer) -> None:
        while True:
            await committer.connect()
            if not committer.is_connected and any(other.may_commit for other in self._committers):
                if self._closing:
                    return
                await asyncio.sleep(_RETRY)  # the one that can commit does
                continue
            async with _Turn(self._turn) as turn:
                if not await self._asked():
                    return
                tickets = fair_share(self._lines)
                async with self._alone_with(tickets):
                    outcomes = await committer.commit(tickets, written=turn.pass_on)
            self._waiting.leave(tickets)
            settle(zip([ticket.future for ticket in tickets], outcomes, strict=True))

    @asynccontextmanager
    async def _alone_with(self, tickets: Sequence[Ticket]) -> AsyncIterator[None]:
        """While nobody else commits an attempt of theirs: the first answer is there before it is asked for again.

        Waiting costs one COMMIT; two that met in the database would cost the whole group a second transaction.
        """
        names = {name for ticket in tickets if (name := name_of(ticket)) is not None}
        while met := [self._under_way[name] for name in names if name in self._under_way]:
            await asyncio.wait(met)
        done: asyncio.Future[None] = self.loop.create_future()
        self._under_way |= dict.fromkeys(names, done)
        try:
            yield
        finally:
            for name in names:
                del self._under_way[name]
            done.set_result(None)

    def _doubt(self) -> None:
        for committer in self._committers:
            committer.doubt()

    async def _asked(self) -> bool:
        """Wait until there is something to commit; False if nothing will come any more."""
        while not self._lines:
            if self._closing:
                return False
            self._bell = self.loop.create_future()
            await self._bell
        return True

    def _look(self) -> None:
        """Tell those whose time is up, whatever the database does."""
        now = time.monotonic()
        watched = self._watched
        while watched and (watched[0].future.done() or watched[0].deadline <= now):
            ticket = watched.popleft()
            if not ticket.future.done():
                settle([(ticket.future, unavailable("The record could not be written in time."))])
        self._watch = self.loop.call_later(LOOK, self._look)


class _Turn:
    """One committer's turn to take calls, which it passes on when only its COMMIT is left, or at the latest when done.

    Two that took calls at the same time would halve each other's groups for nothing.
    """

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._mine = False

    async def __aenter__(self) -> Self:
        self._mine = await self._lock.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.pass_on()

    def pass_on(self) -> None:
        """Once; after that it does nothing."""
        if self._mine:
            self._mine = False
            self._lock.release()


# --- the one of this process


async def start() -> None:
    """Answer this loop's calls here from now on, if the database can be spoken to without blocking."""
    if connection.vendor == "postgresql":
        commit.use(Writer(asyncio.get_running_loop()))


async def stop() -> None:
    """Commit what waits."""
    writer = commit.use(None)
    if isinstance(writer, Writer):
        await writer.stop()
