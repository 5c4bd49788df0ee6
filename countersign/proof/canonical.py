"""Bytes in, JSON value out, and back to RFC 8785 bytes: strict both ways, or an error that says whose fault it is."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate
from math import isfinite
from typing import Any, NoReturn

import msgspec
import rfc8785

DEPTH = 64  # deepest nesting of objects and arrays, in and out
_INTEGERS = 2**53  # below it every integer is exact in every JSON reader
_GAP = 1e21  # from here on RFC 8785 writes an exponent; below it a whole float looks like an integer

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode


def _refuse_float(_: str) -> NoReturn:
    raise ValueError("a float")


_decode_plain = msgspec.json.Decoder(float_hook=_refuse_float).decode
write_plain = _encode  # for parts of what `loads_plain` read, and for texts, bools and whole numbers of our own
_FOLD = bytes.maketrans(b"123456789[", b"000000000{")  # all digits are one, all opening brackets are one
_LONG_NUMBER = b"0" * 16  # 2^53 has sixteen digits
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NOT_A_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_BEYOND_BMP = re.compile(rb"[\xf0-\xf4]")  # lead byte of a four-byte UTF-8 sequence


class NotCanonical(ValueError):
    """What was given has no canonical form."""


class Malformed(NotCanonical):
    """Not JSON, or JSON that two readers may understand differently (HTTP 400)."""


class Unrepresentable(NotCanonical):
    """JSON, but of a value that cannot be kept exactly (HTTP 422)."""


# --- reading


def loads(data: bytes) -> Any:
    """The value of one strict JSON document. Raises Malformed or Unrepresentable.

    The quick way is taken only where it provably equals `loads_slowly`. Without a backslash every string of the
    document stands between two quotes and is written back between two quotes, so a member that was dropped as a
    duplicate shows as quotes that are missing. Without sixteen digits in a row no integer reaches 2^53.
    """
    folded = data.translate(_FOLD)
    if b"\\" in data or _LONG_NUMBER in folded or (folded.count(b"{") > DEPTH and _depth(data) > DEPTH):
        return loads_slowly(data)
    try:
        value = _decode(data)
    except ValueError:  # msgspec's errors and UnicodeDecodeError; the slow way finds the right name for it
        return loads_slowly(data)
    if data.count(b'"') != _encode(value).count(b'"'):
        return loads_slowly(data)
    return value


def loads_object(data: bytes) -> dict[str, Any]:
    """Like `loads`, for places where only an object means something."""
    value = loads(data)
    if type(value) is not dict:
        raise Unrepresentable("the top level must be a JSON object")
    return value


def loads_plain(data: bytes) -> dict[str, Any] | None:
    """The object of a document of which `write_plain` writes every part as `dumps` would; None if it cannot say so.

    For who digests many parts of one document. Plain is ASCII without escapes, floats and long numbers; what is not,
    or is no document at all, is for `loads_object` to judge.
    """
    folded = data.translate(_FOLD)
    if not data.isascii() or b"\\" in data or _LONG_NUMBER in folded:
        return None
    if folded.count(b"{") > DEPTH and _depth(data) > DEPTH:
        return None
    try:
        value = _decode_plain(data)
    except ValueError:
        return None
    if type(value) is not dict or data.count(b'"') != _encode(value).count(b'"'):
        return None
    return value


def loads_slowly(data: bytes) -> Any:
    """The same answer as `loads`, by the standard library and one rule after the other."""
    if _depth(data) > DEPTH:
        raise Malformed(f"nested deeper than {DEPTH} levels")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except NotCanonical:
        raise
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error
    for text in _texts(value):
        _check_text(text)
    return value


def _depth(data: bytes) -> int:
    """How deep a parser would go: up to its first error the count is exact, after that nobody parses on."""
    brackets = _STRING.sub(b"", data).translate(None, _NOT_A_BRACKET)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Malformed("an object names the same member twice")
    return value


def _integer(text: str) -> int:
    if len(text) > len("-9007199254740991") or not -_INTEGERS < (value := int(text)) < _INTEGERS:
        raise Unrepresentable("an integer of 2^53 or more is not exact in JSON; send it as a string")
    return value


def _float(text: str) -> float:
    if not isfinite(value := float(text)):
        raise Unrepresentable("a number is too large for a double")
    return value


def _constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON")


def _texts(value: Any) -> Iterator[str]:
    """Every string and every member name."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _check_text(text: str) -> str:
    if "\0" in text:
        raise Unrepresentable("a string contains the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unrepresentable("a string contains half of a surrogate pair") from error
    return text


# --- writing


def dumps(value: Any) -> bytes:
    """The RFC 8785 form of `value`. Raises Unrepresentable where there is none, or none that `loads` would take.

    Sorting by code points equals sorting by UTF-16 units unless a member name goes beyond the BMP, and msgspec writes
    strings and integers as RFC 8785 does; floats it does not. Outside of that the reference library answers.
    """
    try:
        data = _encode(value)
    except (TypeError, ValueError, RecursionError):  # the slow way finds the right name for it
        return dumps_slowly(value)
    if not data.isascii() and _BEYOND_BMP.search(data):
        return dumps_slowly(value)
    if b"\\" in data and b"\\u0000" in data:
        return dumps_slowly(value)
    containers = _plain_containers(value)
    if containers is None or (containers > DEPTH and _depth(data) > DEPTH):
        return dumps_slowly(value)
    return data


def dumps_slowly(value: Any) -> bytes:
    """The same answer as `dumps`, by the reference library."""
    data: bytes = rfc8785.dumps(_checked(value, DEPTH))
    return data


def _plain_containers(value: Any) -> int | None:
    """How many objects and arrays there are, or None unless all is of exact types that both encoders write alike.

    The list grows while it is walked: no calls, no recursion. The encoder has shown before that it is finite.
    """
    found = [value]
    containers = 0
    for item in found:
        kind = type(item)
        if kind is str:
            continue
        if kind is dict:
            for name in item:
                if type(name) is not str:
                    return None
            containers += 1
            found += item.values()
        elif kind is list or kind is tuple:
            containers += 1
            found += item
        elif not _is_plain_leaf(item):
            return None
    return containers


def _is_plain_leaf(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(-_INTEGERS < value < _INTEGERS)
    return kind is bool or value is None or isinstance(value, StrEnum)


def _checked(value: Any, depth: int) -> Any:
    """A copy out of built-in types alone, every leaf checked."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _check_text(str.__str__(value))
    if isinstance(value, int):
        return _integer(int.__repr__(value))
    if isinstance(value, float):
        return _checked_float(value)
    if depth <= 0:
        raise Unrepresentable(f"nested deeper than {DEPTH} levels")
    if isinstance(value, Mapping):
        return {_checked_name(name): _checked(item, depth - 1) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_checked(item, depth - 1) for item in value]
    raise Unrepresentable(f"{type(value).__name__} is not a JSON type")


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise Unrepresentable("a member name must be a string")
    return _check_text(str.__str__(name))


def _checked_float(value: float) -> float:
    """Refuses what would be written as an integer that no strict reader takes back."""
    if not isfinite(value):
        raise Unrepresentable("NaN and infinity are not JSON")
    if _INTEGERS <= abs(value) < _GAP:
        raise Unrepresentable("a number between 2^53 and 10^21 has no exact form; send it as a string")
    return value
