"""Base64 text in and out, read so strictly that each byte string has exactly one spelling."""

import base64
import binascii

_URL_TO_STANDARD = str.maketrans("-_", "+/")


class BadBase64(ValueError):
    """Not base64, or not the one canonical spelling of its bytes."""


def encode(data: bytes) -> str:
    """The standard alphabet, padded, on one line."""
    return base64.b64encode(data).decode("ascii")


def decode(text: str, *, url_safe_too: bool = False) -> bytes:
    """The bytes of `text`. Refuses missing padding, stray characters and padding bits that are not zero."""
    standard = text
    if url_safe_too and not ("+" in text or "/" in text):  # one alphabet or the other, never a mixture
        standard = text.translate(_URL_TO_STANDARD)
    try:
        data = base64.b64decode(standard.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadBase64("not base64") from error
    if encode(data) != standard:
        raise BadBase64("not the canonical base64 of its bytes")
    return data
