"""A seed in, ambient faults out: about every fourth call or delivery goes wrong, always the same ones.

Off unless a look-alike is made with `storm=True`, or is not told and `COUNTERSIGN_TEST_STORM` is set. Its value is the
seed: 1 is one weather, 2 another. Who sets faults of their own gets those
and no weather.
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Generic, TypeVar

VARIABLE = "COUNTERSIGN_TEST_STORM"
ONE_IN = 4
_DELIVERIES = ("deliver.", "HOOK ")
Fault = TypeVar("Fault")


class Weather(Generic[Fault]):
    """Of each four things at one place one is struck: every place is, and none for ever.

    Which one depends on the seed, the place and how often it was used, not on what happens elsewhere meanwhile.
    """

    def __init__(self, seed: str, *, calls: Sequence[Fault], deliveries: Sequence[Fault], spared: str = "") -> None:
        self._seed, self._calls, self._deliveries, self._spared = seed, calls, deliveries, spared
        self.struck: Counter[str] = Counter()
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def strike(self, where: str) -> Fault | None:
        """What happens to the next call or delivery there; None: nothing."""
        if where == self._spared:
            return None
        with self._lock:
            block, turn = divmod(self._used[where], ONE_IN)
            self._used[where] += 1
        chance = random.Random(f"{self._seed} {where} {block}")
        if chance.randrange(ONE_IN) != turn:
            return None
        self.struck[where] += 1
        return chance.choice(self._deliveries if where.startswith(_DELIVERIES) else self._calls)


def over(
    name: str, *, storm: bool | None, calls: Sequence[Fault], deliveries: Sequence[Fault], spared: str = ""
) -> Weather[Fault] | None:
    """The weather over one look-alike; None is fair. `storm` None leaves it to the environment.

    `spared` is a place that is never struck.
    """
    seed = os.environ.get(VARIABLE, "")
    is_stormy = seed not in {"", "0"} if storm is None else storm
    return Weather(f"{name} {seed or 1}", calls=calls, deliveries=deliveries, spared=spared) if is_stormy else None
