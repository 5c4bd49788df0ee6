"""A wake-up after a commit. The row is the truth; a lost ring costs at most one poll."""

import threading
from collections.abc import Callable

_rung = threading.Event()
_bells: list[Callable[[], None]] = []


def ring() -> None:
    """Wake this process's pump, and whoever else listens. Called on the way of a commit, so no bell may wait."""
    _rung.set()
    for bell in _bells:
        bell()


def wait(seconds: float) -> bool:
    """Sleep until somebody rings or the time is up; True if rung."""
    rung = _rung.wait(seconds)
    _rung.clear()
    return rung


def also(bell: Callable[[], None]) -> None:
    """Ring this one too: how the building wakes workers of other processes."""
    if bell not in _bells:
        _bells.append(bell)
