"""Anybody's text in, Slack markup that shows it and does nothing else out. Pure.

What is not our own words stands in code, where Slack reads no formatting, no mention and no emoji. Only a backtick ends
code, and only `& < >` start a mention or a link: all four are written so that they cannot. A character that hides or
reorders is shown as ⟨U+202E⟩, as everywhere in this house, should it have got this far.
"""

import re
import unicodedata
from datetime import UTC, datetime

from slack_sdk.models.blocks import MarkdownTextObject, PlainTextObject

NOTHING = "–"
_HIDING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_HALF_ENTITY = re.compile(r"&\w{0,3}\Z")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})  # docs.slack.dev: escaping text


def escape(words: str) -> str:
    """For texts whose formatting does no harm: no mention, no link, nothing hidden."""
    return _unhidden(words).translate(_ENTITIES)


def code(value: str) -> str:
    """One line of code."""
    one_line = value.replace("⏎\n", "⏎").replace("\n", "⏎")
    return f"`{_inert(one_line) or NOTHING}`"


def fence(value: str) -> str:
    """A box of code. It keeps the line breaks, and nothing in it can look like the end of the box."""
    return f"```{_inert(value) or NOTHING}```"


def link(url: str, words: str) -> str:
    """A link of ours: the address is never a caller's."""
    return f"<{escape(url).replace('|', '%7C')}|{escape(words)}>"


def linked(words: str, *, origin: str) -> str:
    """Words of ours, in which the addresses of this service, and no others, are links."""
    ours = re.compile(rf"{re.escape(escape(origin))}/(?:[^\s|&]|&amp;)*(?<![.,;:!?)])")
    return ours.sub(lambda found: f"<{found[0]}>", escape(words))


def moment(at: datetime) -> str:
    """A time in the reader's own zone; where Slack cannot tell that, in UTC."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time_secs}}|{plain_moment(at)}>"


def plain_moment(at: datetime) -> str:
    """2026-11-20 10:00:00 UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def cut(words: str, length: int) -> str:
    """At most `length` characters; what is cut short says so."""
    return words if len(words) <= length else f"{words[: length - 1]}…"


def marked(markup: str) -> MarkdownTextObject:
    """Markup made by this file; `verbatim`, for Slack would turn bare addresses and names into links otherwise."""
    return MarkdownTextObject(text=markup, verbatim=True)


def plain(words: str, *, most: int = 150) -> PlainTextObject:
    """Words without any formatting, at most so many characters as Slack counts them; `:emoji:` stay letters."""
    return PlainTextObject(text=fitted(words, most) or NOTHING, emoji=False)


def fitted(words: str, most: int) -> str:
    """Escaped, then cut: an ampersand counts for five. No half entity is left at the end."""
    escaped = escape(words)
    return escaped if len(escaped) <= most else f"{_HALF_ENTITY.sub('', escaped[: most - 1])}…"


def _inert(value: str) -> str:
    return escape(value).replace("`", "⟨U+0060⟩")


def _unhidden(words: str) -> str:
    if words.isascii() and words.isprintable():
        return words
    return "".join(_shown(character) for character in words)


def _shown(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _HIDING:
        return character
    return f"⟨U+{ord(character):04X}⟩"
