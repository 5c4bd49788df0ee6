"""Prefixed, time-ordered, unguessable identifiers: `eva_01k…` (48 bits of milliseconds, 80 bits of chance)."""

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


def new(prefix: str) -> str:
    """A fresh id. Time-ordered so that index pages fill from the right; 80 random bits so that nobody guesses one."""
    n = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10))
    return f"{prefix}_" + "".join([_PAIRS[n >> shift & 0x3FF] for shift in range(120, -1, -10)])
