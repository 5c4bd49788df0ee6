"""The group commit on the event loop itself, where the database is PostgreSQL: judged calls in, durable answers out.

The same groups in the same transaction as the writing thread's (`commit`), on one connection, without the thread:
between two threads each wait for the database is a wait for the interpreter as well. While one COMMIT is on its way,
calls gather.
"""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, cast

import psycopg
from django.db import connection
from psycopg.waiting import Ready, Wait

from enforcement import commit, group, line, pool, wire
from enforcement.commit import CAPACITY, DEADLINE, LOOK, SHARE, Bundle, Lines, bundled, fair_share, settle
from enforcement.group import Outcome, Party, Ticket
from enforcement.judged import Judged
from enforcement.problems import Problem, unavailable

log = logging.getLogger(__name__)

_PATIENCE = 2 * DEADLINE  # seconds for one group; whoever asked has been told 503 by then
_GOODBYE = 10.0  # seconds for what waits at the end


class Writer:
    """One of an event loop. All of it runs there, so nothing needs a lock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, capacity: int = CAPACITY, share: int = SHARE) -> None:
        self.loop = loop
        self._waiting = commit.Waiting(capacity, share)
        self._lines: Lines = OrderedDict()
        self._watched: deque[Ticket] = deque()
        self._bell: asyncio.Future[None] | None = None
        self._closing = False
        self._raw: psycopg.Connection[Any] | None = None
        self._task = loop.create_task(self._write())
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
        await asyncio.wait({self._task}, timeout=_GOODBYE)
        self._task.cancel()
        self._watch.cancel()
        if self._raw is not None:
            self._raw.close()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def _write(self) -> None:
        while True:
            while not self._lines:
                if self._closing:
                    return
                self._bell = self.loop.create_future()
                await self._bell
            tickets = fair_share(self._lines)
            try:
                outcomes = await self._commit(tickets)
            except Exception:
                log.exception("the group commit failed in a way nobody foresaw")
                self._drop()
                outcomes = [unavailable()] * len(tickets)
            self._waiting.leave(tickets)
            settle(zip([ticket.future for ticket in tickets], outcomes, strict=True))

    async def _commit(self, tickets: list[Ticket]) -> list[Outcome]:
        try:
            raw = await self._connected()
        except (psycopg.Error, Problem) as error:
            return group.gone(tickets, error)
        return await self._run(group.committing(tickets, wire.over(raw)), raw)

    async def _connected(self) -> "psycopg.Connection[Any]":
        """The connection, made anew if the last one is of no use. In a thread: names may take long to resolve."""
        if self._raw is None or self._raw.closed:
            self._raw = await pool.run(_connect)
        return self._raw

    async def _run(self, steps: line.Waiting[list[Outcome]], raw: "psycopg.Connection[Any]") -> list[Outcome]:
        until = time.monotonic() + _PATIENCE
        try:
            want = next(steps)
            while True:
                ready = await self._ready(raw.fileno(), want, until)
                if ready is None:
                    self._drop()  # first, so that nobody tries to roll back over it
                    want = steps.throw(psycopg.OperationalError("the database took too long"))
                else:
                    want = steps.send(ready)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]  # what the steps return
        finally:
            steps.close()

    async def _ready(self, socket: int, want: Wait, until: float) -> Ready | None:
        """What of `want` came about; None once the time is up."""
        loop, come = self.loop, self.loop.create_future()
        loop.add_reader(socket, _come, come, Ready.R)
        if want & Wait.W:
            loop.add_writer(socket, _come, come, Ready.W)
        timer = loop.call_later(until - time.monotonic(), _come, come, None)
        try:
            return cast("Ready | None", await come)
        finally:
            timer.cancel()
            loop.remove_reader(socket)
            loop.remove_writer(socket)

    def _drop(self) -> None:
        if self._raw is not None:
            self._raw.close()

    def _look(self) -> None:
        """Tell those whose time is up, whatever the database does."""
        now = time.monotonic()
        watched = self._watched
        while watched and (watched[0].future.done() or watched[0].deadline <= now):
            ticket = watched.popleft()
            if not ticket.future.done():
                settle([(ticket.future, unavailable("The record could not be written in time."))])
        self._watch = self.loop.call_later(LOOK, self._look)


def _come(future: "asyncio.Future[Ready | None]", ready: Ready | None) -> None:
    if not future.done():
        future.set_result(ready)


def _connect() -> "psycopg.Connection[Any]":
    return psycopg.connect(**{**connection.get_connection_params(), "autocommit": True})


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
