"""What a waiver is just now, in a word, a sign and a sentence: never a colour alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from approvals.waivers.models import LIVE, State, Waiver

BEGINS_LATER: Final = "later"


@dataclass(frozen=True, slots=True)
class Standing:
    """`name` is the state as it is now: a waiver past its time has expired, whether or not a timer ran."""

    name: str
    sign: str
    words: str


_STANDINGS: Final = {
    one.name: one
    for one in (
        Standing(State.PENDING.value, "◔", "Waits for its grant"),
        Standing(State.ACTIVE.value, "✓", "In force"),
        Standing(State.SUSPENDED.value, "‖", "Suspended"),
        Standing(State.EXPIRED.value, "◌", "Ended"),
        Standing(State.REVOKED.value, "✗", "Revoked"),
        Standing(State.USED_UP.value, "◌", "Used up"),
        Standing(State.REFUSED.value, "✗", "Not granted"),
        Standing(BEGINS_LATER, "◔", "Granted, begins later"),
    )
}
STATES: Final = tuple((state.value, _STANDINGS[state.value].words) for state in State)


def of(waiver: Waiver, *, now: datetime) -> Standing:
    """As of now, by the clock and not only by the row."""
    if waiver.state in LIVE and now >= waiver.expires_at:
        return _STANDINGS[State.EXPIRED.value]
    if waiver.state == State.ACTIVE and now < waiver.not_before:
        return _STANDINGS[BEGINS_LATER]
    return _STANDINGS[waiver.state]
