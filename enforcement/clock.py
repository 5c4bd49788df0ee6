"""The database's clock as this process knows it: its last reading, carried on by the monotonic clock.

Judging needs a time before there is a transaction to read one in. This machine's own clock may be wrong or be set
while we run; what is judged with a time too far from the database's is judged again before its answer leaves.
"""

import time
from datetime import UTC, datetime

TOLERANCE = 1.0  # seconds


class Clock:
    """Told by every transaction, asked by every call. One assignment replaces the reading, so readers need no lock.

    `offset` is the database's time at the monotonic clock's zero. What was judged keeps the offset it was judged by,
    so that a long wait is not taken for a wrong clock.
    """

    __slots__ = ("offset",)

    def __init__(self) -> None:
        self.offset = time.time() - time.monotonic()

    def now(self) -> datetime:
        """The database's time, as far as it is known here."""
        return at(self.offset)

    def told(self, moment: datetime) -> float:
        """Believe a reading of the database's clock made just now. Answers the new offset."""
        self.offset = moment.timestamp() - time.monotonic()
        return self.offset


def at(offset: float) -> datetime:
    """The time now by an offset."""
    return datetime.fromtimestamp(time.monotonic() + offset, UTC)


clock = Clock()
