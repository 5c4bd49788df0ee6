"""A told request in, the fields of its record and the notes below it out. Pure.

What an approver reads is `description`: the same for the whole life of a request, so that a vote can be held against
it. Work notes only grow; each line of them is the same whenever it is computed, so that it is written once.
"""

import re
from collections.abc import Iterator, Mapping

from connectors import plain
from connectors.port import Moment, Name, Told, Waiting

_TITLE = 160  # the lengths of the fields in the base system
_DESCRIPTION = 4000
_CODE = re.compile(r"\[(/?code)\]", re.IGNORECASE)
_STANDS = {"approved": "Approved", "denied": "Denied", "expired": "Expired", "cancelled": "Withdrawn"}
_PENDING = "pending"
OURS = "Countersign"  # what every record we make says of where it came from

# Where a change request goes once it is over: closed or cancelled. Other tables have other states; they keep theirs.
CHANGES = "change_request"
_CLOSED = {"state": "3", "close_code": "successful"}
_CANCELLED = {"state": "4"}


def fields(told: Told) -> dict[str, str]:
    """What the record says now, `state` apart."""
    return {
        "short_description": plain.line(f"{_stands(told)}: {plain.title(told, most=_TITLE)}", most=_TITLE),
        "description": description(told),
        "approval": _approval(told),
    }


def naming(told: Told) -> dict[str, str]:
    """How the record is found again."""
    return {"correlation_id": told.request_id, "correlation_display": OURS}


def digest(waiting: Waiting, name: Name) -> str:
    """What the record for words tells of many requests; its last line is what it is found by."""
    return harmless(f"{plain.waiting(waiting)}\n\n{_called(name)}")


def is_digest(text: str, name: Name) -> bool:
    """Whether that text is the digest of this name. Its other lines begin with words of ours or an address."""
    return text.strip().splitlines()[-1:] == [_called(name)]


def ending(told: Told) -> Mapping[str, str]:
    """The state that a change request should end in; nothing while it is pending."""
    if told.status == _PENDING:
        return {}
    if told.status == "approved":
        return {**_CLOSED, "close_notes": harmless(plain.line(told.outcome)) or "Approved"}
    return _CANCELLED


def description(told: Told) -> str:
    """All lines, how to answer, and the fingerprint of what is shown. Too long: what fits, and no answer here."""
    whole = _description(told, _body(told))
    return whole if len(whole) <= _DESCRIPTION else _description(told, "    Too long to be shown here.")


def is_answerable(told: Told) -> bool:
    """Whether an approval here can be a vote: everything was shown, and no step-up is needed."""
    return told.is_whole and told.step_up == "none" and len(_description(told, _body(told))) <= _DESCRIPTION


def notes(told: Told) -> Iterator[tuple[Moment, str]]:
    """The story, a line a moment. How often something was repeated is left out: a line once written stays."""
    for moment in told.story:
        words = moment.words.partition(" ×")[0]
        yield moment, harmless(f"{moment.at:%Y-%m-%d %H:%M:%S} UTC · {plain.line(words)}")


def _called(name: Name) -> str:
    return f"Digest: {name.id}"


def _description(told: Told, body: str) -> str:
    needed = "; ".join(f"{one.quorum} by {', '.join(one.teams)}" for one in told.needed)
    parts = (
        _who_asks(told), body,
        f"Needed: {plain.line(needed)}\nExpires: {plain.moment(told.expires_at)}",
        f"{_how(told)}\n{told.link}", f"Fingerprint of what is shown: {told.display_hash}",
    )  # fmt: skip
    return harmless("\n\n".join(parts))


def _who_asks(told: Told) -> str:
    if told.exception:
        return f"A person asks for a yes to exactly this exception: {plain.line(told.exception)}"
    return "An agent asks for a human yes to exactly this call:"


def _how(told: Told) -> str:
    if told.is_whole and told.step_up == "none":
        return "Answer with the approval of this record that is yours, or here:"
    return "Answer on this page alone; an approval of this record does not count by itself:"


def _body(told: Told) -> str:
    return plain.body(told)


def _stands(told: Told) -> str:
    return "Approval needed" if told.status == _PENDING else _STANDS.get(told.status, "Closed")


def _approval(told: Told) -> str:
    return {_PENDING: "requested", "approved": "approved"}.get(told.status, "rejected")


def harmless(text: str) -> str:
    """Text without `[code]`, after which the form that shows a journal reads HTML."""
    return _CODE.sub(r"[ \1 ]", text)
