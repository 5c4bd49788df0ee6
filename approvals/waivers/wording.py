"""Terms of a waiver as they were written in; the words in which people read them, before any line of them, out. Pure.

Nothing here is bound: what people vote on stands below it, line by line. Text that somebody wrote comes out made
visible, as on every card.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from approvals.visible import visible
from approvals.waivers import conditions
from countersign.policy.waiver_terms import USUAL_ROUND

_NAMED: Final = 3  # names in a title; the rest is a number
_SHORT: Final = 60
_CATEGORIES: Final = {
    "waiver": "Waiver: the risk is taken as it is",
    "mitigated": "Mitigated: something else is done about the risk",
}
_METRICS: Final = {
    "uses": "{n} uses or fewer",
    "failed_share": "{n} % or fewer of the calls it let through failed",
    "diverged": "{n} or fewer of the calls it let through did something else than they said",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing the terms say: a label and its values, each a line of its own. `code`: as written, not in words."""

    label: str
    values: tuple[str, ...]
    code: bool = False


def title(rules: Sequence[str], whom: Sequence[str]) -> str:
    """Such as `Exception from refunds-over-100 for support-bot`; the names are shown as they are given."""
    for_whom = f" for {_few(whom)}" if whom else ""
    return f"Exception from {_few(rules) or 'rules'}{for_whom}"


def title_of(terms: Mapping[str, Any]) -> str:
    """The title of these terms."""
    match = terms.get("match", {})
    return title(_texts(terms.get("rules")), _texts(match.get("agents") or match.get("subjects")))


def facts(terms: Mapping[str, Any]) -> list[Fact]:
    """The terms in words: what is excepted first, then until when, what is done instead, and why."""
    return [Fact(label, tuple(values), code) for label, values, code in _facts(terms) if values]


def _facts(terms: Mapping[str, Any]) -> Iterator[tuple[str, list[str], bool]]:
    match = terms.get("match", {})
    yield "Lets through", [calls(match)], False
    yield "With intent", _texts(match.get("intents")), False
    when = terms.get("when")
    said = conditions.words(when) if when else None
    if when:
        yield "Only if", said or [visible(when).text], said is None
    yield "Only on behalf of", _texts(match.get("principals")), False
    yield "Rules it lifts", _texts(terms.get("rules")), False
    yield "From", [when_words(terms["not_before"])] if terms.get("not_before") else ["as soon as it is granted"], False
    yield "Until", [when_words(terms.get("expires_at", ""))], False
    most = terms.get("max_uses")
    yield "How often", [f"{most} time{'' if most == 1 else 's'} at most" if most else "as often as it is asked"], False
    yield "Kind", [_CATEGORIES.get(str(terms.get("category")), "")], False
    yield "Instead", [control(one) for one in terms.get("controls", ())], False
    yield "Why", _texts([terms.get("reason", "")]), False
    yield "Business owner", _texts([terms.get("owner", "")]), False
    yield "Ticket", _texts([terms.get("ticket", "")]), False
    yield "Renews", _texts([terms.get("renews", "")]), False


def calls(match: Mapping[str, Any]) -> str:
    """Whose calls of what: `support-bot calling create of payments.refund`."""
    whom = _and(_texts(match.get("agents") or match.get("subjects"))) or "nobody"
    methods = _and(_texts(match.get("methods") or match.get("actions"))) or "any method"
    tools = _and(_texts(match.get("tools") or match.get("resources"))) or "nothing"
    return f"{whom} calling {methods} of {tools}"


def control(said: Mapping[str, Any]) -> str:
    """One compensating control, as a sentence without its end."""
    match said.get("kind"):
        case "obligation":
            properties = ", ".join(f"{_text(name)} {_text(part)}" for name, part in said.get("properties", {}).items())
            return f"the enforcement point must: {_text(said.get('type'))}" + (f" ({properties})" if properties else "")
        case "attestation":
            link = f", see {_text(said['link'])}" if said.get("link") else ""
            return f"{_text(said.get('person'))} confirms it, until {when_words(said.get('valid_until', ''))}{link}"
        case _:
            return f"{_looks(said)}, looked at every {_text(said.get('every', USUAL_ROUND))}"


def _looks(said: Mapping[str, Any]) -> str:
    if "url" in said:
        return f"{_text(said['url'])} answers {said.get('expect', 200)}"
    if "metric" in said:
        most = _METRICS.get(str(said["metric"]), f"{_text(said['metric'])} at most {{n}}").format(n=said.get("most"))
        return f"{most} in {_text(said.get('over', '1h'))}"
    return f"an independent verifier reported on the last {said.get('verified_uses')} uses"


def when_words(text: object) -> str:
    """A time as terms write it, in words; what is none stays as it is."""
    try:
        return moment(datetime.fromisoformat(str(text)))
    except ValueError:
        return _text(text)


def moment(at: datetime) -> str:
    """`31 Jan 2027, 18:00 UTC`; a naive time is taken as UTC."""
    there = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    seconds = f":{there:%S}" if there.second else ""
    return f"{there.day} {there:%b %Y, %H:%M}{seconds} UTC"


def _text(value: object) -> str:
    return visible(str(value)).text


def _texts(values: Iterable[object] | None) -> list[str]:
    return [_text(one) for one in values or () if one]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _few(names: Sequence[str]) -> str:
    short = [name if len(name) <= _SHORT else f"{name[:_SHORT]}…" for name in names[:_NAMED]]
    more = len(names) - _NAMED
    return f"{', '.join(short)} and {more} more" if more > 0 else _and(short)
