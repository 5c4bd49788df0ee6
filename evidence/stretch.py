"""A log and a time in, its sealed records since then out: each of them, or so many spread evenly. Never a whole log."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from evidence.models import Sealed

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Stretch:
    """`bodies` are those of the records looked at that hold what was looked for, newest first.

    `there` is how many records the log has in that time, `looked_at` how many of them were read: as many as there are,
    or a sample of them with equal steps between.
    """

    bodies: Sequence[bytes]
    there: int
    looked_at: int


def since(log: str, at: datetime, *, most: int, holding: bytes) -> Stretch:
    """The records of `log` since `at`, at most `most` of them, that hold these bytes.

    Nothing indexes records by their time; but they are sealed in the order in which they were committed, so that the
    place where the time begins is found by halving.
    """
    end = _end(log)
    begin = _first(log, end, at)
    there = end - begin
    rows = _all(log, begin) if there <= most else _spread(log, begin, there, most)
    bodies = [body for row in rows if holding in (body := bytes(row))]
    return Stretch(bodies, there, min(there, most))


def _end(log: str) -> int:
    last = Sealed.objects.filter(log=log).order_by("-seq").values_list("seq", flat=True).first()
    return 0 if last is None else last + 1


def _first(log: str, end: int, at: datetime) -> int:
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        found = Sealed.objects.filter(log=log, seq=middle).values_list("record__recorded_at", flat=True).first()
        if found is None or found < at:  # none: pruned, so it was older
            low = middle + 1
        else:
            high = middle
    return low


def _all(log: str, begin: int) -> Iterable[bytes | memoryview]:
    return Sealed.objects.filter(log=log, seq__gte=begin).order_by("-seq").values_list("record__body", flat=True)


def _spread(log: str, begin: int, there: int, most: int) -> Iterator[bytes | memoryview]:
    places = [begin + n * there // most for n in range(most)][::-1]
    for at in range(0, most, _AT_ONCE):
        rows = Sealed.objects.filter(log=log, seq__in=places[at : at + _AT_ONCE])
        yield from rows.order_by("-seq").values_list("record__body", flat=True)
