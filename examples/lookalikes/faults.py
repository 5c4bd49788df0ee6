"""What goes wrong on purpose in a look-alike: faults by method, endpoint, table or delivery, each for some times."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from examples.lookalikes import weather


@dataclass
class Fault:
    """One fault. `where` is a glob over what the system calls its places:

    Slack: Web API methods (`chat.*`) or deliveries (`deliver.block_actions`); Jira: endpoints (`issue.*`,
    `transitions.do`) or deliveries (`deliver.comment_*`); ServiceNow: `METHOD table` (`POST change_request`, `HOOK …`).

    `status` answers without doing anything; `drop` cuts the connection, "before" or "after" the effect; `delay` waits
    first; `duplicate` delivers that many times more; `times` -1 is for ever. `garbage` answers 200 with a page for
    people, `error` is Slack's `ok: false`, `location` where a redirect leads.
    """

    where: str = "*"
    times: int = 1
    status: int | None = None
    retry_after: int | str | None = None
    error: str | None = None
    location: str | None = None
    delay: float = 0.0
    drop: str | None = None
    duplicate: int = 0
    garbage: bool = False


@dataclass(frozen=True)
class System:
    """What a look-alike cannot have go wrong, the weather over its calls, and where it never strikes."""

    lacks: frozenset[str]
    calls: Sequence[Fault]
    spared: str = ""


_DELIVERIES = (Fault(duplicate=1),)
_SLOW, _CUT = Fault(delay=0.2), (Fault(drop="before"), Fault(drop="after"))
_BUSY = (Fault(status=429, retry_after=1), Fault(status=500))
_ONCE = "views.open"  # a window cannot be opened later: where it fails, the person presses again
SYSTEMS = {
    "slack": System(frozenset({"location"}), (*_BUSY, Fault(error="internal_error"), _SLOW, *_CUT), _ONCE),
    "jira": System(frozenset({"error"}), (*_BUSY, _SLOW, *_CUT)),
    "servicenow": System(frozenset({"error", "location", "garbage"}), (*_BUSY, _SLOW, *_CUT)),
}


def members(system: str) -> list[str]:
    """What a fault of this system may say."""
    return [one.name for one in fields(Fault) if one.name not in SYSTEMS[system].lacks]


class Faults:
    """The faults that wait to happen, first come first served; where none were ever set, the weather's."""

    def __init__(self, system: str, *, storm: bool | None = False) -> None:
        own = SYSTEMS[system]
        self._lacks = own.lacks
        self.weather = weather.over(system, storm=storm, calls=own.calls, deliveries=_DELIVERIES, spared=own.spared)
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Raises ValueError for what would never happen here: a test would believe that it did."""
        if fault.drop not in {None, "before", "after"}:
            raise ValueError("drop is before or after")
        if any(getattr(fault, name) for name in self._lacks):
            raise ValueError(f"there is no {' or '.join(sorted(self._lacks))} here")
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

    def waiting(self) -> list[dict[str, Any]]:
        """Those that still wait, as JSON."""
        return [asdict(fault) for fault in self._waiting if fault.times]
