"""Body, time and secret in, the header by which the receiver knows who sent this, and when, out. Pure."""

import hashlib
import hmac
import secrets
from datetime import datetime

HEADER = "countersign-signature"
PREFIX = "cswh_"
"""By which secret scanners, ours too, know what they found."""


def new_secret() -> str:
    """256 random bits; the text itself is the key."""
    return f"{PREFIX}{secrets.token_urlsafe(32)}"


def header(body: bytes, *, secret: str, at: datetime) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds, a full stop and the body, as it is on the wire."""
    seconds = int(at.timestamp())
    return f"t={seconds},v1={signature(body, secret=secret, seconds=seconds)}"


def signature(body: bytes, *, secret: str, seconds: int) -> str:
    """The hexadecimal HMAC."""
    return hmac.new(secret.encode(), b"%d." % seconds + body, hashlib.sha256).hexdigest()
