"""What one look at a compensating control found: whether it holds, and what was seen, in words."""

from typing import Final, NamedTuple

LONGEST: Final = 500


class Finding(NamedTuple):
    """`found` is told to people and recorded for ever: no body, and of an address the host alone."""

    holds: bool
    found: str
