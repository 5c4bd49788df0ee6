"""What came under an Idempotency-Key in, whether it is what came under it before out. Pure.

Who takes keys keeps each under whoever sent it, with the digest of what first came under it and what that led to.
"""

from typing import Final

from countersign.proof import canonical, digests

MAX_KEY: Final = 200


class KeyTooLong(ValueError):
    """No such key is kept."""

    def __init__(self) -> None:
        super().__init__(f"`Idempotency-Key` must have at most {MAX_KEY} characters.")


class KeyReused(Exception):
    """Something else came under this key before."""


def checked(key: str) -> str:
    """The key, empty if there is none. Raises KeyTooLong."""
    if len(key) > MAX_KEY:
        raise KeyTooLong
    return key


def digest(body: object) -> str:
    """Of JSON by what it says: members in another order are the same body."""
    return digests.sha256(canonical.dumps(body))


def check_same(known: str, body: object) -> None:
    """Raises KeyReused."""
    if known != digest(body):
        raise KeyReused
