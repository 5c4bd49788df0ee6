"""Text as our pages show it in, the same without the secrets in it out. Everything that leaves the house comes by here.

Our pages write hidden characters as ⟨U+200B⟩, and a secret cut up by them would pass for none. So the escapes are
undone before the search, and what is left is escaped again: the mapping is one to one.
"""

import re
from dataclasses import dataclass

from approvals.visible import LINE, visible
from countersign.inspection.redact import redact, redact_value

_ESCAPED = re.compile(r"⟨U\+([0-9A-F]{4,6})⟩")


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What may be sent, and whether something had to be taken out."""

    text: str
    redacted: bool


def raw(text: str) -> Scrubbed:
    """Of text that nothing has made visible yet: what an agent said, a person's reason, a remote error."""
    found = redact(text)
    return Scrubbed(visible(found.text).text, redacted=bool(found.found))


def shown(text: str) -> Scrubbed:
    """Of text that `approvals.visible` has been over."""
    found = raw(_as_it_was(text))
    return found if found.redacted else Scrubbed(text, redacted=False)


def named(label: str, value: str) -> Scrubbed:
    """Of a value whose name may give it away: `password` before it makes a secret of a plain word."""
    made, found = redact_value({_as_it_was(label): _as_it_was(value)})
    if not found:
        return Scrubbed(value, redacted=False)
    (text,) = made.values()
    return Scrubbed(visible(text).text, redacted=True)


def _as_it_was(text: str) -> str:
    """The inverse of `visible`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text.replace(LINE, "\n"))
