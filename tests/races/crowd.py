"""Many threads at one row: each with a connection of its own, all let go at the same moment."""

import os
import threading
from collections.abc import Callable, Sequence

from django.db import connection

SOAK = os.environ.get("COUNTERSIGN_SOAK") == "1"


def rounds(*, full: int, reduced: int) -> int:
    """How often a race is run: in full under `COUNTERSIGN_SOAK=1`."""
    return full if SOAK else reduced


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """What each returned or raised, in the order of `acts`. Raises TimeoutError if somebody is stuck."""
    outcomes: list[object] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(position: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            outcomes[position] = acts[position]()
        except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
            outcomes[position] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(position,), daemon=True) for position in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError("somebody is stuck")
    return outcomes
