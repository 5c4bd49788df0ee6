"""What goes wrong on purpose: faults by endpoint or delivery, each for a number of times."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass
class Fault:
    """One fault. `where` is a glob over endpoints (`issue.*`, `transitions.do`) or deliveries (`deliver.comment_*`).

    `status` answers without doing anything; `drop` cuts the connection, "before" or "after" the effect; `delay` waits
    first; `garbage` answers 200 with a page for people; `duplicate` delivers so many times more. `times` -1: for ever.
    """

    where: str = "*"
    times: int = 1
    status: int | None = None
    retry_after: str | None = None
    location: str | None = None
    delay: float = 0.0
    drop: str | None = None
    duplicate: int = 0
    garbage: bool = False


class Faults:
    """The faults that wait to happen, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if fault.drop not in {None, "before", "after"}:
            raise ValueError("drop is before or after")
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, where: str) -> Fault | None:
        """The first fault for this place, counted down."""
        for fault in self._waiting:
            if fault.times and fnmatchcase(where, fault.where):
                fault.times -= 1 if fault.times > 0 else 0
                return fault
        return None
