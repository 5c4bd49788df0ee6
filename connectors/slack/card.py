"""A request as it is told in, a message of Block Kit out: text for notifications, blocks for the channel. Pure.

Built with the SDK's models, which hold Slack's limits. All lines of the display stand on the card or there is no button
to approve: nobody approves in Slack what they could not read there.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    SectionBlock,
)

from connectors.port import Needed, Said, Told
from connectors.slack import boxes
from connectors.slack.text import code, cut, escape, fitted, link, marked, moment, plain, plain_moment

APPROVE = "countersign.approve"
DENY = "countersign.deny"
DETAILS = "countersign.details"
OPEN = "countersign.open"  # a link; Slack tells of the click all the same, and wants it acknowledged

_PENDING = "pending"
_STATES: Mapping[str, str] = {
    _PENDING: "⏳ Waiting for approval",
    "approved": "✅ Approved",
    "denied": "⛔ Denied",
    "expired": "⌛ Expired, nobody decided in time",
    "cancelled": "🚫 Cancelled",
    "failed": "⚠️ Failed",
}
_DECISIONS: Mapping[str, str] = {"approve": "✅ approved", "deny": "⛔ denied"}
_NO_PROOF = frozenset({"", "none"})
_NAME = 150  # of an agent, a tool, a person; longer ones are cut, and then not approved here
_WORDS = 300
_LISTED = 1300  # characters of votes, and of requirements


def message(told: Told) -> dict[str, Any]:
    """`text` and `blocks`, as chat.postMessage and chat.update take them."""
    return {"text": summary(told), "blocks": [block.to_dict() for block in _blocks(told)]}


def summary(told: Told) -> str:
    """One line for notifications and screen readers; no mention, no link."""
    who = f"{cut(told.agent, _NAME)}: {_what(told)}"
    if told.status != _PENDING:
        return escape(f"{_state(told)} – {who}. {cut(told.outcome, _WORDS)}".replace("\n", " "))
    risk = f", risk {boxes.TIERS[told.risk_tier]}" if told.risk_tier else ""
    return escape(f"{_state(told)} – {who}{risk}. Answer by {plain_moment(told.expires_at)}.".replace("\n", " "))


def elsewhere(told: Told) -> str:
    """Why this cannot be approved on a card, in a sentence; empty if it can. A click must be checked against it too."""
    if not told.is_whole:
        return "Part of this request is not shown here: a secret was taken out, or it holds what no eye can read."
    if any(len(name) > _NAME for name in _headline(told)) or not boxes.laid_out(told).is_complete:
        return "This request is too long for a card."
    return ""


def confirmation(told: Told) -> str:
    """What Slack asks before a click counts."""
    if told.exception:
        return "Calls as they are described are then let through without asking, until it ends. Your answer is final."
    what = f"{cut(told.tool, 60)} {cut(told.method, 30)}"
    return f"{cut(told.agent, 60)} may then run {what}, with exactly the arguments shown. Your answer is final."


def _blocks(told: Told) -> Iterator[Block]:
    is_pending = told.status == _PENDING
    shown = boxes.laid_out(told)
    yield HeaderBlock(text=plain(_state(told)))
    if not is_pending:
        yield SectionBlock(text=plain(told.outcome, most=_WORDS))
    yield SectionBlock(text=marked(_asked(told)))
    yield from _facts(shown.facts)
    yield SectionBlock(text=marked(_progress(told)))
    yield from _boxes("What is asked for" if told.exception else "Arguments", shown.arguments, left=shown.left)
    yield from _boxes("The agent's own words, which nobody has checked", shown.quotes, left=0)
    if is_pending:
        yield DividerBlock()
        yield from _answering(told)
    yield ContextBlock(elements=[marked(_footer(told, shown.digests))])


def _state(told: Told) -> str:
    return _STATES.get(told.status, told.status)


def _headline(told: Told) -> tuple[str, str, str]:
    return told.agent, told.tool, told.method


def _asked(told: Told) -> str:
    agent, tool, method = (code(cut(name, _NAME)) for name in _headline(told))
    asks = "asks" if told.status == _PENDING else "asked"
    if told.exception:
        return f"{agent} {asks} for an exception from the policy\n*{escape(cut(told.exception, _WORDS))}*"
    return f"{agent} {asks} to run {tool} {method}"


def _what(told: Told) -> str:
    return cut(told.exception, _WORDS) or f"{cut(told.tool, _NAME)} {cut(told.method, _NAME)}"


def _facts(facts: Sequence[tuple[str, str]]) -> Iterator[Block]:
    """Two columns. Slack takes ten fields a section."""
    for first in range(0, len(facts), SectionBlock.fields_max_length):
        some = facts[first : first + SectionBlock.fields_max_length]
        yield SectionBlock(fields=[marked(f"*{escape(label)}*\n{code(value)}") for label, value in some])


# --- how far it is


def _progress(told: Told) -> str:
    lines = [*_listed([_need(need) for need in told.needed]), *_listed([_said(said) for said in told.votes])]
    if told.status == _PENDING:
        lines.append(f"*Answer by* {moment(told.expires_at)}")
    elif told.closed_at:
        lines.append(f"*Closed* {moment(told.closed_at)}")
    return "\n".join(lines) or "–"


def _need(need: Needed) -> str:
    teams = " or ".join(code(cut(team, 40)) for team in need.teams[:3]) + (" …" if need.teams[3:] else "")
    done = "✔ " if need.approved >= need.quorum else ""
    return f"{done}{need.approved} of {need.quorum} approvals by {teams}"


def _said(said: Said) -> str:
    decision = _DECISIONS.get(said.decision, escape(said.decision))
    proof = "" if said.assurance in _NO_PROOF else f" with {escape(cut(said.assurance.upper(), 20))}"
    reason = f": {code(cut(said.reason, 100))}" if said.reason else ""
    where = escape(cut(said.surface, 60))
    return f"{decision} – {code(cut(said.who, 40))}, {moment(said.at)}, {where}{proof}{reason}"


def _listed(lines: Sequence[str]) -> list[str]:
    """The first, each whole, as far as half a section holds them, and how many more there are."""
    held = [line for line, length in zip(lines, accumulate(map(len, lines)), strict=True) if length <= _LISTED]
    more = len(lines) - len(held)
    return [*held, f"… and {more} more"] if more else held


# --- what would be done


def _boxes(title: str, markup: str, *, left: int) -> Iterator[Block]:
    if markup or left:
        yield SectionBlock(text=marked(f"*{title}*"))
    if markup:
        # `expand`: folded away behind "see more", the end of it would be approved unread
        yield SectionBlock(text=marked(markup), expand=True)
    if left:
        yield SectionBlock(text=marked(f"*… and {left} more, which do not fit here.*"))


# --- how to answer


def _answering(told: Told) -> Iterator[Block]:
    why_not = elsewhere(told)
    if why_not:
        yield SectionBlock(text=marked(f"⚠ {escape(why_not)} To approve it, read it in full."))
    elif _proof_needed(told):
        yield ContextBlock(elements=[marked(f"🔑 Each answer is confirmed with {_proof_needed(told)}.")])
    first = _read(told) if why_not else _approve(told)
    yield ActionsBlock(elements=[first, _deny(told), _details(told)])


def _proof_needed(told: Told) -> str:
    """In words; a step-up of a later kind is told as it is named."""
    known = {"totp": "a code from your authenticator", "webauthn": "your passkey"}
    return "" if told.step_up in _NO_PROOF else known.get(told.step_up, escape(cut(told.step_up, 40)))


def _approve(told: Told) -> ButtonElement:
    confirm = ConfirmObject(
        title=plain("Grant this exception?" if told.exception else "Approve this call?"),
        text=plain(confirmation(told), most=_WORDS),
        confirm=plain("Approve"),
        deny=plain("Back"),
    )
    return ButtonElement(
        text=plain("Approve…" if _proof_needed(told) else "Approve"),
        action_id=APPROVE,
        value=told.request_id,
        style="primary",
        confirm=None if _proof_needed(told) else confirm,
        accessibility_label=_label("Approve", told),
    )


def _read(told: Told) -> ButtonElement:
    return ButtonElement(text=plain("Read in full"), action_id=OPEN, url=told.link, style="primary")


def _deny(told: Told) -> ButtonElement:
    return ButtonElement(
        text=plain("Deny…"),
        action_id=DENY,
        value=told.request_id,
        style="danger",
        accessibility_label=_label("Deny", told),
    )


def _details(told: Told) -> ButtonElement:
    return ButtonElement(text=plain("Details"), action_id=DETAILS, value=told.request_id)


def _label(verb: str, told: Told) -> str:
    return fitted(f"{verb}: {_what(told)}".replace("\n", " "), 75)


def _footer(told: Told, digests: str) -> str:
    opened = f"asked {moment(told.opened_at)}"
    parts = (link(told.link, "Open in Countersign"), code(told.request_id), opened, digests)
    return " · ".join(part for part in parts if part)
