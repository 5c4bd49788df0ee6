"""A worker that may be killed at any point: run with `python -m tests.connectors.worker`, one child a line of input.

The parent loads everything once and holds neither a thread nor a connection; each child pumps until it is killed.
"""

import os
import sys
import threading
from datetime import timedelta

import django

django.setup()

from connectors import deliver  # noqa: E402  models exist only now
from connectors.kinds import KINDS  # noqa: E402
from outbox import pump  # noqa: E402
from tests.connectors.board import KIND, Boards  # noqa: E402

KINDS[KIND] = Boards
deliver.LEASE = pump.LEASE = timedelta(seconds=1.5)  # a test does not wait a minute for a dead worker's lease
pump.POLL_SECONDS = 0.1


def main() -> None:
    _say("ready")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            pump.run_until(threading.Event())
        _say(str(child))


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
