"""The database's clock as this process knows it: its last reading, carried on by the monotonic clock.

Judging needs a time before there is a transaction to read one in. This machine's own clock may be wrong or be set
while we run; what is judged with a time too far from the database's is judged again before its answer leaves.
"""

import time
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(seconds=1)


class Clock:
    """Told by every transaction, asked by every call. One assignment replaces the reading, so readers need no lock."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> datetime:
        """The database's time, as far as it is known here."""
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)

    def told(self, moment: datetime) -> None:
        """Believe a reading of the database's clock made just now."""
        self._offset = moment.timestamp() - time.monotonic()


clock = Clock()
