"""A megabyte each of what makes a scanner slow: near-misses, long runs, nested and broken escapes. None shows a secret."""

import base64
import json
import random

from countersign.inspection.catalogue import catalogue
from tests.countersign.inspection.corpus import SECRETS, in_base64

SIZE = 1 << 20
_CHANCE = random.Random(20261120)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_AWS = SECRETS[0][1]
_CALL = json.dumps({"order": "A-1002", "note": "please deliver before noon", "key": "primary", "sku": [1, 2, 3]})


def _filled(text: str) -> str:
    return (text * (SIZE // len(text.encode()) + 1))[:SIZE]


def _letters(size: int) -> str:
    return "".join(_CHANCE.choices(_ALPHABET, k=size))


def _keywords() -> str:
    known = [word.replace("\\", "") for word in catalogue().any_keyword.pattern.decode().split("|")]
    return " ".join(_CHANCE.choices(known, k=SIZE // 7))[:SIZE]


def _assignments() -> str:
    return "".join(f'{word}_token = "{_letters(31)}" ' for word in _keywords().split()[:20000])[:SIZE]


def _scripts(size: int) -> str:
    """Letters of three bytes; in every part of the text some fold, and some fold once more."""
    folding = (*range(0xFF01, 0xFF5F), *range(0xFE70, 0xFE80))
    return "".join(map(chr, _CHANCE.choices((*range(0x3040, 0xA000), *folding * 8), k=size)))


HOSTILE = {
    "one letter": _filled("a"),
    "line breaks": _filled("\n"),
    "every keyword": _keywords(),
    "every keyword, assigned": _assignments(),
    "near-misses of a token": _filled("ghp_" + "a" * 35 + "!"),
    "near-misses of an assignment": _filled('password = "aaaaaaaaaaaa" api_key = aaaaaaaaa '),
    "open quotes": _filled('password="'),
    "digits": _filled("4111 "),
    "cards that do not add up": _filled("4111111111111112 "),
    "joined social security numbers": _filled("1123-45-6789-"),
    "begun keys": _filled("-----BEGIN PRIVATE KEY-----"),
    "begun tokens": _filled("eyJhbGciOiJIUzI1NiJ9."),
    "endless token": _filled("sk-ant-aa-"),
    "begun URLs": _filled("http://a:bbbb"),
    "dots and words": _filled("curl -u a.b-c_d "),
    "one run of base64": _letters(SIZE),
    "wrapped base64": _filled(_letters(76) + "\n"),
    "many runs of base64": " ".join(_letters(20) for _ in range(SIZE // 21)),
    "many runs of text in base64": _filled(in_base64("hello world, hello") + " "),
    "base64 of text": base64.b64encode(_filled(_CALL).encode()).decode()[:SIZE],
    "base64 in base64": base64.b64encode(base64.b64encode(_filled(_CALL).encode())).decode()[:SIZE],
    "escapes": _filled("%41"),
    "escapes between letters": _filled("%41a"),
    "nested escapes": _filled("%25"),
    "deeply nested escapes": "%" + _filled("25")[1:],
    "broken escapes": _filled("%%4g%41"),
    "full-width": _filled("ａ")[: SIZE // 3],
    "Chinese": _filled("中文，")[: SIZE // 3],
    "zero-width": _filled("a\u200b")[: SIZE // 2],
    "combining": _filled("a\u0301")[: SIZE // 2],
    "full-width escapes": _filled("％４１")[: SIZE // 3],
    "control characters": _filled("a\x00\x01"),
    "umlauts": _filled("Größe, Straße, Päckchen ")[: SIZE * 6 // 7],
    "phrases in one letter": _filled("ﷺ")[: SIZE // 3],
    "stray escapes": "%41" + _filled("%g%%4g")[3:],
}  # fmt: skip

# Made against this scrubber: each of its readings is taken, and no part of any can be passed over.
HARDER = {
    "letters of every script, escaped": "".join(f"{letter}%25{_CHANCE.choice('24')}1" for letter in _scripts(SIZE // 8)),
    "scraps of text in base64": base64.b64encode(_filled("hello world\x80").encode("latin-1")).decode()[:SIZE],
}  # fmt: skip
