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
    """One connection, made before it is needed and again when it is of no use any more.

    `lost` is called when it is found silent or dead: other connections to the same server are to be doubted too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, lost: Callable[[], None]) -> None:
        self._loop = loop
        self._lost = lost
        self._doubted = False
        self._connecting = False
        self._raw: psycopg.Connection[Any] | None = None

    @property
    def is_connected(self) -> bool:
        """As far as is known: a connection that broke while nobody used it looks whole."""
        return self._raw is not None and not self._raw.closed and not self._doubted

    @property
    def may_commit(self) -> bool:
        """Whether it has a connection, or may have one in a moment."""
        return self._connecting or self.is_connected

    async def connect(self) -> None:
        """Have a connection if there is one to be had. Never raises: who commits without one finds out why."""
        try:
            await self._connected()
        except (psycopg.Error, Problem):
            pass
        except Exception:
            log.exception("connecting to the database failed in a way nobody foresaw")

    async def commit(self, tickets: list[Ticket], *, written: Callable[[], None]) -> list[Outcome]:
        """What becomes of each, in order. `written` is called once nothing but the COMMIT is waited for."""
        step = _Step(written)
        outcomes = await self._outcomes(tickets, step)
        if self._raw is not None and self._raw.closed:
            self._lost()
            if not step.is_taken and any(not ticket.given_up for ticket in tickets):
                return await self._outcomes(tickets, step)  # it broke while it was idle: nothing has been done yet
        return outcomes

    def doubt(self) -> None:
        """Take a new connection for the next group: trying this one in vain too would cost its callers as much."""
        self._doubted = True

    def drop(self) -> None:
        """Let go of the connection. What is not committed on it never was."""
        if self._raw is not None:
            self._raw.close()

    async def _outcomes(self, tickets: list[Ticket], step: "_Step") -> list[Outcome]:
        try:
            raw = await self._connected()
            return await self._run(group.committing(tickets, wire.over(raw, written=step.take)), raw)
        except (psycopg.Error, Problem) as error:
            self.drop()
            return group.gone(tickets, error)
        except Exception:
            log.exception("the group commit failed in a way nobody foresaw")
            self.drop()
            return [unavailable()] * len(tickets)

    async def _connected(self) -> "psycopg.Connection[Any]":
        """The connection, made anew if the last one is of no use. In a thread: names may take long to resolve."""
        if self._doubted:
            self.drop()
        if self._raw is None or self._raw.closed:
            self._connecting = True
            try:
                self._raw = await pool.run(_connect)
            finally:
                self._connecting = False
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


class _Step:
    """Whether anything was sent that a COMMIT could make true."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self.is_taken = False

    def take(self) -> None:
        self.is_taken = True
        self._then()


def _come(future: "asyncio.Future[Ready | None]", ready: Ready | None) -> None:
    if not future.done():
        future.set_result(ready)


def _connect() -> "psycopg.Connection[Any]":
    return psycopg.connect(**{**connection.get_connection_params(), "autocommit": True})
