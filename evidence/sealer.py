"""The loop that seals every log: each tick a look at what is due, each log at most about once a second."""

import logging
import threading
import time

from django.db import connection

from evidence import seal
from evidence.horizon import Horizon

TICK = 0.2
_SPACING = 0.7  # seconds between two checkpoints of a log: at a steady trickle one each would be all one could see
_CATCH_UP = 60.0
_RESTING = 0.4  # seconds of a round in which it may rest

_log = logging.getLogger(__name__)


class Sealer(threading.Thread):
    """Seals until `stop` is set. Any number may run: the database lets one of them at each log."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="sealer", daemon=True)
        self._stop_requested = stop
        self._horizon: Horizon | None = None
        self._last: dict[str, float] = {}
        self._broken: dict[str, str] = {}
        self._caught_up: float | None = None
        self._worked = 0.0  # seconds that the last round took, without its rest

    def run(self) -> None:
        """One round each tick. Whatever goes wrong is logged and tried again with a new connection."""
        while not self._stop_requested.wait(TICK):
            try:
                self.round(at=time.monotonic())
            except Exception:  # noqa: BLE001 - logged; the loop must outlive a database that is away
                _log.exception("a round of the sealer failed; it will be tried again")
                connection.close()
        connection.close()

    def round(self, *, at: float) -> int:
        """Seal what is due at monotonic second `at`. How many records that were."""
        if self._horizon is None:
            self._horizon = Horizon()
        self._catch_up(self._horizon, at)
        count, complete = 0, True
        rest = _Rest(min(_RESTING, _SPACING - TICK - self._worked))
        for log, rows in self._horizon.due().items():
            try:
                done = self._seal(log, rows, at, rest)
            except seal.BrokenLog as error:
                self._report(log, error)
                self._horizon.leave(log)
            else:
                count += done
                complete = complete and done == len(rows)
        if complete:
            self._horizon.all_sealed()
        self._worked = rest.worked
        return count

    def _seal(self, log: str, rows: list[int], at: float, rest: "_Rest") -> int:
        """How many of `rows` are sealed now for certain: none if it is too early for this log or another is at it."""
        if len(rows) < seal.BATCH and at - self._last.get(log, float("-inf")) < _SPACING:
            return 0
        self._last[log] = at
        done = 0
        for start in range(0, len(rows), seal.BATCH):
            part = rows[start : start + seal.BATCH]
            if seal.seal(log, part, rest=rest) is None:
                break
            done += len(part)
        else:
            self._broken.pop(log, None)
        return done

    def _report(self, log: str, error: seal.BrokenLog) -> None:
        """Once, not every time it is tried."""
        if self._broken.get(log) != str(error):
            self._broken[log] = str(error)
            _log.critical("sealing stopped, the database cannot be trusted: %s", error)

    def _catch_up(self, horizon: Horizon, at: float) -> None:
        """Once a minute: what could not be sealed or brought out is tried again."""
        if self._caught_up is None or at - self._caught_up >= _CATCH_UP:
            self._caught_up = at
            seal.publish_missing()
            horizon.take_back()


class _Rest:
    """Signs half of the time instead of all of it, as long as a round has time for that.

    A second's records signed at a stretch keep a core from those who wait for an answer, and leave it idle for the
    rest of the second. A round that takes long does not rest any more: being in time comes first.
    """

    def __init__(self, seconds: float) -> None:
        self._began = self._since = time.monotonic()
        self._until = self._began + seconds
        self._rested = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._until:
            time.sleep(min(now - self._since, self._until - now))
            self._rested += time.monotonic() - now
        self._since = time.monotonic()

    @property
    def worked(self) -> float:
        """Seconds since it began, without rest."""
        return time.monotonic() - self._began - self._rested
