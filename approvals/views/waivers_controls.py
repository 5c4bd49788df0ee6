"""The controls of a waiver as the form has them in; controls of its terms, or the rows of the form, out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from approvals.views import waivers_values as values
from countersign.policy.obligations import KINDS as KINDS_OF_OBLIGATION
from countersign.policy.waiver_terms import MAX_CONTROLS


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of control as the form offers it: three sorts of check look different enough to be asked for apart."""

    name: str
    words: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class About:
    """How a field is asked for. `sort` is the field's own: text, many, time, number."""

    label: str
    hint: str = ""
    optional: bool = False
    sort: str = "text"
    list: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one row, ready to be shown."""

    name: str
    full: str
    about: About
    value: str
    errors: Sequence[str]


KINDS: Final[Mapping[str, Kind]] = {
    one.name: one
    for one in (
        Kind("obligation", "The enforcement point must do something", ("type", "properties")),
        Kind("attestation", "A person confirms something", ("person", "link", "valid_until")),
        Kind("probe", "An address must answer", ("url", "expect", "every")),
        Kind("metric", "A number in our records stays low", ("metric", "most", "over", "every")),
        Kind("verified", "An independent verifier keeps up", ("verified_uses", "every")),
    )
}
_EVERY: Final = About("How often it is looked at", "Such as 30s, 5m or 1h; 5m if left out.", optional=True)
_ABOUT: Final[Mapping[str, About]] = {
    "type": About("What it must do", f"One of {', '.join(KINDS_OF_OBLIGATION)}."),
    "properties": About("With", "One a line, such as to: #finance", optional=True, sort="many"),
    "person": About("Who confirms", "They find a button on the page of the exception.", list="people"),
    "link": About("Where it is written", "An address with what they confirm.", optional=True),
    "valid_until": About("Their word counts until", "UTC.", sort="time"),
    "url": About("Address", "It is asked without following redirects."),
    "expect": About("Status it answers", "200 if left out.", optional=True, sort="number"),
    "metric": About("Number of"),
    "most": About("At most", sort="number"),
    "over": About("In the last", "Such as 1h or 7d; 1h if left out.", optional=True),
    "verified_uses": About("Of the last uses, it must have reported on", sort="number"),
    "every": _EVERY,
}


@dataclass(slots=True)
class Row:
    """One control as it is typed. `errors` by field; those of the whole control under the empty name."""

    place: int
    kind: Kind
    typed: dict[str, str]
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return self.place + 1

    @property
    def general(self) -> Sequence[str]:
        """What is wrong with none of its fields in particular."""
        return self.errors.get("", ())

    @property
    def fields(self) -> Iterator[Field]:
        for name in self.kind.fields:
            full = f"control-{self.place}-{name}"
            yield Field(name, full, _ABOUT[name], self.typed[name], self.errors.get(name, ()))

    @property
    def said(self) -> dict[str, Any]:
        """As terms name it. What is needed is there even if it is empty, to be asked for."""
        kind = self.kind.name if self.kind.name in {"obligation", "attestation"} else "check"
        said = {
            name: values.value(name, text)
            for name, text in self.typed.items()
            if text.strip() or not _ABOUT[name].optional
        }
        return {"kind": kind, **said}

    def refuse(self, rest: Sequence[str | int], words: str) -> None:
        """Put a fault at its field, or at the control."""
        name = str(rest[0]) if rest and rest[0] in self.kind.fields else ""
        if name and not self.typed[name].strip():
            words = "Fill this in."
        self.errors.setdefault(name, []).append(words)


def blank(place: int, kind: str) -> Row:
    return Row(place, KINDS[kind], dict.fromkeys(KINDS[kind].fields, ""))


def typed(given: Mapping[str, Any]) -> list[Row]:
    """The rows that came with a form. Unknown sorts are none."""
    rows: list[Row] = []
    for n in range(MAX_CONTROLS):
        kind = KINDS.get(str(given.get(f"control-{n}-kind", "")))
        if kind is not None:
            said = {name: str(given.get(f"control-{n}-{name}", "")).replace("\r\n", "\n") for name in kind.fields}
            rows.append(Row(len(rows), kind, said))
    return rows


def of_terms(place: int, said: Mapping[str, Any]) -> Row:
    """A control of terms, as somebody would have typed it."""
    name = str(said["kind"])
    if name == "check":
        name = "probe" if "url" in said else "metric" if "metric" in said else "verified"
    return Row(place, KINDS[name], {one: values.said(one, said.get(one)) for one in KINDS[name].fields})
