"""Plain data in, checked values out: a form collects every fault in what people wrote, each with its path."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, TypeVar

Path = tuple[str | int, ...]
E = TypeVar("E", bound=Enum)

_DURATION = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "nothing"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake: where (path; `key` for the key itself; `offset` inside a text, 1-based) and what to do about it."""

    path: Path
    message: str
    key: bool = False
    offset: tuple[int, int] | None = None

    def __str__(self) -> str:
        where = ".".join(map(str, self.path))
        return f"{where}: {self.message}" if where else self.message


class InvalidError(ValueError):
    """What was written cannot be used. Holds every fault; `path` is the first one's."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))

    @property
    def path(self) -> Path:
        return self.faults[0].path


def kind(value: object) -> str:
    """What a value is, for people."""
    if isinstance(value, Mapping):
        return "a mapping"
    return _KINDS.get(type(value), "a list" if isinstance(value, (list, tuple)) else type(value).__name__)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?` or nothing."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def parse_duration(value: object) -> timedelta | None:
    """`10s`, `15m`, `2h`, `7d` as a timedelta; None for anything else."""
    found = _DURATION.match(value) if isinstance(value, str) else None
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


class Form:
    """Collects faults while values are read; each reader answers something usable, so that reading goes on."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def refuse(self, path: Path, message: str, *, key: bool = False, offset: tuple[int, int] | None = None) -> None:
        self.faults.append(Fault(path, message, key=key, offset=offset))

    def adopt(self, error: InvalidError, *, under: Path) -> None:
        """Take over the faults of a part that was read by itself."""
        for fault in error.faults:
            self.refuse((*under, *fault.path), fault.message, key=fault.key, offset=fault.offset)

    def settle(self) -> None:
        """Raise InvalidError if anything was wrong."""
        if self.faults:
            raise InvalidError(self.faults)

    def expected(self, path: Path, wanted: str, value: object) -> None:
        self.refuse(path, f"expected {wanted}, found {kind(value)}")

    def mapping(
        self, value: object, path: Path, *, known: Collection[str], required: Collection[str] = ()
    ) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.expected(path, "a mapping", value)
            return {}
        for name in value:
            if name not in known:
                hint = did_you_mean(str(name), known) or f"; known here: {', '.join(known)}"
                self.refuse((*path, name), f"unknown key {name!r}{hint}", key=True)
        for name in required:
            if name not in value:
                self.refuse(path, f"{name!r} is missing")
        return value

    def items(self, value: object, path: Path) -> Sequence[Any]:
        if isinstance(value, (list, tuple)):
            return value
        self.expected(path, "a list", value)
        return ()

    def text(self, value: object, path: Path) -> str:
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, str):
            self.refuse(path, "must not be empty")
        else:
            self.expected(path, "text", value)
        return ""

    def texts(self, value: object, path: Path) -> tuple[str, ...]:
        """A list of at least one text, none twice."""
        items = self.items(value, path)
        if isinstance(value, (list, tuple)) and not items:
            self.refuse(path, "the list must not be empty")
        words = [self.text(item, (*path, n)) for n, item in enumerate(items)]
        for n, word in enumerate(words):
            if word and word in words[:n]:
                self.refuse((*path, n), f"{word!r} is listed twice")
        return tuple(word for word in words if word)

    def flag(self, value: object, path: Path) -> bool:
        if not isinstance(value, bool):
            self.expected(path, "true or false", value)
        return value is True

    def whole(self, value: object, path: Path, *, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self.expected(path, f"a whole number from {least} to {most}", value)
        elif not least <= value <= most:
            self.refuse(path, f"must be from {least} to {most}")
        else:
            return value
        return least

    def choice(self, value: object, path: Path, choices: type[E]) -> E | None:
        known = [str(choice.value) for choice in choices]
        if isinstance(value, str) and value in known:
            return choices(value)
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        self.refuse(path, f"must be one of {', '.join(known)}{hint}")
        return None

    def duration(self, value: object, path: Path, *, most: timedelta) -> timedelta:
        found = parse_duration(value)
        if found is None:
            self.refuse(path, "expected a duration such as 10s, 15m, 2h or 7d")
        elif found > most:
            self.refuse(path, f"must not be longer than {most.days}d")
        else:
            return found
        return most
