"""One blocking transaction of a call's own: time and epoch read first, the attempt looked up, the work done, kept.

For what must not stall others: opening a request, using an approval, custody. Runs in a thread of the pool.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from enforcement import group, wire
from enforcement.clock import clock
from enforcement.group import Stale
from enforcement.memory import World
from enforcement.problems import unavailable

T = TypeVar("T")

LOCK_TIMEOUT = "5s"  # votes and uses of one request stand in a line; the line is short


@dataclass(frozen=True, slots=True)
class Moment:
    """When and with what the work is done."""

    now: datetime
    cursor: CursorWrapper


def of(world: World, work: Callable[[Moment], T], *, judged_by: float | None = None) -> T:
    """What `work` answers, committed. Raises Stale if the world is no more, Problem (503) if the database is not there.

    A connection found dead at the first statement is replaced once: nothing has been done yet. After that nobody
    knows what was, so nothing is tried again here; the caller's attempt or idempotency key finds out.
    """
    for last in (False, True):
        begun = False
        try:
            with transaction.atomic(durable=True), connection.cursor() as cursor:
                now, epochs = wire.read_now([world.tenant_id], lock_timeout=LOCK_TIMEOUT)
                begun = True
                offset = clock.told(now)
                if group.is_stale(world, epochs[world.tenant_id], offset, judged_by=judged_by):
                    raise Stale(world.tenant, epochs[world.tenant_id])
                return work(Moment(now, cursor))
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if begun or last:
                raise unavailable("The evidence store does not answer.") from error
        except IntegrityError:
            if last:
                raise
            # Somebody did the same at the same time (an attempt, a key, a claim): look again at what is there now.
    raise AssertionError("the second try returns or raises")
