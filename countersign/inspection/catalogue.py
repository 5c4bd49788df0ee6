"""Rule files in, compiled rules out: read and compiled once a process, when the first text is looked at."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import re2

OVERLAP = 64
"""What may stand on the border of two stretches that are looked through apart: longer than any keyword."""

NEAR = 512
"""How far from its keyword a rule's match may reach, in bytes; rules for longer secrets say so themselves."""


@dataclass(frozen=True, slots=True)
class Allow:
    """What is no secret although a rule says so: looked for in the secret itself, or in all that the rule matched."""

    in_match: bool
    regex: Any | None
    words: Any | None

    def spares(self, secret: bytes, match: bytes) -> bool:
        """Whether this list knows the text as harmless."""
        if self.regex is not None and self.regex.search(match if self.in_match else secret):
            return True
        return self.words is not None and self.words.search(secret.lower()) is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret. `group` 0: the first group that took part, else the whole match."""

    name: str
    regex: Any
    group: int
    entropy: float
    allows: tuple[Allow, ...]
    check: str
    reach: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rules, in order. `keywords` and `needing` belong together: the n-th hint calls the n-th rules."""

    rules: tuple[Rule, ...]
    any_keyword: Any
    keywords: Any
    needing: tuple[tuple[int, ...], ...]
    fields: Mapping[str, str]
    placeholder: Any


@cache
def catalogue() -> Catalogue:
    """The rules of this release. Some 50 ms the first time, then memory; safe from any thread."""
    theirs, ours = _read("secrets.json"), _read("own.json")
    everywhere = _allow(theirs["allow"])
    listed = [*theirs["rules"], *ours["rules"]]
    generic = tuple(_allow(one) for one in ours["generic"]["allow"])
    rules = tuple(_rule(one, everywhere, generic) for one in listed)
    fields = {field: name for name, listed in ours["fields"].items() for field in listed}
    placeholder = re2.compile(ours["placeholder"].encode())
    return replace(_indexed(rules, [_hints(one) for one in listed]), fields=fields, placeholder=placeholder)


def _read(name: str) -> Any:
    return json.loads(files("countersign.inspection").joinpath("rules", name).read_bytes())


def _hints(one: Mapping[str, Any]) -> list[str]:
    """What must be in a lower-case text for the rule to be asked: its keywords, or for numbers how they look."""
    return [*(re2.escape(word) for word in one["keywords"]), *one.get("looks", ())]


def _rule(one: Mapping[str, Any], everywhere: Allow, generic: tuple[Allow, ...]) -> Rule:
    allows = (*(_allow(allow) for allow in one.get("allow", ())), everywhere)
    return Rule(
        name=one["name"],
        regex=re2.compile(one["regex"].encode()),
        group=one.get("group", 0),
        entropy=one.get("entropy", 0.0),
        allows=(*allows, *generic) if one["name"].startswith("generic-") else allows,
        check=one.get("check", ""),
        reach=one.get("reach", NEAR),
    )


def _allow(one: Mapping[str, Any]) -> Allow:
    regexes = "|".join(f"(?:{regex})" for regex in one.get("regexes", ()))
    return Allow(
        in_match=one.get("target", "secret") != "secret",
        regex=re2.compile(regexes.encode()) if regexes else None,
        words=_any_of(one["words"]) if one.get("words") else None,
    )


def _any_of(words: Sequence[str]) -> Any:
    return re2.compile("|".join(re2.escape(word.lower()) for word in words).encode())


def _indexed(rules: tuple[Rule, ...], hints: Sequence[Sequence[str]]) -> Catalogue:
    words = sorted({word for listed in hints for word in listed})
    chosen = re2.Set.SearchSet()
    for word in words:
        chosen.Add(word.encode())
    chosen.Compile()
    return Catalogue(
        rules=rules,
        any_keyword=re2.compile("|".join(words).encode()),
        keywords=chosen,
        needing=tuple(tuple(n for n, listed in enumerate(hints) if word in listed) for word in words),
        fields={},
        placeholder=None,
    )
