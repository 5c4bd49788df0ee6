"""A told request in, the letter that tells of it out: subject, plain text and HTML. Pure.

The HTML has no picture, no style sheet, no script and no colour of its own: it follows the reader's light or dark.
Every text of somebody else's is escaped, and made visible first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from connectors import plain
from connectors.port import Told

_SUBJECT = 120
_FOOT = "This message was sent by a machine. Replies are not read, and a vote is cast on the page alone."
_STEP_UP = {
    "totp": "Your vote will need a fresh code of your authenticator.",
    "webauthn": "Your vote will need your security key.",
}
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<title>{}</title></head><body>{}<hr><p><small>{}</small></p></body></html>"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """What one e-mail says, in both forms."""

    subject: str
    text: str
    html: str


def asking(told: Told) -> Letter:
    """Somebody is waited for."""
    subject = plain.line(f"Approval needed: {plain.title(told, most=_SUBJECT)}", most=_SUBJECT)
    needs = [*plain.needed(told), _STEP_UP.get(told.step_up, "")]
    facts = [*(f"So far: {one}" for one in needs[:-1]), f"Expires: {plain.moment(told.expires_at)}", needs[-1]]
    words = [line for line in facts if line]
    redacted = [] if told.is_whole else ["Not everything can be told here; the page shows the whole request."]
    text = [plain.body(told), *redacted, "\n".join(words), f"Read it all and decide:\n{told.link}"]
    html = [_table(told), *_paragraphs([*redacted, *words]), _link(told.link, "Read it all and decide")]
    return _letter(subject, text, html)


def closing(told: Told) -> Letter:
    """It is over: nobody is waited for any more. In the thread of the letter that asked."""
    subject = plain.line(f"Re: Approval needed: {plain.title(told, most=_SUBJECT)}", most=_SUBJECT + 4)
    said = [plain.line(told.outcome), *(_said(told))]
    return _letter(subject, ["\n".join(said), told.link], [*_paragraphs(said), _link(told.link, "See the request")])


def saying(words: str) -> Letter:
    """Plain words, their first line the subject. Only addresses of ours are in them."""
    first, _, rest = words.partition("\n")
    paragraphs = [plain.line(one) for one in (rest or first).split("\n")]
    subject = plain.line(first, most=_SUBJECT)
    return _letter(subject, ["\n".join(paragraphs)], [*_paragraphs(one for one in paragraphs if one)])


def _said(told: Told) -> Iterator[str]:
    for vote in told.votes:
        reason = f": {plain.line(vote.reason)}" if vote.reason else ""
        yield plain.line(f"{vote.who} voted to {vote.decision} ({vote.surface})") + reason


def _letter(subject: str, text: Iterable[str], html: Iterable[SafeString]) -> Letter:
    body = format_html_join("", "{}", ((part,) for part in html))
    whole = "\n\n".join((*text, f"-- \n{_FOOT}\n"))
    return Letter(subject, whole, format_html(_PAGE, subject, body, _FOOT))


def _table(told: Told) -> SafeString:
    rows = '<tr><th align="left" valign="top">{}</th><td>{}</td></tr>'
    return format_html("<table>{}</table>", format_html_join("", rows, plain.lines(told)))


def _paragraphs(words: Iterable[str]) -> Iterator[SafeString]:
    return (format_html("<p>{}</p>", one) for one in words)


def _link(url: str, words: str) -> SafeString:
    return format_html('<p><a href="{}">{}</a></p>', url, words)
