"""A request and what is asked of one person in, the modal that asks it out. Pure; built with the SDK's models.

What a modal must remember is the id of a row of ours. Nothing that decides anything is believed because it comes back.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    InputBlock,
    PlainTextInputElement,
    SectionBlock,
)
from slack_sdk.models.views import View

from connectors.port import Line, Told
from connectors.slack.card import OPEN
from connectors.slack.text import code, cut, escape, fence, link, marked, plain

DENY_REASON = "countersign.deny_reason"
TOTP = "countersign.totp"
CONFIRM = "countersign.confirm"
DETAILS = "countersign.details_shown"
REASON = "reason"  # an input's block and action have the same name
CODE = "code"
LONGEST_REASON = 2000
_LONGEST_CODE = 32  # a recovery code, with the spaces people type
_LARGEST = 200_000  # as it is sent; Slack takes views of 250,000
_SECTIONS = 90  # of the hundred blocks a view may have
_PIECE = 2900  # of a section's 3,000 characters, as they are sent
_BOX = 2000  # of them, for the value; a label and flags stand beside it
_PIECES = 3  # of one value; what is longer is read on our page
_NAME = 100


def reason(*, what: str, memory: str) -> dict[str, Any]:
    """Why not? `what` is said of the request; `memory` comes back with the answer."""
    element = PlainTextInputElement(action_id=REASON, multiline=True, max_length=LONGEST_REASON)
    asks = InputBlock(
        block_id=REASON, label=plain("Reason"), element=element, optional=True,
        hint=plain("Kept as evidence. The requester and the other approvers read it."),
    )  # fmt: skip
    return _view(
        "Deny this call", [SectionBlock(text=marked(what)), asks], submit="Deny", callback=DENY_REASON, memory=memory
    )


def totp(*, what: str, verb: str, memory: str) -> dict[str, Any]:
    """A code, in Slack: only where the tenant allows it."""
    element = PlainTextInputElement(action_id=CODE, max_length=_LONGEST_CODE, focus_on_load=True)
    asks = InputBlock(
        block_id=CODE, label=plain("Code from your authenticator"), element=element,
        hint=plain("Six digits. It is used up by this one vote."),
    )  # fmt: skip
    return _view("Confirm", [SectionBlock(text=marked(what)), asks], submit=verb, callback=TOTP, memory=memory)


def confirm(address: str, *, number: int) -> dict[str, Any]:
    """Where to go on, and with which number. It asks nothing."""
    return _view("Confirm on our page", list(confirming(address, number=number)), callback=CONFIRM)


def confirming(address: str, *, number: int) -> Iterator[Block]:
    """The same as blocks, for a message to one person."""
    yield SectionBlock(
        text=marked(
            f"This vote is confirmed on our own page, with a code from your authenticator.\nYour number is *{number}*."
            " The page asks for it."
        )
    )
    yield ActionsBlock(
        elements=[ButtonElement(text=plain("Confirm…"), action_id=OPEN, url=address, style="primary")]
    )  # fmt: skip
    yield ContextBlock(
        elements=[marked("Good for five minutes, once. Who did not press a button here closes the page.")]
    )


def details(told: Told) -> dict[str, Any]:
    """Every line, as far as a modal holds them; what it does not hold, it says."""
    blocks: list[Block] = [SectionBlock(text=marked(named(told)))]
    sections, left = _sections(told.lines)
    blocks += [SectionBlock(text=marked(one), expand=True) for one in sections]
    more = f"{left} more lines do not fit here. " if left else ""
    cut_short = more or any(_is_long(line) for line in told.lines)
    said = f"⚠ {more}Not everything is shown here." if cut_short else "This is all of it."
    blocks.append(ContextBlock(elements=[marked(f"{said} {link(told.link, 'Open in Countersign')}")]))
    return _view("What is asked", blocks, callback=DETAILS)


def named(told: Told) -> str:
    """Agent, tool and method in a line of markup."""
    agent, tool, method = (code(cut(name, _NAME)) for name in (told.agent, told.tool, told.method))
    if told.exception:
        return f"{agent} asks for an exception: {code(cut(told.exception, _NAME))}"
    return f"{agent} asks to run {tool} {method}"


def error(block: str, words: str) -> Mapping[str, Any]:
    """What Slack shows under an input, which stays open."""
    return {"response_action": "errors", "errors": {block: words}}


# --- lines


def _sections(lines: Sequence[Line]) -> tuple[list[str], int]:
    """Markup of as many whole lines as fit, several a section, and how many are left."""
    sections: list[str] = []
    size = 0
    for position, line in enumerate(lines):
        pieces = list(_pieces(line))
        size += len(json.dumps(pieces))
        if size > _LARGEST:
            return sections, len(lines) - position
        if sections and len(pieces) == 1 and len(sections[-1]) + len(pieces[0]) < _PIECE:
            sections[-1] += f"\n{pieces[0]}"
        elif len(sections) + len(pieces) > _SECTIONS:
            return sections, len(lines) - position
        else:
            sections += pieces
    return sections, 0


def _pieces(line: Line) -> Iterator[str]:
    """One line, in as many sections as it needs, at most three."""
    flags = "".join(f"\n⚠ {escape(flag)}" for flag in line.flags)
    label = f"*{code(cut(line.label, _NAME))}*"
    first, *rest = _cut_up(line.value)
    yield f"{label}\n{fence(first)}{flags}"
    for piece in rest[: _PIECES - 1]:
        yield fence(piece)
    if rest[_PIECES - 1 :]:
        yield f"⚠ _{code(cut(line.label, _NAME))} is longer than fits here._"


def _is_long(line: Line) -> bool:
    return len(_cut_up(line.value)) > _PIECES


def _cut_up(value: str) -> list[str]:
    """Pieces that fit into a section however much escaping makes of them; Slack counts what it is sent."""
    pieces, rest = [], value
    while rest:
        piece = rest[:_BOX]
        while len(fence(piece)) > _BOX + len("``````"):
            piece = piece[: len(piece) // 2]
        pieces.append(piece)
        rest = rest[len(piece) :]
    return pieces or [""]


def _view(
    title: str, blocks: Sequence[Block], *, callback: str, submit: str | None = None, memory: str = ""
) -> dict[str, Any]:
    view = View(
        type="modal", title=plain(title), blocks=list(blocks), callback_id=callback, private_metadata=memory,
        submit=plain(submit) if submit else None, close=plain("Back" if submit else "Close"),
    )  # fmt: skip
    told: dict[str, Any] = view.to_dict()
    return told
