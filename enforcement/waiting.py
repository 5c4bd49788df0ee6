"""Long polls: whoever waits for a request to be decided costs a dictionary entry, not a thread and not a query each.

One task per event loop asks the database about all requests that somebody waits for, a few times a second, and only
while somebody does.
"""

import asyncio
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from approvals.models import AccessRequest, Status
from enforcement import pool
from enforcement.problems import Problem

LONGEST = 30.0
LOOK = 0.25  # seconds between two looks
CHUNK = 500


class Watch:
    """The waits of one event loop."""

    def __init__(self) -> None:
        self._waits: dict[str, set[asyncio.Future[None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def closed(self, request_id: str, *, seconds: float) -> None:
        """Return when the request is no longer pending, or when the time is over."""
        future = asyncio.get_running_loop().create_future()
        self._waits.setdefault(request_id, set()).add(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            await asyncio.wait([future], timeout=min(seconds, LONGEST))
        finally:
            self._leave(request_id, future)

    def _leave(self, request_id: str, future: "asyncio.Future[None]") -> None:
        waits = self._waits.get(request_id, set())
        waits.discard(future)
        if not waits:
            self._waits.pop(request_id, None)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            if not self._waits:
                return
            try:
                closed = await pool.look(_closed, list(self._waits))
            except Problem:
                continue  # no room now; the next look may find some
            for request_id in closed:
                for future in self._waits.get(request_id, ()):
                    if not future.done():
                        future.set_result(None)


def _closed(request_ids: list[str]) -> list[str]:
    found: list[str] = []
    for at in range(0, len(request_ids), CHUNK):
        found += _closed_of(request_ids[at : at + CHUNK])
    return found


def _closed_of(request_ids: Iterable[str]) -> list[str]:
    rows = AccessRequest.objects.filter(pk__in=request_ids).exclude(status=Status.PENDING)
    return list(rows.values_list("pk", flat=True))


_watches: "WeakKeyDictionary[asyncio.AbstractEventLoop, Watch]" = WeakKeyDictionary()


async def closed(request_id: str, *, seconds: float) -> None:
    """Return when the request is no longer pending, or after `seconds` (at most 30)."""
    loop = asyncio.get_running_loop()
    await _watches.setdefault(loop, Watch()).closed(request_id, seconds=seconds)
