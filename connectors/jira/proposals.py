"""An issue and its comments, just read from Jira, in; what people proposed there out. Pure.

A command in a comment, or a move into the status that stands for a decision. Who it was is Jira's word about an
account. What a rule, an app or somebody else's edit brought about is told apart and never counts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from approvals.models import Decision
from connectors.jira import board
from connectors.jira.api import Author, Change, Comment, Read, Status

_COMMAND = re.compile(r"\s*/(approve|deny)(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
_STANDS_FOR = {Decision.APPROVE: "approved", Decision.DENY: "denied"}
_OUR_TEXT = frozenset({"summary", "description"})

BY_RULE = "Not counted: an app or an automation rule did this, and only people decide."
CHANGED = "Not counted: this comment was changed after it was written. Write a new one."


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing somebody did that may be an answer. `objection` says why it cannot count, whoever it was.

    `came_from` is the id of the status that a move left, if Jira tells it.
    """

    key: str
    author: Author
    decision: Decision
    reason: str
    came_from: str
    objection: str
    is_move: bool


def proposals(
    read: Read,
    comments: Sequence[Comment],
    *,
    names: Mapping[str, str],
    targets: Mapping[str, str],
    ours: AbstractSet[str],
) -> Iterator[Proposal]:
    """Everything proposed there so far, moves first. `ours` are the accounts we act as: they never propose.

    `names` are what the channel calls the outcomes, `targets` the statuses they were seen to lead to (`approved_to` …).
    """
    for change in read.changes:
        decision = _meant(change, names, targets) if change.field == "status" else None
        if decision and change.author.account_id not in ours:
            yield _moved(change, decision)
    for comment in comments:
        command = _COMMAND.fullmatch(comment.body)
        if command and comment.author.account_id not in ours:
            yield _commanded(comment, command)


def is_our_text(read: Read, *, ours: AbstractSet[str]) -> bool:
    """Whether what the issue shows was written by us alone: a reader may have been shown something else for a while."""
    return read.is_whole and all(
        change.author.account_id in ours for change in read.changes if change.field in _OUR_TEXT
    )


def _meant(change: Change, names: Mapping[str, str], targets: Mapping[str, str]) -> Decision | None:
    """The decision a status stands for; none where it stands for both."""
    found = [
        decision
        for decision, outcome in _STANDS_FOR.items()
        if outcome in names and _stands(change, names[outcome], targets.get(f"{outcome}_to", ""))
    ]
    return found[0] if len(found) == 1 else None


def _stands(change: Change, name: str, target_id: str) -> bool:
    status = Status(change.after_id, change.after)
    return board.is_named(status, name) or (target_id != "" and status.id == target_id)


def _moved(change: Change, decision: Decision) -> Proposal:
    objection = "" if change.author.is_person and change.by_hand else BY_RULE
    return Proposal(f"change:{change.id}", change.author, decision, "", change.before_id, objection, is_move=True)


def _commanded(comment: Comment, command: re.Match[str]) -> Proposal:
    decision = Decision.APPROVE if command[1].lower() == "approve" else Decision.DENY
    objection = "" if comment.is_as_written else CHANGED
    if not comment.author.is_person:
        objection = BY_RULE
    reason = (command[2] or "").strip()
    return Proposal(f"comment:{comment.id}", comment.author, decision, reason, "", objection, is_move=False)
