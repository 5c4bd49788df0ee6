"""Blocking work in, its result awaited: a bounded pool of threads for what needs a transaction of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from enforcement.problems import unavailable

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
WAITING = 512


class Pool:
    """Threads with a queue that ends: whoever comes when it is full is sent away at once, not kept."""

    def __init__(self, *, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="enforcement")
        self._room = threading.BoundedSemaphore(threads + waiting)

    async def look(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for what only reads: a connection found dead is replaced and the work done again, once."""
        return await self.run(_again, partial(work, *args, **kwargs))

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread. Raises Problem (503) when there is no room, and what `work` raises."""
        if not self._room.acquire(blocking=False):
            raise unavailable("Too many calls wait for the database.")
        try:
            future = self._executor.submit(_worked, partial(work, *args, **kwargs))
        except RuntimeError as error:  # the system gives us no further thread
            self._room.release()
            raise unavailable("The service is short of threads.") from error
        future.add_done_callback(lambda _: self._room.release())  # also when a caller who left cancels it
        return await asyncio.wrap_future(future)


def _worked(work: Callable[[], T]) -> T:
    """A thread of ours has no request cycle that would replace a dead connection: let go of it, and the next is new."""
    try:
        return work()
    except (InterfaceError, OperationalError) as error:
        connection.close()
        raise unavailable("The database does not answer.") from error


def _again(work: Callable[[], T]) -> T:
    try:
        return work()
    except (InterfaceError, OperationalError):
        connection.close()
        return work()


_pool = Pool()
run = _pool.run
look = _pool.look
