"""Work of this room that comes round by itself: what was taken once is forgotten when nobody redelivers it any more."""

from datetime import timedelta

from connectors import once
from evidence import clock
from outbox.queue import every

FORGET = "connectors.forget"


@every(FORGET, timedelta(days=1))
def forget() -> None:
    """Keep the table of what was taken small. Safe to repeat."""
    once.forget_old(clock.now())
