"""Raw bytes and two headers in, the accounts whose Slack signed them out: none for anything else, and no word in a log.

https://docs.slack.dev/authentication/verifying-requests-from-slack/ – checked here, strictly, before any library of
Slack's sees a byte: theirs fails on a timestamp that is no number, and logs the body of what it refuses.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from connectors import accounts
from connectors.port import Account

KIND = "slack"
SECONDS = 300  # Slack's own advice: five minutes either way
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,10}").fullmatch
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}").fullmatch


def signers(body: bytes, *, timestamp: str, signature: str, now: datetime) -> Sequence[Account]:
    """Every tenant's account whose secret made this signature over exactly these bytes, within five minutes of now."""
    # 1. Both headers have their shape; nothing is guessed, stripped or rounded.
    if not _TIMESTAMP(timestamp) or not _SIGNATURE(signature):
        return ()
    # 2. It was signed lately.
    if abs(now.timestamp() - int(timestamp)) > SECONDS:
        return ()
    # 3. It is text, as all that Slack sends.
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return ()
    # 4. Somebody's secret made it. Whose, says whose request it is.
    said = b"v0:" + timestamp.encode() + b":" + body
    return [one for one in accounts.accounts(KIND) if _made(one.settings.get("signing_secret", ""), said, signature)]


def _made(secret: str, said: bytes, signature: str) -> bool:
    """An account without a secret (it opens a socket) signs nothing: an empty one could be anybody's."""
    if not secret.strip():
        return False
    return hmac.compare_digest(f"v0={hmac.new(secret.encode(), said, sha256).hexdigest()}", signature)
