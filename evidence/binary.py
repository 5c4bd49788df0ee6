"""Python values in, PostgreSQL's binary format out and back, for the few types that the hot path speaks. Pure.

The formats are those of the server's own send and receive functions (`array_send`, `timestamptz_send`, …). psycopg's
adapters do the same for any type; here the types are known, and thousands of values a second pass.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_int4, _int8 = Struct("!i"), Struct("!q")
_array = Struct("!iiiii")  # dimensions, has nulls, element type, elements, first index
_length = _int4.pack


def integer(value: int) -> bytes:
    """`int8`."""
    return _int8.pack(value)


def moment(value: datetime) -> bytes:
    """`timestamptz`: microseconds since 2000, UTC."""
    return _int8.pack((value - _EPOCH) // _MICROSECOND)


def text(value: str) -> bytes:
    """`text`."""
    return value.encode()


_KINDS: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "text": (25, text),
    "int": (23, _int4.pack),
    "bigint": (20, integer),
    "bytea": (17, bytes),
    "timestamptz": (1184, moment),
}


def array(kind: str, values: Sequence[Any]) -> bytes:
    """A one-dimensional array without nulls. Columns of one value repeated are common, and written once."""
    oid, write = _KINDS[kind]
    head = _array.pack(1, 0, oid, len(values), 1) if values else _array.pack(0, 0, oid, 0, 0)[:12]
    if values and values.count(values[0]) == len(values):
        one = write(values[0])
        return head + (_length(len(one)) + one) * len(values)
    written = [write(value) for value in values]
    return head + b"".join([_length(len(one)) + one for one in written])


def to_integer(raw: bytes) -> int:
    """`int8`."""
    return int(_int8.unpack(raw)[0])


def to_moment(raw: bytes) -> datetime:
    """`timestamptz`."""
    return _EPOCH + to_integer(raw) * _MICROSECOND
