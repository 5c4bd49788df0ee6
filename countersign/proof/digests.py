"""Values in, domain-separated SHA-256 digests in their text form `sha256:<hex>` out."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256 as _sha256
from typing import Any

from countersign.proof import canonical

SALT_BYTES = 32

_PREFIX = "sha256:"
_ARGUMENTS = b"countersign/arguments/v1\n"
_ACTION = b"countersign/action/v1\n"
_COMMITMENT = b"countersign/commitment/v1\n"
_DISPLAY = b"countersign/display/v1\n"
_CHALLENGE = b"countersign/challenge/v1\n"
_is_digest = re.compile(r"sha256:[0-9a-f]{64}").fullmatch


class NotADigest(ValueError):
    """A text that is not `sha256:` and 64 lower-case hexadecimal digits."""


class BadSalt(ValueError):
    """A salt that is not exactly 32 bytes."""


class BadPart(ValueError):
    """A part of a challenge that could be confused with its neighbours."""


def sha256(data: bytes) -> str:
    """The plain SHA-256 of `data`, as text."""
    return _PREFIX + _sha256(data).hexdigest()


def text(raw: bytes) -> str:
    """The text form of 32 raw digest bytes."""
    if len(raw) != 32:  # noqa: PLR2004 - SHA-256
        raise NotADigest("a SHA-256 digest has 32 bytes")
    return _PREFIX + raw.hex()


def check(digest: Any) -> str:
    """`digest` itself, once it is known to be one. Raises NotADigest."""
    if not isinstance(digest, str) or not _is_digest(digest):
        raise NotADigest("not of the form sha256:<64 hexadecimal digits>")
    return digest


def raw(digest: str) -> bytes:
    """The 32 bytes behind a text form. Raises NotADigest."""
    return bytes.fromhex(check(digest)[len(_PREFIX) :])


def arguments_digest(arguments: Mapping[str, Any]) -> str:
    """What an approval binds of the arguments: their RFC 8785 bytes, in a domain of their own."""
    return _PREFIX + _sha256(_ARGUMENTS + canonical.dumps(arguments)).hexdigest()


def arguments_digest_of(canonical_arguments: bytes) -> str:
    """`arguments_digest` of arguments whose RFC 8785 bytes are at hand."""
    return _PREFIX + _sha256(_ARGUMENTS + canonical_arguments).hexdigest()


def committed(salt: bytes, canonical_action: bytes) -> tuple[str, str]:
    """`action_digest` and `commitment` of an action whose RFC 8785 bytes are at hand."""
    if len(salt) != SALT_BYTES:
        raise BadSalt(f"a salt has {SALT_BYTES} bytes")
    action = _sha256(_ACTION + canonical_action)
    return _PREFIX + action.hexdigest(), _PREFIX + _sha256(_COMMITMENT + salt + action.digest()).hexdigest()


def action_digest(action: Mapping[str, Any]) -> str:
    """What an approval binds of the whole action (the closed object, the tenant and the arguments' digest included)."""
    return _PREFIX + _sha256(_ACTION + canonical.dumps(action)).hexdigest()


def commitment(salt: bytes, action_digest: str) -> str:
    """What a record may carry of an action for ever: nothing can be guessed from it once the salt is erased."""
    if len(salt) != SALT_BYTES:
        raise BadSalt(f"a salt has {SALT_BYTES} bytes")
    return _PREFIX + _sha256(_COMMITMENT + salt + raw(action_digest)).hexdigest()


def display_hash(*, profile: str, action_digest: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """What an approver was shown: every rendered line, for which action, drawn by which profile."""
    shown = {"profile": profile, "action_digest": check(action_digest), "lines": [dict(line) for line in lines]}
    return _PREFIX + _sha256(_DISPLAY + canonical.dumps(shown)).hexdigest()


def challenge(*, request: str, decision: str, action_digest: str, seen: str, nonce: str) -> str:
    """What a step-up answers: one decision on one request for one action as it was seen, once."""
    parts = (request, decision, check(action_digest), check(seen), nonce)
    return _PREFIX + _sha256(_CHALLENGE + b"".join(map(_line, parts))).hexdigest()


def _line(part: str) -> bytes:
    """A part closed by a newline, so that no byte can slide from one part into the next."""
    if not part or "\n" in part:
        raise BadPart("a part of a challenge is empty or contains a newline")
    return part.encode() + b"\n"
