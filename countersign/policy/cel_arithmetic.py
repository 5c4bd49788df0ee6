"""CEL's arithmetic, as compiled conditions call it: 64-bit ints that overflow, IEEE doubles, times and durations."""

from datetime import datetime, timedelta
from typing import Any, Final

from countersign.policy.cel_nodes import INT_MAX, INT_MIN
from countersign.policy.cel_runtime import TYPES, CelType, EvaluationError, no_overload

_LONGEST: Final = timedelta(microseconds=INT_MAX // 1000)  # 64 bits of nanoseconds


def int64(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("int overflow")


def in_range(value: datetime | timedelta) -> datetime | timedelta:
    if isinstance(value, timedelta) and not -_LONGEST <= value <= _LONGEST:
        raise EvaluationError("duration overflow")
    return value


def add(left: Any, right: Any) -> Any:
    match TYPES[type(left)], TYPES[type(right)]:
        case (CelType.INT, CelType.INT):
            return int64(left + right)
        case (CelType.DOUBLE, CelType.DOUBLE) | (CelType.STRING, CelType.STRING):
            return left + right
        case (CelType.LIST, CelType.LIST):
            return [*left, *right]
        case (CelType.TIMESTAMP, CelType.DURATION) | (CelType.DURATION, CelType.DURATION):
            return in_range(left + right)
    raise no_overload("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    match TYPES[type(left)], TYPES[type(right)]:
        case (CelType.INT, CelType.INT):
            return int64(left - right)
        case (CelType.DOUBLE, CelType.DOUBLE):
            return left - right
        case (CelType.TIMESTAMP | CelType.DURATION, CelType.DURATION) | (CelType.TIMESTAMP, CelType.TIMESTAMP):
            return in_range(left - right)
    raise no_overload("-", left, right)


def multiply(left: Any, right: Any) -> Any:
    match TYPES[type(left)], TYPES[type(right)]:
        case (CelType.INT, CelType.INT):
            return int64(left * right)
        case (CelType.DOUBLE, CelType.DOUBLE):
            return left * right
    raise no_overload("*", left, right)


def divide(left: Any, right: Any) -> Any:
    """Ints towards zero, doubles as IEEE 754 has it."""
    match TYPES[type(left)], TYPES[type(right)]:
        case (CelType.INT, CelType.INT):
            if right == 0:
                raise EvaluationError("division by zero")
            quotient = abs(left) // abs(right)
            return int64(quotient if (left < 0) is (right < 0) else -quotient)
        case (CelType.DOUBLE, CelType.DOUBLE):
            return left / right if right else _divide_by_zero(left, right)
    raise no_overload("/", left, right)


def _divide_by_zero(left: float, right: float) -> float:
    if left != left or left == 0:  # noqa: PLR0124 - only NaN differs from itself
        return float("nan")
    return float("inf") if (left < 0) is (str(right)[0] == "-") else float("-inf")


def remainder(left: Any, right: Any) -> Any:
    """The sign follows the dividend."""
    if TYPES[type(left)] is not CelType.INT or TYPES[type(right)] is not CelType.INT:
        raise no_overload("%", left, right)
    if right == 0:
        raise EvaluationError("modulo by zero")
    if right == -1:
        int64(-left)  # the division that belongs to it would overflow
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def negate(value: Any) -> Any:
    match TYPES[type(value)]:
        case CelType.INT:
            return int64(-value)
        case CelType.DOUBLE:
            return -value
    raise no_overload("unary -", value)
