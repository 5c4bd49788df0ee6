"""A JSON Web Token in: what it says, not yet believed; and, held against its issuer's keys, until when it may be. Pure.

RFC 7515, 7519 and 8725. The header chooses nothing but which of the issuer's own keys is tried: its algorithm must be
one that the registry lists and that this key is for; keys and addresses of keys in it are not looked at.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from countersign.proof import base64text, canonical
from registry.jwks import ALGORITHMS, Key
from registry.snapshot import IssuerView

MAX_TOKEN = 8192
LEEWAY = timedelta(seconds=30)  # between an issuer's clock and the database's

_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+").fullmatch
_LATEST = 253402300799  # the last second a datetime can name
_jws = PyJWS(algorithms=ALGORITHMS)


class BadToken(ValueError):
    """A token that proves nothing. The message may be told to whoever sent it."""


class UnknownKey(BadToken):
    """None of the keys at hand is the one the token names: the issuer may have a new one."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says of itself. Nothing of it is believed before `check`."""

    text: str = field(repr=False)
    algorithm: str
    kid: str | None
    issuer: str
    audience: str
    claims: Mapping[str, Any] = field(repr=False)


def is_one(text: str) -> bool:
    """Whether a bearer's text has the shape of a token."""
    return _SHAPE(text) is not None


def read(text: str) -> Token:
    """The token, read strictly: a member that is there twice could be read in two ways. Raises BadToken."""
    shape = _SHAPE(text) if len(text) <= MAX_TOKEN else None
    if shape is None:
        raise BadToken("It is no JSON Web Token, or a very long one.")
    header, claims = _object(shape[1]), _object(shape[2])
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise BadToken("Its algorithm is none of those that are believed.")
    if "crit" in header or "b64" in header or not (kid is None or isinstance(kid, str)):
        raise BadToken("Its header asks for what is not understood here.")
    issuer, audience = claims.get("iss"), claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(issuer, str) or not isinstance(audience, str):
        raise BadToken("It must have one issuer and one audience.")
    return Token(text, str(algorithm), kid, issuer, audience, claims)


def check(token: Token, view: IssuerView, keys: Sequence[Key], *, now: datetime) -> datetime:
    """Until when the token holds. Raises BadToken, UnknownKey.

    1. It is of this issuer, for this audience. 2. Its algorithm is one that is listed. 3. The key it names is one of
    the issuer's and for that algorithm. 4. The signature holds. 5. It holds now, and not longer than is allowed.
    """
    if (token.issuer, token.audience) != (view.issuer, view.audience):
        raise BadToken("It is of another issuer, or for another audience.")
    if token.algorithm not in view.algorithms:
        raise BadToken("Its algorithm is none of those that are believed.")
    key = _key(token, keys)
    try:
        _jws.decode(token.text, key.public, algorithms=[token.algorithm])
    except PyJWTError:
        raise BadToken("Its signature does not hold.") from None
    return _period(token.claims, timedelta(seconds=view.max_lifetime), now=now)


def named(token: Token, claim: str) -> str:
    """What the claim of exactly this name says. Raises BadToken."""
    value = token.claims.get(claim)
    if not isinstance(value, str) or not value:
        raise BadToken("It does not have the claim that says whom it is about.")
    return value


def _object(segment: str) -> Mapping[str, Any]:
    try:
        return canonical.loads_object(base64text.decode(segment + "=" * (-len(segment) % 4), url_safe_too=True))
    except ValueError:
        raise BadToken("It cannot be read.") from None


def _key(token: Token, keys: Sequence[Key]) -> Key:
    """The one it names; or, where it names none, the only one there is. Raises UnknownKey."""
    found = [key for key in keys if token.algorithm in key.algorithms and token.kid in (None, key.kid)]
    if len(found) != 1:
        raise UnknownKey("The issuer has no such key.")
    return found[0]


def _period(claims: Mapping[str, Any], longest: timedelta, *, now: datetime) -> datetime:
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if now >= expires + LEEWAY:
        raise BadToken("It has expired.")
    if max(issued, begins) > now + LEEWAY:
        raise BadToken("It is not valid yet.")
    if not timedelta() < expires - issued <= longest:
        raise BadToken("It lives longer than is allowed here.")
    return expires + LEEWAY


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise BadToken(f"It must say when it was issued and when it ends: {name} is missing or no time.")
    return datetime.fromtimestamp(value, UTC)
