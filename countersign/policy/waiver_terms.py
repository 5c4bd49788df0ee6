"""What somebody asks to be excepted, as plain data, in; checked terms, or every fault with its path, out. Pure.

Whether the rules exist, the tools are registered and the time is short enough is judged against a bundle
(`waiver_scope`); here it is only seen whether the terms can be understood.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from countersign.policy import cel, obligations
from countersign.policy.faults import Form, Path
from countersign.policy.rules import Match, read_match
from countersign.policy.waivers import RESOURCE, Category

KEYS: Final = (
    "category", "rules", "match", "when", "reason", "owner", "ticket", "not_before", "expires_at", "max_uses",
    "controls", "renews",
)  # fmt: skip
REQUIRED: Final = ("category", "rules", "match", "reason", "owner", "expires_at")
MATCH_KEYS: Final = ("agents", "subjects", "tools", "resources", "methods", "actions", "intents", "principals")
CONDITION_SEES: Final = frozenset(cel.VARIABLES) - {"risk"}
"""Not the risk: how high it is depends on the very rules that are lifted."""
MAX_TEXT: Final = 2000
MAX_RULES: Final = 50
MAX_CONTROLS: Final = 20
MAX_USES: Final = 1_000_000
SHORTEST_ROUND: Final = timedelta(seconds=10)
LONGEST_ROUND: Final = timedelta(days=1)
USUAL_ROUND: Final = "5m"
_BARE: Final = frozenset({"*", "**"})


class ControlKind(StrEnum):
    """How a control holds: the PEP does something, a person vouches, or we look."""

    OBLIGATION = "obligation"
    ATTESTATION = "attestation"
    CHECK = "check"


class Metric(StrEnum):
    """What a check may count in the tenant's own records of the calls that this waiver let through."""

    USES = "uses"  # how many
    FAILED = "failed_share"  # the share, in percent, whose execution failed or is indeterminate
    DIVERGED = "diverged"  # how many an independent verifier saw differ


@dataclass(frozen=True, slots=True)
class Control:
    """One compensating control: its kind, what was said of it (as written, with defaults), and a check's round."""

    kind: ControlKind
    said: Mapping[str, Any]
    person: str | None = None
    valid_until: datetime | None = None
    every: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """An exception as it is asked for. `written` is the same as plain JSON, to be shown, digested and kept."""

    category: Category
    rules: tuple[str, ...]
    match: Match
    principals: frozenset[str] | None
    condition: cel.Condition | None
    reason: str
    owner: str
    ticket: str
    not_before: datetime | None
    expires_at: datetime
    max_uses: int | None
    controls: tuple[Control, ...]
    renews: str | None
    written: Mapping[str, Any]


def read(value: object) -> Terms:
    """Raises InvalidError with every fault."""
    form = Form()
    block = form.mapping(value, (), known=KEYS, required=REQUIRED)
    category = form.choice(block["category"], ("category",), Category) if "category" in block else None
    controls = _controls(form, block["controls"], ("controls",)) if "controls" in block else ()
    if category is Category.MITIGATED and not controls:
        form.refuse(("controls",), "a mitigated waiver names at least one compensating control")
    found = {
        "rules": form.texts(block.get("rules", ["?"]), ("rules",)),
        "match": _match(form, block.get("match", {}), ("match",)) if "match" in block else Match(),
        "principals": _principals(form, block.get("match", {})),
        "condition": _condition(form, block["when"], ("when",)) if block.get("when") is not None else None,
        "reason": _words(form, block, "reason"),
        "owner": _words(form, block, "owner"),
        "ticket": _words(form, block, "ticket") if block.get("ticket") else "",
        "not_before": _moment(form, block, "not_before"),
        "expires_at": _moment(form, block, "expires_at"),
        "max_uses": _uses(form, block),
        "renews": _words(form, block, "renews") if block.get("renews") else None,
    }
    if len(found["rules"]) > MAX_RULES:
        form.refuse(("rules",), f"a waiver lifts at most {MAX_RULES} rules")
    form.settle()
    return Terms(category=category or Category.WAIVER, controls=controls, written=_written(block, controls), **found)


def _written(block: Mapping[str, Any], controls: tuple[Control, ...]) -> dict[str, Any]:
    """As it was said, what was left out or said to be nothing left out."""
    said = {name: part for name, part in block.items() if part not in (None, "", [])}
    return {**said, "controls": [dict(one.said) for one in controls]} if controls else said


def _words(form: Form, block: Mapping[str, Any], name: str) -> str:
    if name not in block:
        return ""
    text = form.text(block[name], (name,))
    if len(text) > MAX_TEXT:
        form.refuse((name,), f"at most {MAX_TEXT} characters")
    return text


def _uses(form: Form, block: Mapping[str, Any]) -> int | None:
    said = block.get("max_uses")
    return None if said is None else form.whole(said, ("max_uses",), least=1, most=MAX_USES)


def _moment(form: Form, block: Mapping[str, Any], name: str) -> Any:
    return None if block.get(name) is None else moment(form, block[name], (name,))


def moment(form: Form, value: object, path: Path) -> datetime | None:
    """RFC 3339 with its offset."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        form.refuse(path, "expected a time with its offset, such as 2027-01-31T18:00:00Z")
        return None
    return found


def _match(form: Form, value: object, path: Path) -> Match:
    """As of a rule, but narrower: it must name whom and what, and not by a bare star."""
    block = form.mapping(value, path, known=MATCH_KEYS)
    match = read_match(form, {name: part for name, part in block.items() if name != "principals"}, path)
    for names, typed in ((("agents", "subjects"), match.subjects), (("tools", "resources"), match.resources)):
        if typed is None and not any(name in block for name in names):
            form.refuse(path, f"say which {names[0]}: a waiver for all of them is a change of policy")
        for kind, glob in typed or ():
            if glob in _BARE:
                form.refuse(path, f"{glob!r} covers every {kind}: name the ones that are meant")
            if kind == RESOURCE:
                form.refuse(path, "asking for waivers cannot be waived")
    return match


def _principals(form: Form, value: object) -> frozenset[str] | None:
    block = value if isinstance(value, Mapping) else {}
    return frozenset(form.texts(block["principals"], ("match", "principals"))) if "principals" in block else None


def _condition(form: Form, value: object, path: Path) -> cel.Condition | None:
    text = form.text(value, path)
    try:
        return cel.compile_condition(text, variables=CONDITION_SEES) if text else None
    except cel.ConditionError as error:
        form.refuse(path, f"condition: {error.message}", offset=(error.line, error.column))
        return None


# --- controls


def _controls(form: Form, value: object, path: Path) -> tuple[Control, ...]:
    items = form.items(value, path)
    if len(items) > MAX_CONTROLS:
        form.refuse(path, f"at most {MAX_CONTROLS} controls")
        return ()
    found = (_control(form, item, (*path, n)) for n, item in enumerate(items))
    return tuple(one for one in found if one is not None)


def _control(form: Form, value: object, path: Path) -> Control | None:
    if not isinstance(value, Mapping):
        form.expected(path, "a mapping", value)
        return None
    kind = form.choice(value.get("kind"), (*path, "kind"), ControlKind)
    return _READERS[kind](form, value, path) if kind else None


def _obligation(form: Form, value: Mapping[str, Any], path: Path) -> Control:
    block = form.mapping(value, path, known=("kind", "type", "properties"), required=("type",))
    obligations.check(form, block, path)
    return Control(ControlKind.OBLIGATION, dict(block))


def _attestation(form: Form, value: Mapping[str, Any], path: Path) -> Control:
    known = ("kind", "person", "link", "valid_until")
    block = form.mapping(value, path, known=known, required=("person", "valid_until"))
    person = form.text(block["person"], (*path, "person")) if "person" in block else ""
    until = moment(form, block["valid_until"], (*path, "valid_until")) if "valid_until" in block else None
    if "link" in block:
        _address(form, block["link"], (*path, "link"))
    return Control(ControlKind.ATTESTATION, dict(block), person=person, valid_until=until)


def _check(form: Form, value: Mapping[str, Any], path: Path) -> Control:
    """One of three: an address that answers, a number over our own records, or a verifier that keeps up."""
    known = ("kind", "url", "expect", "metric", "over", "most", "verified_uses", "every")
    block = dict(form.mapping(value, path, known=known))
    ways = [name for name in ("url", "metric", "verified_uses") if name in block]
    if len(ways) != 1:
        form.refuse(path, "a check has one of 'url', 'metric' and 'verified_uses'")
    if "url" in block:
        _address(form, block["url"], (*path, "url"))
        block["expect"] = form.whole(block.get("expect", 200), (*path, "expect"), least=100, most=599)
    if "metric" in block:
        form.choice(block["metric"], (*path, "metric"), Metric)
        block["over"] = block.get("over", "1h")
        form.duration(block["over"], (*path, "over"), most=timedelta(days=31))
        block["most"] = form.whole(block.get("most"), (*path, "most"), least=0, most=MAX_USES)
    if "verified_uses" in block:
        form.whole(block["verified_uses"], (*path, "verified_uses"), least=1, most=1000)
    block["every"] = block.get("every", USUAL_ROUND)
    every = form.duration(block["every"], (*path, "every"), most=LONGEST_ROUND)
    if every < SHORTEST_ROUND:
        form.refuse((*path, "every"), "not more often than every 10s")
    return Control(ControlKind.CHECK, block, every=every)


def _address(form: Form, value: object, path: Path) -> None:
    text = form.text(value, path)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        usable = False
    if text and (not usable or len(text) > MAX_TEXT):
        form.refuse(path, "expected an http or https address without a user in it")


_READERS: Final = {
    ControlKind.OBLIGATION: _obligation,
    ControlKind.ATTESTATION: _attestation,
    ControlKind.CHECK: _check,
}
