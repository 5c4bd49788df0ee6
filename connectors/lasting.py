"""How to make it in, one of it a process out: connections outlive a job, a fork does not share them, an exit ends them.

A call that begins with a connection of its own pays for it in round trips, a handshake and the reading of authorities.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lasting(Generic[T]):
    """Made when first asked for; made anew where nobody asked for `idle` seconds, for what lies idle may be cut."""

    def __init__(self, make: Callable[[], T], *, end: Callable[[T], None], idle: float = float("inf")) -> None:
        self._make, self._end, self._idle = make, end, idle
        self._lock = threading.Lock()
        self._one: T | None = None
        self._asked = 0.0
        self._inherited: T | None = None
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def get(self) -> T:
        """For use now, by any thread."""
        with self._lock:
            now = time.monotonic()
            if self._one is None or now - self._asked > self._idle:
                self._one = self._make()  # the old one goes with the last job that holds it
            self._asked = now
            return self._one

    def close(self) -> None:
        """End its connections. The next who asks gets a new one."""
        with self._lock:
            one, self._one = self._one, None
        if one is not None:
            self._end(one)

    def _forget(self) -> None:
        """In a child: its parent's connections are its parent's, to use and to end. Held, so that nothing ends them."""
        self._lock = threading.Lock()
        self._inherited, self._one = self._one, None
