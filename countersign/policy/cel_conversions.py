"""CEL's conversions between types, and the parts of a time: a value in, a value of the other type out."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from countersign.policy.cel_arithmetic import in_range, int64
from countersign.policy.cel_runtime import TYPES, CelType, EvaluationError, no_overload

_LARGEST: Final = 1.7976931348623157e308
_INT_BOUND: Final = 9.223372036854775807e18
_LONGEST_TEXT: Final = 256
_MICROSECOND: Final = timedelta(microseconds=1)

_INT_TEXT = re.compile(r"[+-]?[0-9]{1,24}")
_TIMESTAMP_TEXT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION_TEXT = re.compile(r"([+-]?)(0|(?:(?:[0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:h|ms|m|s|us|ns))+)")
_DURATION_PART = re.compile(r"([0-9.]+)(h|ms|m|s|us|ns)")
_MICROSECONDS = {
    "h": Decimal(3_600_000_000), "m": Decimal(60_000_000), "s": Decimal(1_000_000),
    "ms": Decimal(1_000), "us": Decimal(1), "ns": Decimal("0.001"),
}  # fmt: skip


def to_int(value: Any) -> int:
    match TYPES[type(value)]:
        case CelType.INT:
            return int(value)
        case CelType.DOUBLE if -_INT_BOUND < value < _INT_BOUND:
            return int(value)
        case CelType.STRING if _INT_TEXT.fullmatch(value):
            return int64(int(value))
        case CelType.DOUBLE | CelType.STRING:
            raise EvaluationError("not an int")
    raise no_overload("int", value)


def to_double(value: Any) -> float:
    """A finite double. Text that means NaN or infinity is refused: an amount of `"NaN"` is below no limit."""
    cls = type(value)
    if cls is str:
        number = float(value)
        # Python also reads other scripts' digits, underscores and surrounding space; CEL does not.
        if -_LARGEST <= number <= _LARGEST and value.isascii() and "_" not in value and value.strip() == value:
            return number
        raise EvaluationError("not a double")
    if cls is float:
        return value  # type: ignore[no-any-return] # its exact class was just compared
    return _to_double(value)


def _to_double(value: Any) -> float:
    match TYPES[type(value)]:
        case CelType.INT | CelType.DOUBLE:
            return float(value)
        case CelType.STRING:
            return to_double(str(value))
    raise no_overload("double", value)


def to_string(value: Any) -> str:
    """Doubles in full, without an exponent: `1e21` is twenty-two digits, `1.0` is `1`."""
    match TYPES[type(value)]:
        case CelType.STRING:
            return str(value)
        case CelType.INT:
            return str(int(value))
        case CelType.DOUBLE:
            if not -_LARGEST <= value <= _LARGEST:
                return "NaN" if value != value else "inf" if value > 0 else "-inf"  # noqa: PLR0124 - NaN
            return format(Decimal(repr(value)), "f").removesuffix(".0")
    raise no_overload("string", value)


def to_timestamp(value: Any) -> datetime:
    """RFC 3339 with at most six digits of a second, which is what `now` has; more is refused, never cut."""
    match TYPES[type(value)]:
        case CelType.TIMESTAMP:
            moment: datetime = value
            return moment
        case CelType.STRING:
            if _TIMESTAMP_TEXT.fullmatch(value):
                return datetime.fromisoformat(value)
            raise EvaluationError("not an RFC 3339 timestamp")
    raise no_overload("timestamp", value)


def to_duration(value: Any) -> timedelta:
    """`1h30m`, `-1.5s`, `250ms`; whole microseconds, at most 292 years."""
    match TYPES[type(value)]:
        case CelType.DURATION:
            length: timedelta = value
            return length
        case CelType.STRING:
            return _parse_duration(value)
    raise no_overload("duration", value)


def _parse_duration(text: str) -> timedelta:
    found = _DURATION_TEXT.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if not found:
        raise EvaluationError("not a duration")
    total = sum(Decimal(number) * _MICROSECONDS[unit] for number, unit in _DURATION_PART.findall(found[2]))
    if total != int(total):
        raise EvaluationError("a duration finer than a microsecond")
    length = _MICROSECOND * (-int(total) if found[1] == "-" else int(total))
    in_range(length)
    return length


# --- parts of a time -----------------------------------------------------------------------------------------------

_PARTS: Mapping[str, Callable[[datetime], int]] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}
_TOTALS: Mapping[str, timedelta] = {
    "getHours": timedelta(hours=1),
    "getMinutes": timedelta(minutes=1),
    "getSeconds": timedelta(seconds=1),
    "getMilliseconds": timedelta(milliseconds=1),
}
TIME_PARTS = frozenset(_PARTS)
DURATION_PARTS = frozenset(_TOTALS)


def part(value: Any, name: str) -> int:
    """A timestamp's part in UTC, whatever its offset; of a duration, the whole of it in that unit."""
    match TYPES[type(value)]:
        case CelType.TIMESTAMP:
            return _PARTS[name](value.astimezone(UTC))
        case CelType.DURATION if name in _TOTALS:
            whole = int(abs(value) // _TOTALS[name])
            return -whole if value < timedelta(0) else whole
    raise no_overload(name, value)
