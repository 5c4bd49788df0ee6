"""A process whose own clock is wrong by SHIFTED_CLOCK seconds: what `time` and `datetime` say, not what sleeps."""

import datetime as dt
import os
import time
from typing import Any

_SHIFT = float(os.environ["SHIFTED_CLOCK"])
_real_datetime, _real_time = dt.datetime, time.time


class _AsTheReal(type(_real_datetime)):  # type: ignore[misc]  # the metaclass of datetime is `type`
    """Makes real ones, and takes real ones for its own."""

    def __call__(cls, *args: Any, **kwargs: Any) -> dt.datetime:
        return _real_datetime(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real_datetime)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _real_datetime)


class _Shifted(_real_datetime, metaclass=_AsTheReal):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]  # a real one
        return _real_datetime.now(tz) + dt.timedelta(seconds=_SHIFT)

    @classmethod
    def utcnow(cls) -> dt.datetime:  # type: ignore[override]  # a real one
        return _real_datetime.utcnow() + dt.timedelta(seconds=_SHIFT)


_Shifted.__name__ = _Shifted.__qualname__ = "datetime"
_Shifted.__module__ = "datetime"
dt.datetime = _Shifted  # type: ignore[misc]  # that is what it is for
time.time = lambda: _real_time() + _SHIFT
