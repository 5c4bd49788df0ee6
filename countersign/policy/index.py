"""Rules or waivers in, those that can speak of a call out: one bit each, one mask a name, four names a call."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from countersign.policy.globs import Memo, Names, Patterns
from countersign.policy.rules import Match, Typed

NAMES_KEPT = 4096
_DOTTED = frozenset({"agent", "tool"})  # other types' ids are not dotted names


class Part(StrEnum):
    """What of a call can be left open, to be searched for."""

    SUBJECT = "subject"
    RESOURCE = "resource"
    ACTION = "action"


class Matched(Protocol):
    """What says by a `match` which calls it speaks of."""

    @property
    def match(self) -> Match: ...


M = TypeVar("M", bound=Matched)


class Index(Generic[M]):
    """Rules by whom, what and why. Immutable but for what it remembers of the names it was asked."""

    __slots__ = ("_actions", "_intents", "_memo", "_resources", "_subjects", "rules")

    def __init__(self, rules: Sequence[M]) -> None:
        self.rules = tuple(rules)
        self._subjects = _Typed(self.rules, lambda match: match.subjects)
        self._resources = _Typed(self.rules, lambda match: match.resources)
        self._actions = Names(_masks(self.rules, lambda match: match.actions))
        self._intents = Names(_masks(self.rules, lambda match: match.intents))
        self._memo: tuple[Memo[int], ...] = tuple(Memo(NAMES_KEPT) for _ in range(4))

    def candidates(self, subject: tuple[str, str], action: str, resource: tuple[str, str], intent: str) -> list[M]:
        """The rules whose `match` fits, sorted as `rules` are. A call without intent has the empty one."""
        subjects, actions, resources, intents = self._memo
        mask = _mask(subjects, subject, self._subjects.mask)
        mask &= _mask(resources, resource, self._resources.mask)
        mask &= _mask(actions, action, self._actions.mask)
        mask &= _mask(intents, intent, self._intents.mask)
        return [self.rules[n] for n in _bits(mask)]

    def patterns(
        self, part: Part, subject: tuple[str, str], action: str, resource: tuple[str, str], intent: str, *, among: int
    ) -> Patterns:
        """What names the rules of the mask `among` speak of in one part of a call, the others being these. Of a part
        that is open the type alone counts.
        """
        subjects, actions, resources, intents = self._memo
        mask = among & _mask(intents, intent, self._intents.mask)
        if part is not Part.SUBJECT:
            mask &= _mask(subjects, subject, self._subjects.mask)
        if part is not Part.RESOURCE:
            mask &= _mask(resources, resource, self._resources.mask)
        if part is not Part.ACTION:
            mask &= _mask(actions, action, self._actions.mask)
        match part:
            case Part.SUBJECT:
                return self._subjects.patterns(subject[0], mask)
            case Part.RESOURCE:
                return self._resources.patterns(resource[0], mask)
            case Part.ACTION:
                return self._actions.patterns(mask)


class _Typed:
    """Names, apart for each type of entity."""

    __slots__ = ("_all", "_types")

    def __init__(self, rules: Sequence[Any], of: Callable[[Match], tuple[Typed, ...] | None]) -> None:
        self._all = 0
        types: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for n, rule in enumerate(rules):
            typed = of(rule.match)
            if typed is None:
                self._all |= 1 << n
            for kind, glob in typed or ():
                types[kind].append((glob, 1 << n))
        self._types = {kind: Names(masks, dotted=kind in _DOTTED) for kind, masks in types.items()}

    def mask(self, entity: tuple[str, str]) -> int:
        names = self._types.get(entity[0])
        return self._all | names.mask(entity[1]) if names else self._all

    def patterns(self, kind: str, mask: int) -> Patterns:
        names = self._types.get(kind)
        if self._all & mask:
            return Patterns(everything=True)
        return names.patterns(mask) if names else Patterns()


def _masks(rules: Sequence[Any], of: Callable[[Match], tuple[str, ...] | None]) -> Iterable[tuple[str, int]]:
    for n, rule in enumerate(rules):
        words = of(rule.match)
        for glob in ("**",) if words is None else words:
            yield glob, 1 << n


def _mask(memo: Memo[int], name: tuple[str, str] | str, compute: Callable[..., int]) -> int:
    known = memo.get(name)
    if known is None:
        known = compute(name)
        memo.put(name, known)
    return known


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
