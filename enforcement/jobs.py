"""Work of this room that waits for its time: an execution that nobody speaks of any more."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from enforcement import executions
from enforcement.models import Custody
from evidence import clock
from outbox.pump import Later
from outbox.queue import handler

_SHORTEST = timedelta(milliseconds=50)


@handler(executions.REMINDER)
def remind(payload: Mapping[str, Any]) -> None:
    """Close one execution whose time is up. Safe to repeat; too early means again in time."""
    now = clock.now()
    again = executions.overdue(payload["evaluation_id"], Custody(payload["status"]), now=now)
    if again is not None:
        raise Later(max(again - now, _SHORTEST))
