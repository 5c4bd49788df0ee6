"""Bytes in, the places of secrets out: keywords first, then only the rules that these call, only near them."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from countersign.inspection import checks
from countersign.inspection.catalogue import OVERLAP, Catalogue, Rule, catalogue
from countersign.inspection.effort import Effort

_SMALL, _LARGE, _START = 4096, 16_384, 65_536  # stretches are small at first: what is unread is left out by the stretch
_FAR = 65_536
_ENOUGH = 1024  # of a candidate, for lists of what is harmless
# The name that a keyword ends: allow-lists know `primary_key`, rules begin at `key`.
_RUN_UP, _LEADING = 50, re.compile(rb"[\w.-]+\Z")
# The cost of looking, in about nanoseconds; counted, not measured, so that an answer never depends on the hour.
_PER_BYTE, _PER_RULE, _PER_MATCH = 4, 2_000, 10_000


class Spot(NamedTuple):
    """One secret: where it starts and ends, and the place of its rule in the catalogue."""

    start: int
    end: int
    rule: int


def spots(data: bytes, effort: Effort) -> tuple[set[Spot], int]:
    """Every secret in it, and up to where it was read: len(data) unless the effort was spent."""
    known, lowered = catalogue(), data.lower()
    found: set[Spot] = set()
    done: dict[int, int] = {}  # where each rule's last secret ends: what is long is not read again in each chunk
    for start, end in _stretches(len(data)):
        effort.earn(end - start)
        effort.spend((end - start) * _PER_BYTE)
        for n in _called(known, lowered[start : end + OVERLAP]):
            rule = known.rules[n]
            effort.spend(_PER_RULE + end - start + 2 * rule.reach)
            first = max(start - rule.reach, done.get(n, 0))
            for span in _matches(rule, data, first, end + rule.reach, effort):
                found.add(Spot(*span, n))
                done[n] = span[1]
            if effort.left < 0:
                return found, start
    return found, len(data)


def _stretches(size: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < size:
        end = min(start + (_SMALL if start < _START else _LARGE), size)
        yield start, end
        start = end


def _called(known: Catalogue, chunk: bytes) -> list[int]:
    """The rules whose keywords are there, in order."""
    if not known.any_keyword.search(chunk):
        return []
    hits = known.keywords.Match(chunk)
    if hits is None:
        # A set that runs out of memory says that nothing matched; then every rule is asked.
        return list(range(len(known.rules)))
    return sorted({n for hit in hits for n in known.needing[hit]})


def _matches(rule: Rule, data: bytes, start: int, end: int, effort: Effort) -> Iterator[tuple[int, int]]:
    """What the rule holds for a secret between two places; a match that runs into the end is followed beyond it."""
    end = min(end, len(data))
    match = rule.regex.search(data, start, end)
    while match is not None and effort.spend(_PER_MATCH):
        match = _whole(rule, data, match, end)
        span = _secret(rule, match)
        if _is_secret(rule, data, match, span):
            yield span
            start = max(match.end(), match.start() + 1)
        else:
            start = max(span[0], match.start() + 1)
        match = rule.regex.search(data, start, end) if start < end else None


def _whole(rule: Rule, data: bytes, match: Any, end: int) -> Any:
    for further in (end + _FAR, len(data)):
        if match.end() < end or end >= len(data):
            break
        end = min(further, len(data))
        match = rule.regex.match(data, match.start(), end) or match
    return match


def _secret(rule: Rule, match: Any) -> tuple[int, int]:
    groups = [rule.group] if rule.group else range(1, match.re.groups + 1)
    taking_part = (match.span(group) for group in groups if match.start(group) >= 0)
    return next(taking_part, None) or (match.start(), match.end())


def _is_secret(rule: Rule, data: bytes, match: Any, span: tuple[int, int]) -> bool:
    start, end = span
    if start == end or (rule.check and not checks.CHECKS[rule.check](data, start, end)):
        return False
    secret = data[start:end]
    if rule.entropy and checks.entropy(secret) <= rule.entropy:
        return False
    led_up = _LEADING.search(data, max(match.start() - _RUN_UP, 0), match.start())
    matched = data[led_up.start() if led_up else match.start() : match.end()]
    return not any(allow.spares(secret[:_ENOUGH], matched[:_ENOUGH]) for allow in rule.allows)
