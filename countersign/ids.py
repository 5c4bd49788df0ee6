"""Prefixed, time-ordered, unguessable identifiers: `eva_01k…` (48 bits of milliseconds, 80 bits of chance)."""

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_TO_ALPHABET = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))


def new(prefix: str) -> str:
    """A fresh id. Time-ordered so that index pages fill from the right; 80 random bits so that nobody guesses one."""
    return of(prefix, os.urandom(16))


def of(prefix: str, chance: bytes) -> str:
    """The same with the chance of 16 random bytes: for who draws for many at once."""
    return f"{prefix}_{_time(time.time_ns() // 1_000_000)}{chance.translate(_TO_ALPHABET).decode()}"


def _time(milliseconds: int) -> str:
    """Fifty bits in ten characters; remembered, because many ids are made in one millisecond."""
    global _last  # noqa: PLW0603 - a memory of one pure result, replaced by one assignment
    known = _last
    if known[0] == milliseconds:
        return known[1]
    text = "".join([_ALPHABET[milliseconds >> shift & 31] for shift in range(45, -1, -5)])
    _last = (milliseconds, text)
    return text


_last = (0, _ALPHABET[0] * 10)
