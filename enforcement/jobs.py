"""Work of this room that waits for its time: an execution that nobody speaks of any more, a look at who probes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from enforcement import executions, probing, repeats
from enforcement.models import Custody
from evidence import clock
from outbox.pump import Later
from outbox.queue import every, handler

PROBING = "enforcement.probing"
SUBMISSIONS = "enforcement.submissions"
_SHORTEST = timedelta(milliseconds=50)


@handler(executions.REMINDER)
def remind(payload: Mapping[str, Any]) -> None:
    """Close one execution whose time is up. Safe to repeat; too early means again in time."""
    now = clock.now()
    again = executions.overdue(payload["evaluation_id"], Custody(payload["status"]), now=now)
    if again is not None:
        raise Later(max(again - now, _SHORTEST))


@every(PROBING, probing.EVERY)
def look_for_probing() -> None:
    """Look through the decisions of the last minutes."""
    probing.look(clock.now())


@every(SUBMISSIONS, timedelta(hours=1))
def forget_submissions() -> None:
    """Take away the idempotency keys of tasks that ended long ago."""
    repeats.forget(clock.now())
