"""Anybody's text in, Jira markup that shows it and does nothing else out. Pure.

What is not our own words stands in a `noformat` box, where Jira reads no link, mention, image or macro; only the end of
the box itself could be smuggled in, so its brace is written as ⟨U+007B⟩. Beside the box each special character is
escaped. A backslash cannot be escaped in this markup, and two of them undo an escape: it is shown as ⟨U+005C⟩.
"""

import re
from collections.abc import Iterable

from connectors import plain

_BOX_END = re.compile(r"\{(?=\s*(?:noformat|code)\b)", re.IGNORECASE)
_MENTION = re.compile(r"\[(?=\s*~)")
_SPECIAL = re.compile(r"[-#*_+?^~|%{}\[\]()!@]")  # all that a backslash escapes there
_NOISE = re.compile(r"[\W_]+")
_ACCOUNT = re.compile(r"[\w:-]{1,128}", re.ASCII).fullmatch


def fence(lines: Iterable[str]) -> str:
    """A box of lines as they are. Nothing in them ends the box; a mention would reach people even from inside."""
    return "{noformat}\n" + "\n".join(map(boxed, lines)) + "\n{noformat}"


def escape(words: str, *, ours: str = "") -> str:
    """Words beside a box, on one line. An address that begins with `ours` stays one; no other becomes a link."""
    if not ours:
        return _escaped(words)
    parts = re.split(f"({re.escape(ours)}[\\w/.-]*)", words)
    return "".join(part if place % 2 else _escaped(part) for place, part in enumerate(parts))


def mention(account_id: str) -> str:
    """Somebody's name, which tells them; nothing for an id that is none."""
    return f"[~accountid:{account_id}] " if _ACCOUNT(account_id) else ""


def same(line: str) -> str:
    """What is left of a line to know it by: Jira gives text back with other escapes than it was given."""
    return _NOISE.sub("", line.replace("⟨U+005C⟩", "")).casefold()


def size(text: str) -> int:
    """As Jira counts: UTF-16 units."""
    return len(text.encode("utf-16-le", "replace")) // 2


def boxed(line: str) -> str:
    """One line of a box."""
    return _MENTION.sub("⟨U+005B⟩", _BOX_END.sub("⟨U+007B⟩", line))


def _escaped(words: str) -> str:
    shown = plain.line(words).replace("\\", "⟨U+005C⟩").replace("://", ":⟨U+002F⟩/")
    return _SPECIAL.sub(r"\\\g<0>", shown)
