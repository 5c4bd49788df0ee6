"""An issue in, what is said on it once and where it is moved out: every step may be repeated."""

from collections.abc import Sequence

from connectors.jira import card, text
from connectors.jira.api import Move, Site, Status
from connectors.port import TransportError

MOST_COMMENTS = 60  # of ours among the newest: beyond it we talk with a machine, and it alone would go on


def say_once(site: Site, issue: str, lines: Sequence[str], *, me: str) -> None:
    """One comment with those lines that we have not said there before: an earlier try may have arrived."""
    ours = [comment.body for comment in site.comments(issue) if comment.author.account_id == me]
    said = {text.same(line) for body in ours for line in body.splitlines()}
    new = [line for line in lines if text.same(line) not in said]
    if new and len(ours) < MOST_COMMENTS:
        site.comment(issue, card.commented(new))


def settle(site: Site, issue: str, *, name: str, target_id: str) -> str:
    """Bring the issue to the status that stands for the outcome; words if that cannot be done.

    `name` is what the channel calls the transition or its status; `target_id` the status it led to when we looked.
    """
    status = site.read(issue).status
    if is_named(status, name) or (target_id and status.id == target_id):
        return ""
    move = leading(site.moves(issue), name)
    if move is not None and _moved(site, issue, move, status):
        return ""
    return f"This issue could not be moved: {name} is not open to our account from {status.name}."


def send_back(site: Site, issue: str, *, status_id: str) -> bool:
    """Bring the issue back to an earlier status; False where no transition of ours leads there."""
    status = site.read(issue).status
    if status.id == status_id:
        return True
    move = next((move for move in site.moves(issue) if move.target.id == status_id), None)
    return move is not None and _moved(site, issue, move, status)


def leading(moves: Sequence[Move], name: str) -> Move | None:
    """The transition that people mean by a name: its own, or that of the status it leads to."""
    return next(
        (move for move in moves if move.name.casefold() == name.casefold() or is_named(move.target, name)), None
    )


def is_named(status: Status, name: str) -> bool:
    """Names of statuses differ in capitals between Jira's pages."""
    return status.name.casefold() == name.casefold()


def _moved(site: Site, issue: str, move: Move, status: Status) -> bool:
    """False where Jira refuses: a screen that wants fields, a condition, somebody who was faster."""
    if move.target.id == status.id:
        return True
    try:
        site.move(issue, move)
    except TransportError as error:
        if not error.permanent:
            raise
        return False
    return True
