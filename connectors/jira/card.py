"""What is told in, the fields and comments of a Jira issue out. Pure.

Whatever an agent or a person wrote stands in a box, one line each; beside it are only our own words and our link.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors import plain
from connectors.jira import text
from connectors.port import Moment, Place, Told

LONGEST_SUMMARY = 250  # Jira takes 255
LONGEST_BOX = 27_000  # Jira takes 32,767 with all that stands around it
LONGEST_OUTCOME = 600  # each character may be written as eight
LONGEST_COMMENT_LINES = 100
LABEL = "countersign"
_PENDING = "pending"


def fields(place: Place, told: Told) -> dict[str, Any]:
    """Everything a new issue is made of."""
    return {
        "project": {"key": str(place.config["project"])},
        "issuetype": {"name": str(place.config.get("issue_type", "Task"))},
        "labels": labels(told),
        **shown(told),
    }


def shown(told: Told) -> dict[str, str]:
    """What a person reads: told anew with every change."""
    return {"summary": summary(told), "description": description(told)}


def labels(told: Told) -> list[str]:
    """To find the issues of this service, of a tier, and of one request."""
    tier = [] if told.risk_tier is None else [f"{LABEL}-tier-{told.risk_tier}"]
    return [LABEL, *tier, told.request_id]


def summary(told: Told) -> str:
    """One line: where it stands, and what is asked in names of the registry."""
    state = "Approval needed" if told.status == _PENDING else told.status.capitalize()
    words = plain.title(told, most=LONGEST_SUMMARY - len(state) - 2)
    return f"{state}: {words}"


def description(told: Told) -> str:
    """The state, how to answer, and the box with every line that fits."""
    head = "\n".join(_head(told))
    box = list(_box(told))
    fitting = _fitting(box)
    left_out = [] if len(fitting) == len(box) else [f"… {len(box) - len(fitting)} more lines: read them on the page."]
    return f"{head}\n\n{text.fence([*fitting, *left_out])}"


def is_whole(told: Told) -> bool:
    """Whether the issue shows all there is to judge: only then may an answer be given there."""
    box = list(_box(told))
    return told.is_whole and len(_fitting(box)) == len(box)


def moments(told: Told) -> Sequence[tuple[str, str]]:
    """The story as lines of comments, each with a short name that stays when a later repetition is folded into it."""
    return [(_name(one), f"{plain.moment(one.at)} – {text.escape(one.words)}") for one in told.story]


def commented(lines: Sequence[str]) -> str:
    """Lines as one comment; the oldest go where there are more than anybody reads."""
    return "\n".join(lines[-LONGEST_COMMENT_LINES:])


def own(words: str) -> str:
    """Our own words as a line of a comment: names of theirs may be in them."""
    return text.escape(words)


def remark(words: str) -> str:
    """Plain words as a comment."""
    return text.fence(words.splitlines())


def message(place: Place, words: str, *, link: str = "", name: str = "") -> dict[str, Any]:
    """An issue that is about no request: a test, a digest. One with a name is found by it."""
    return {
        "project": {"key": str(place.config["project"])},
        "issuetype": {"name": str(place.config.get("issue_type", "Task"))},
        "labels": [LABEL, f"{LABEL}-message", *([name] if name else [])],
        **said(words, link=link),
    }


def said(words: str, *, link: str = "") -> dict[str, str]:
    """Plain words as what a person reads of an issue: the first line above the rest. In a box no address is a link."""
    lines = words.splitlines()
    head = f"{link}\n\n" if link else ""
    return {"summary": plain.line(lines[0], most=LONGEST_SUMMARY), "description": f"{head}{text.fence(lines)}"}


def _head(told: Told) -> Iterator[str]:
    yield f"{_who_asks(told)} This issue shows the request; the page behind the link is what counts."
    yield ""
    yield f"Whole request: {told.link}"
    yield (
        f"State: {text.escape(plain.line(told.outcome, most=LONGEST_OUTCOME))}"
        if told.outcome
        else f"Open until {plain.moment(told.expires_at)}"
    )
    if told.status == _PENDING:
        yield ""
        yield _how_to_answer(told)


def _who_asks(told: Told) -> str:
    return "A person asks for an exception from the policy." if told.exception else "An AI agent asks to act."


def _how_to_answer(told: Told) -> str:
    if told.step_up != "none":
        return "To decide, open the page: this decision needs a fresh proof of who you are, which Jira cannot give."
    if not is_whole(told):
        return "To decide, open the page: not all of this request can be shown here."
    return "To decide here, comment /approve or /deny with your reason; or open the page."


def _box(told: Told) -> Iterator[str]:
    yield from (f"Needs: {words}" for words in plain.needed(told))
    for said in told.votes:
        reason = f": {plain.line(said.reason)}" if said.reason else ""
        yield f"Vote: {plain.line(said.who)} – {plain.line(said.decision)} ({plain.line(said.surface)}){reason}"
    yield ""
    for label, value in plain.lines(told):
        yield f"{label}: {value}"


def _fitting(box: Sequence[str]) -> Sequence[str]:
    """The first lines that fit; a line is never cut, for half of one says something else."""
    used = 0
    for count, line in enumerate(box):
        used += text.size(text.boxed(line)) + 1
        if used > LONGEST_BOX:
            return box[:count]
    return box


def _name(moment: Moment) -> str:
    words = moment.words.split(" ×", 1)[0]
    return hashlib.sha256(f"{moment.at.isoformat()} {words}".encode()).hexdigest()[:8]


def outcomes(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Status of a request → name of the transition, or of the status it leads to, that this project has for it."""
    given = config.get("transitions", {})
    return {str(status): str(name) for status, name in given.items()}
