"""The embedded mode's two threads: the outbox's pump and the sealer."""

import threading

from config import warm
from evidence.sealer import Sealer
from outbox import doorbell, pump


class Background:
    """Starts both, and stops them between two pieces of work."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=pump.run_until, args=(self._stop,), name="pump", daemon=True),
            Sealer(self._stop),
        ]

    def start(self) -> None:
        warm.warm()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when both have finished what they were at, or after ten seconds."""
        self._stop.set()
        doorbell.ring()  # the pump may be asleep until its next poll
        for thread in self._threads:
            thread.join(timeout=10)
