"""What goes wrong on purpose: faults by endpoint or delivery, each for a number of times."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from examples.lookalikes import weather


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


_CALLS = (
    Fault(status=429, retry_after="1"), Fault(status=500), Fault(delay=0.2), Fault(drop="before"), Fault(drop="after"),
)  # fmt: skip
_DELIVERIES = (Fault(duplicate=1),)


class Faults:
    """The faults that wait to happen, first come first served; where none were ever set, the weather's."""

    def __init__(self, *, storm: bool | None = False) -> None:
        self.weather = weather.over("jira", storm=storm, calls=_CALLS, deliveries=_DELIVERIES)
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if fault.drop not in {None, "before", "after"}:
            raise ValueError("drop is before or after")
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    @property
    def is_stormy(self) -> bool:
        """Whether the weather strikes: it leaves alone who set faults of their own."""
        return self.weather is not None and not self._waiting

    def take(self, where: str) -> Fault | None:
        """The first fault for this place, counted down."""
        for fault in self._waiting:
            if fault.times and fnmatchcase(where, fault.where):
                fault.times -= 1 if fault.times > 0 else 0
                return fault
        return self.weather.strike(where) if self.weather and self.is_stormy else None
