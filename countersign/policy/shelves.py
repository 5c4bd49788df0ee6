"""A registry and a policy in, the names that can be searched for out, sorted; made when first asked for, and kept."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from countersign.policy import globs
from countersign.policy.rules import Rule
from countersign.policy.values import Outcome, Registry

Names = tuple[str, ...]
_NONE: Names = ()


class Shelves:
    """What exists and what the policy names, by type. Not state: it says again what registry and rules say."""

    def __init__(self, registry: Registry, rules: tuple[Rule, ...]) -> None:
        self._registry = registry
        self._rules = rules

    def subjects(self, kind: str) -> Names:
        """Agents, people (`user`), and what the catalogue has of that type."""
        return self._subjects.get(kind) or self._catalogue.get(kind, _NONE)

    def resources(self, kind: str) -> Names:
        """Tools, and what the catalogue has of that type. Who the people are is nobody's resource."""
        return self._tools if kind == "tool" else self._catalogue.get(kind, _NONE)

    def actions(self, tool: str | None) -> Names:
        """The methods of a registered tool. For anything else every action that somebody wrote down: the literal ones
        of the policy, the methods of all tools.
        """
        if tool is None:
            return self._actions
        found = self._registry.tools.get(tool)
        return _sorted(found.methods) if found else _NONE

    @cached_property
    def allowing(self) -> int:
        """The rules that can let a call through, one bit each."""
        return sum(1 << n for n, rule in enumerate(self._rules) if rule.binds and rule.effect is Outcome.ALLOW)

    @cached_property
    def _subjects(self) -> Mapping[str, Names]:
        people = _sorted([*self._registry.people, *self._catalogue.get("user", _NONE)])
        return {"agent": _sorted(self._registry.agents), "user": people}

    @cached_property
    def _tools(self) -> Names:
        return _sorted(self._registry.tools)

    @cached_property
    def _catalogue(self) -> Mapping[str, Names]:
        by_type: dict[str, list[str]] = defaultdict(list)
        for kind, name in self._registry.entities:
            by_type[kind].append(name)
        return {kind: _sorted(names) for kind, names in by_type.items()}

    @cached_property
    def _actions(self) -> Names:
        written = (glob for rule in self._rules for glob in rule.match.actions or () if globs.is_literal(glob))
        methods = (method for tool in self._registry.tools.values() for method in tool.methods)
        return _sorted([*written, *methods])


def _sorted(names: Iterable[str]) -> Names:
    """Each once, by code points: an order that no name's coming or going changes."""
    return tuple(sorted(set(names)))
