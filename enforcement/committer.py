"""Groups in, their outcomes out, one at a time, over one PostgreSQL connection whose socket an event loop watches."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, cast

import psycopg
from django.db import connection
from psycopg.waiting import Ready, Wait

from enforcement import group, line, pool, wire
from enforcement.commit import DEADLINE
from enforcement.group import Outcome, Ticket
from enforcement.problems import Problem, unavailable

log = logging.getLogger(__name__)

_PATIENCE = 2 * DEADLINE  # seconds for one group; whoever asked has been told 503 by then


class Committer:
    """One connection, made when it is first needed and again when it is of no use any more.

    `silent` is called when the database did not answer in time: other connections to it are to be doubted too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, silent: Callable[[], None]) -> None:
        self._loop = loop
        self._silent = silent
        self._doubted = False
        self._raw: psycopg.Connection[Any] | None = None

    async def commit(self, tickets: list[Ticket], *, written: Callable[[], None]) -> list[Outcome]:
        """What becomes of each, in order. `written` is called once nothing but the COMMIT is waited for."""
        try:
            raw = await self._connected()
        except (psycopg.Error, Problem) as error:
            return group.gone(tickets, error)
        try:
            return await self._run(group.committing(tickets, wire.over(raw, written=written)), raw)
        except Exception:
            log.exception("the group commit failed in a way nobody foresaw")
            self.drop()
            return [unavailable()] * len(tickets)

    def doubt(self) -> None:
        """Take a new connection for the next group: waiting in vain on this one too would cost its callers as much."""
        self._doubted = True

    def drop(self) -> None:
        """Let go of the connection. What is not committed on it never was."""
        if self._raw is not None:
            self._raw.close()

    async def _connected(self) -> "psycopg.Connection[Any]":
        """The connection, made anew if the last one is of no use. In a thread: names may take long to resolve."""
        if self._doubted:
            self.drop()
        if self._raw is None or self._raw.closed:
            self._raw = await pool.run(_connect)
            self._doubted = False
        return self._raw

    async def _run(self, steps: line.Waiting[list[Outcome]], raw: "psycopg.Connection[Any]") -> list[Outcome]:
        until = time.monotonic() + _PATIENCE
        try:
            want = next(steps)
            while True:
                ready = await self._ready(raw.fileno(), want, until)
                if ready is None:
                    self.drop()  # first, so that nobody tries to roll back over it
                    self._silent()
                    want = steps.throw(psycopg.OperationalError("the database took too long"))
                else:
                    want = steps.send(ready)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]  # what the steps return
        finally:
            steps.close()

    async def _ready(self, socket: int, want: Wait, until: float) -> Ready | None:
        """What of `want` came about; None once the time is up."""
        loop, come = self._loop, self._loop.create_future()
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


def _come(future: "asyncio.Future[Ready | None]", ready: Ready | None) -> None:
    if not future.done():
        future.set_result(ready)


def _connect() -> "psycopg.Connection[Any]":
    return psycopg.connect(**{**connection.get_connection_params(), "autocommit": True})
