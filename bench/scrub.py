"""What taking secrets out costs: ten kilobytes of ordinary arguments, and the worst of the hostile megabytes.

The hostile ones are those of the tests; each is timed several times and its best time counts, so that a busy neighbour
is not measured along. The row is the slowest of them, and its note says which; those that are made for this very
scrubber have a row of their own.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from countersign.inspection.redact import redact, redact_value
from tests.countersign.inspection.hostile import HARDER, HOSTILE
from tests.countersign.inspection.negatives import NEGATIVES

_SIZE = 10 * 1024
_ROUNDS, _HOSTILE_ROUNDS = 300, 5


def arguments() -> dict[str, Any]:
    """Ten kilobytes of JSON: orders, notes, ids, digests, links, code, a picture's beginning."""
    made: dict[str, Any] = {"order": "A-1002", "amount": "250.00", "lines": []}
    for n, text in enumerate(NEGATIVES * 3):
        if len(json.dumps(made)) >= _SIZE:
            break
        made["lines"].append({"sku": f"SKU-{n}", "quantity": n, "note": text})
    return made


def _taken(work: Callable[[], object], rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


def _row(name: str, taken: list[float], size: int) -> dict[str, Any]:
    middle = taken[len(taken) // 2]
    return {
        "name": name,
        "value": size / middle / 1000,
        "unit": "MB/s",
        "p50_ms": middle,
        "p99_ms": taken[min(int(len(taken) * 0.99), len(taken) - 1)],
    }


def rows() -> list[dict[str, Any]]:
    """`scrub.10kb`, as JSON and as text, `scrub.1mb_hostile` and `scrub.1mb_harder`."""
    value = arguments()
    text = json.dumps(value)
    redact(text)
    return [
        _row("scrub.10kb", _taken(lambda: redact_value(value), _ROUNDS), len(text)),
        _row("scrub.10kb_text", _taken(lambda: redact(text), _ROUNDS), len(text)),
        _worst("scrub.1mb_hostile", HOSTILE),
        _worst("scrub.1mb_harder", HARDER),
    ]


def _worst(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    which = max(texts, key=lambda which: _taken(lambda: redact(texts[which]), _HOSTILE_ROUNDS)[0])
    text = texts[which]
    return _row(name, _taken(lambda: redact(text), _HOSTILE_ROUNDS), len(text.encode())) | {"note": which}
