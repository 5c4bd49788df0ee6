"""A commit's ring in, a message to the Celery workers out: they pump at once instead of at their next poll.

Sent by a thread of its own, for a commit must not wait for Redis. Rings that come while one is sent become one. One
that is lost, with Redis or with this process, costs at most one poll.
"""

import logging
import os
import threading
import time

from celery import Celery

from config.celery import PUMP, SECONDS_BETWEEN_PUMPS, app

log = logging.getLogger(__name__)

_GAP = 0.02  # seconds between two rings: a crowd of commits is one piece of news


class Bell:
    """One a process. A fork has no threads of its parent, so the thread is started where it is needed."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._started_in = 0
        self._heard = True

    def ring(self) -> None:
        """Returns at once, whatever Redis does."""
        self._wanted.set()
        if self._started_in != os.getpid():
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._started_in != os.getpid():
                self._started_in = os.getpid()
                threading.Thread(target=self._run, name="bell", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            self._send()
            time.sleep(_GAP)

    def _send(self) -> None:
        """A failure is logged once, until it works again."""
        try:
            self._celery.send_task(PUMP, expires=SECONDS_BETWEEN_PUMPS, ignore_result=True, retry=False)
            self._heard = True
        except Exception:
            if self._heard:
                log.warning("Redis does not take the doorbell; work waits for the next poll", exc_info=True)
            self._heard = False


bell = Bell(app)
