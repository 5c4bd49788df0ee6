"""How much looking a text may cost: so much to begin with, and so much more for each byte that was read.

Counted and not measured, so that the same text is always answered in the same way, and that what was read once is read
again when it comes without the part that was not.
"""

from dataclasses import dataclass

_TO_BEGIN_WITH, _PER_BYTE = 5_000_000, 24  # in about nanoseconds


@dataclass(slots=True)
class Effort:
    """What is left of it."""

    left: int = _TO_BEGIN_WITH

    def earn(self, read: int) -> None:
        """Bytes that were reached."""
        self.left += read * _PER_BYTE

    def spend(self, cost: int) -> bool:
        """Take the cost off; false once more was spent than there was."""
        self.left -= cost
        return self.left >= 0
