"""Text or JSON in, the same without its secrets out; each is replaced by what it was: `[redacted: aws-access-key]`."""

from dataclasses import dataclass
from typing import Any

from countersign.inspection.catalogue import catalogue
from countersign.inspection.effort import Effort
from countersign.inspection.layout import lay_out, rebuilt
from countersign.inspection.places import NOT_INSPECTED, Place, apart, replaced
from countersign.inspection.readings import Reading, readings
from countersign.inspection.spotting import spots

_ROUNDS = 3  # what stood beside a secret may be read differently without it
_CONTINUED, _IS_CONTINUED = 0xC0, 0x80  # how UTF-8 marks the bytes of a letter after its first


@dataclass(frozen=True, slots=True)
class Redacted:
    """What may be shown, and the names of the rules that had to take something out: sorted, each once."""

    text: str
    found: tuple[str, ...]


def redact(text: str) -> Redacted:
    """Every secret replaced by its kind, all else unchanged byte for byte. Redacting the outcome changes nothing."""
    names: set[str] = set()
    data = text.encode("utf-8", "surrogatepass")
    for _ in range(_ROUNDS):
        places = _places(data)
        if not places:
            break
        names.update(name for _, _, name in places)
        data = replaced(data, places)
    return Redacted(data.decode("utf-8", "surrogatepass"), tuple(sorted(names))) if names else Redacted(text, ())


def redact_value(value: Any) -> tuple[Any, tuple[str, ...]]:
    """The same for JSON, keys included, and the names found. What stands under `"password"` is always one.

    A number that is taken out becomes text. What is not JSON is neither looked at nor changed.
    """
    names: set[str] = set()
    for _ in range(_ROUNDS):
        layout = lay_out(value)
        places = apart([*_places(layout.data()), *layout.named()])
        if not places:
            break
        names.update(name for _, _, name in places)
        value = rebuilt(value, layout, places)
    return value, tuple(sorted(names))


def _places(data: bytes) -> list[Place]:
    """Where the secrets are in any reading, in order and apart; and the rest, if a reading cost too much to finish."""
    rules = catalogue().rules
    found: list[Place] = []
    for reading in readings(data):
        spotted, end = spots(reading.data, Effort())
        found += [(*reading.origin(spot.start, spot.end), rules[spot.rule].name) for spot in spotted]
        unread = _unread(reading, end)
        if unread is not None:
            found.append((_start_of_letter(data, unread), len(data), NOT_INSPECTED))
    return apart(found)


def _unread(reading: Reading, end: int) -> int | None:
    """From where on the first text was not read in this reading; None if all of it was."""
    if end < len(reading.data):
        return reading.origin(end, end + 1)[0]
    if reading.read_to is not None and reading.parent is not None:
        return reading.parent.origin(reading.read_to, reading.read_to + 1)[0]
    return None


def _start_of_letter(data: bytes, place: int) -> int:
    while place and data[place] & _CONTINUED == _IS_CONTINUED:
        place -= 1
    return place
