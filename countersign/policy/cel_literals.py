r"""CEL text in; out the same text with its literals and comments blanked in place, and what the literals say.

The grammar's own string rule is ambiguous: an unterminated literal full of `\x41` takes exponential time, and a raw
string may swallow what follows it. So literals and comments are found first by an unambiguous scan, decoded, and
blanked out; the parser then sees the structure alone, at unchanged lines and columns.
"""

import re
import sys
from collections.abc import Iterator

from countersign.policy.cel_nodes import Place

_LITERAL = re.compile(
    r"""
    (?P<comment>//[^\n]*+)
  | (?P<prefix>[bB][rR]?|[rR]|)(?:
        (?P<triple>\"\"\"(?:[^\\"]|\\.|\"(?!\"\"))*+\"\"\" | '''(?:[^\\']|\\.|'(?!''))*+''')
      | (?P<single>"(?:[^"\\\r\n]|\\[^\r\n])*+" | '(?:[^'\\\r\n]|\\[^\r\n])*+'))
  | (?P<word>[A-Za-z0-9_]++)
  | (?P<stray>["'])
    """,
    re.VERBOSE | re.DOTALL,
)
_RAW = re.compile(
    r"""[bB]?[rR](?:(?P<triple>\"\"\".*?\"\"\"|'''.*?''')|(?P<single>"[^"\r\n]*+"|'[^'\r\n]*+'))""", re.DOTALL
)
_ESCAPE = re.compile(r"""\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))""", re.DOTALL)
_PLAIN_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_SURROGATE = re.compile("[\ud800-\udfff]")


def _place_of(text: str, offset: int) -> Place:
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def blanked(text: str) -> tuple[str, dict[int, str | None]]:
    """The text with literals and comments blanked, and each literal's value by its offset (None: bytes)."""
    pieces: list[str] = []
    literals: dict[int, str | None] = {}
    done = 0
    for found in _found(text):
        start, end = found.span()
        pieces.append(text[done:start])
        done = end
        if text.startswith("//", start):
            pieces.append(" " * (end - start))
            continue
        literals[start] = _value_of(text, found)
        pieces.append(_blank(found))
    pieces.append(text[done:])
    return "".join(pieces), literals


def _found(text: str) -> Iterator[re.Match[str]]:
    offset = 0
    while found := _LITERAL.search(text, offset):
        if raw := _RAW.match(text, found.start()):
            found = raw
        elif found["stray"]:
            raise _place_of(text, found.start()).error("this string literal does not end")
        offset = found.end()
        if raw or not found["word"]:
            yield found


def _blank(found: re.Match[str]) -> str:
    bytes_prefix = "b" if found[0][0] in "bB" else ""
    if found["triple"]:
        inner = re.sub(r"[^\n]", "x", found[0][len(bytes_prefix) + 3 : -3])
        return f"{bytes_prefix}'''{inner}'''"
    return f"{bytes_prefix}'{'x' * (len(found[0]) - len(bytes_prefix) - 2)}'"


def _value_of(text: str, found: re.Match[str]) -> str | None:
    whole = found[0]
    quote = min(whole.index(q) for q in "\"'" if q in whole)
    prefix, quoted = whole[:quote].lower(), whole[quote:]
    if "b" in prefix:
        return None
    width = 3 if found["triple"] else 1
    body = quoted[width:-width]
    start = found.start() + quote + width
    value = body if "r" in prefix else _ESCAPE.sub(lambda match: _unescape(text, start, match), body)
    if _SURROGATE.search(value):
        raise _place_of(text, found.start()).error("a string literal holds half of a surrogate pair")
    return value


def _unescape(text: str, start: int, match: re.Match[str]) -> str:
    for digits, base in ((match[1], 16), (match[2], 16), (match[3], 16), (match[4], 8)):
        if digits and (code := int(digits, base)) <= sys.maxunicode:
            return chr(code)
    try:
        return _PLAIN_ESCAPES[match[5]]
    except KeyError:
        raise _place_of(text, start + match.start()).error(f"unknown escape `{match[0][:2]}`") from None
