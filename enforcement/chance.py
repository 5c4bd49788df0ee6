"""Random bytes for one call at a time, drawn from the system for many: asking it lets go of the interpreter's lock."""

import os
from collections import deque

from countersign.proof.digests import SALT_BYTES

_DRAWN = 256  # pieces at a time
_pieces: deque[bytes] = deque()


def salt() -> bytes:
    """32 bytes nobody else gets: taking from a deque is atomic, and a forked process starts with none."""
    while True:
        try:
            return _pieces.pop()
        except IndexError:
            drawn = os.urandom(_DRAWN * SALT_BYTES)
            _pieces.extend([drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)])


os.register_at_fork(after_in_child=_pieces.clear)
