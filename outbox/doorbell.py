"""A wake-up after a commit. The row is the truth; a lost ring costs at most one poll."""

import threading

_rung = threading.Event()


def ring() -> None:
    """Wake this process's pump. Workers in other processes find the row at their next poll."""
    _rung.set()


def wait(seconds: float) -> bool:
    """Sleep until somebody rings or the time is up; True if rung."""
    rung = _rung.wait(seconds)
    _rung.clear()
    return rung
