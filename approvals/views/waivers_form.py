"""What somebody typed into the form for a waiver in; terms to ask for, or the form again with each fault, out.

The form knows no rule of its own: every name and number is judged by `asking.draft`, whose faults come back here by
their paths. What was typed is kept as it was typed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from approvals.views import waivers_controls as controls
from approvals.views import waivers_values as values
from approvals.views.waivers_controls import KINDS, Row
from countersign.policy.faults import Fault
from countersign.policy.waiver_terms import MAX_CONTROLS

LISTS: Final = ("agents", "tools", "methods", "intents", "principals")
TEXTS: Final = ("category", "when", "reason", "owner", "ticket", "not_before", "expires_at", "max_uses", "renews")
OTHER_MATCH: Final = ("subjects", "resources", "actions")  # not asked for here, but kept from what is renewed
_NEEDED: Final = frozenset({"category", "reason", "owner", "expires_at"})
_INSTEAD: Final = {"agents": "subjects", "tools": "resources"}
_LABELS: Final[Mapping[str, str]] = {
    "match": "Which calls", "agents": "Agents", "tools": "Tools", "methods": "Methods", "when": "Only if",
    "principals": "Only on behalf of", "intents": "Only with intent", "rules": "Rules", "not_before": "From",
    "expires_at": "Until", "max_uses": "Uses at most", "reason": "Reason", "owner": "Business owner",
    "ticket": "Ticket", "category": "What is done about the risk", "controls": "Controls",
}  # fmt: skip
_MISSING: Final[Mapping[str, str]] = {
    "agents": "Name at least one agent.", "tools": "Name at least one tool.", "rules": "Choose at least one rule.",
    "expires_at": "Say until when.", "reason": "Say why.", "owner": "Say who answers for it.",
}  # fmt: skip


@dataclass(slots=True)
class Typed:
    """The whole form as it is typed, and what is wrong with it."""

    texts: dict[str, str]
    rules: list[str]
    controls: list[Row]
    kept: dict[str, list[str]]
    errors: dict[str, list[str]] = field(default_factory=dict)

    def terms(self) -> dict[str, Any]:
        """As `asking.draft` takes them. What is wrong stays in, to be told of."""
        names = {name: values.names(self.texts[name]) for name in LISTS}
        match = {name: found for name, found in names.items() if found or self._needs(name)}
        said: dict[str, Any] = {"rules": self.rules, "match": match | self.kept}
        for name in TEXTS:
            if self.texts[name].strip() or name in _NEEDED:
                said[name] = values.value(name, self.texts[name])
        return said | ({"controls": [row.said for row in self.controls]} if self.controls else {})

    def _needs(self, name: str) -> bool:
        return name in _INSTEAD and _INSTEAD[name] not in self.kept

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Put each fault beside the field it is about."""
        for fault in faults:
            words = values.sentence(fault)
            match fault.path:
                case ("controls", int(place), *rest) if place < len(self.controls):
                    self.controls[place].refuse(rest, words)
                case ("match", str(name), *_) if name in LISTS:
                    self._put(name, words)
                case (str(name), *_) if name in _LABELS:
                    self._put(name, words)
                case _:
                    self._put("", words)

    def _put(self, name: str, words: str) -> None:
        if name in _MISSING and not self._has(name):
            words = _MISSING[name]
        if words not in self.errors.setdefault(name, []):
            self.errors[name].append(words)

    def _has(self, name: str) -> bool:
        return bool(self.rules if name == "rules" else self.texts[name].strip())

    @property
    def is_wrong(self) -> bool:
        return bool(self.errors or any(row.errors for row in self.controls))

    @property
    def general(self) -> Sequence[str]:
        """What is wrong with no field in particular."""
        return self.errors.get("", ())

    @property
    def places(self) -> list[tuple[str, str]]:
        """Where something is wrong, in the order of the page: the end of the field's id, and its label."""
        found = [(name, label) for name, label in _LABELS.items() if name in self.errors]
        return found + [(f"control-{row.place}", f"Control {row.number}") for row in self.controls if row.errors]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """All of it as names and values, to be sent again from a page that shows it in words."""
        pairs = [(name, text) for name, text in self.texts.items() if text]
        pairs += [("rules", rule) for rule in self.rules]
        pairs += [(name, part) for name, parts in self.kept.items() for part in parts]
        for row in self.controls:
            pairs.append((f"control-{row.place}-kind", row.kind.name))
            pairs += [(f"control-{row.place}-{name}", text) for name, text in row.typed.items() if text]
        return pairs


def empty(**texts: str) -> Typed:
    """A form nobody has typed into; `texts` are there already."""
    return Typed({**dict.fromkeys((*LISTS, *TEXTS), ""), "category": "waiver", **texts}, [], [], {})


def typed(given: Mapping[str, Any], getlist: Callable[[str], list[str]]) -> Typed:
    """What came with a POST. Unknown fields are no concern of ours."""
    texts = {name: str(given.get(name, "")).replace("\r\n", "\n") for name in (*LISTS, *TEXTS)}
    kept = {name: parts for name in OTHER_MATCH if (parts := getlist(name))}
    return Typed(texts, getlist("rules"), controls.typed(given), kept)


def add(form: Typed, kind: str) -> None:
    """One more control of that kind, at the end."""
    if kind in KINDS and len(form.controls) < MAX_CONTROLS:
        form.controls.append(controls.blank(len(form.controls), kind))


def remove(form: Typed, place: str) -> None:
    """Without the control at that place; those after it move up."""
    form.controls = [row for row in form.controls if str(row.place) != place]
    for number, row in enumerate(form.controls):
        row.place = number


def of_terms(terms: Mapping[str, Any]) -> Typed:
    """The form as somebody would have typed these terms."""
    match = terms.get("match", {})
    texts = {name: "\n".join(match.get(name, ())) for name in LISTS}
    texts |= {name: values.said(name, terms.get(name)) for name in TEXTS}
    rows = [controls.of_terms(place, one) for place, one in enumerate(terms.get("controls", ()))]
    return Typed(texts, list(terms.get("rules", ())), rows, {n: list(match[n]) for n in OTHER_MATCH if n in match})
