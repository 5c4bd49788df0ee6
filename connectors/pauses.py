"""A system that failed in, how long it is left alone out; by account, in this process's memory.

Fifty deliveries to a system that times out would keep the pump from everything else, one timeout after the other. So
after a failure the account rests, twice as long each time, and one delivery then tries for all of them.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from connectors.port import TransportError
from outbox import pump

_FIRST = 1.0
_LONGEST = 30.0

_lock = threading.Lock()
_resting: dict[tuple[int, str], tuple[int, float]] = {}  # failures in a row, and until when on the monotonic clock


@contextmanager
def honoured(tenant_id: int, kind: str) -> Iterator[None]:
    """A job's use of the account: not while it rests, and how it went is remembered.

    Raises pump.Later while it rests, and a TransportError as the outbox knows it: Later, Permanent, or as it is.
    """
    resting = left(tenant_id, kind)
    if resting:
        raise pump.Later(resting)
    try:
        yield
    except TransportError as error:
        if error.permanent:
            raise pump.Permanent(str(error)) from error
        failed(tenant_id, kind, after=error.retry_after)
        if error.retry_after is not None:
            raise pump.Later(error.retry_after) from error
        raise
    worked(tenant_id, kind)


def left(tenant_id: int, kind: str) -> timedelta:
    """How long the account still rests; zero if it may be used. Who asks first after a rest tries for all."""
    with _lock:
        failures, until = _resting.get((tenant_id, kind), (0, 0.0))
        wait = until - time.monotonic()
        if wait <= 0 and failures:
            _resting[tenant_id, kind] = (failures, time.monotonic() + _rest(failures))
    return timedelta(seconds=max(wait, 0.0))


def failed(tenant_id: int, kind: str, *, after: timedelta | None) -> None:
    """It did not answer, or said itself how long to wait."""
    with _lock:
        failures = _resting.get((tenant_id, kind), (0, 0.0))[0] + 1
        rest = after.total_seconds() if after is not None else _rest(failures)
        _resting[tenant_id, kind] = (failures, time.monotonic() + rest)


def worked(tenant_id: int, kind: str) -> None:
    """It answers."""
    with _lock:
        _resting.pop((tenant_id, kind), None)


def _rest(failures: int) -> float:
    return min(_FIRST * (1 << min(failures - 1, 16)), _LONGEST)
