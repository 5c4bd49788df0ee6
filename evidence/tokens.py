"""Claims in, a compact JWS of ours out; and back, or the reason why it is none. EdDSA alone, a key for each kind.

RFC 7515 by PyJWT; `kid` is the RFC 7638 thumbprint of the key, `typ` the kind, so that neither key nor token of one
kind can serve as another's. Time comes in: PyJWT would read the machine's clock.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from jwt.algorithms import Algorithm
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_encode

from countersign.proof import canonical
from countersign.proof.keys import BadSignature, Signer, Verifier
from evidence import keys
from evidence.keys import Purpose

ALGORITHM = "EdDSA"
MAX_LENGTH = 8192  # characters; ours have less than a thousand
_HEADER = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What a token is for: the `typ` of its header and the key that signs it."""

    typ: str
    purpose: Purpose


BINDING = Kind("arap-binding+jwt", Purpose.PDP)
"""What binds an access request to the denial it is about."""

APPROVAL = Kind("arap-approval+jwt", Purpose.APPROVALS)
"""What an approval says of itself when it is presented."""

KINDS = (BINDING, APPROVAL)


class NotOurs(ValueError):
    """A token that is none of this kind, of ours, for us. The text says which step failed."""


class Expired(NotOurs):
    """It was ours; its time is over."""


def sign(claims: Mapping[str, Any], kind: Kind) -> str:
    """The compact JWS of these claims."""
    signer = keys.signer(kind.purpose)
    header = {"kid": thumbprint(signer.verifier), "typ": kind.typ}
    return _jws.encode(canonical.dumps(claims), signer, ALGORITHM, header)  # type: ignore[arg-type]  # see _Ed25519


def verify(token: object, kind: Kind, *, issuer: str, audience: str, now: datetime) -> Mapping[str, Any]:
    """The claims of a token of this kind. Raises NotOurs, or Expired where its time is all that is wrong."""
    # 1. It is a compact JWS, and its header says what ours say and no more.
    if not isinstance(token, str) or len(token) > MAX_LENGTH or not token.isascii():
        raise NotOurs("it is no compact JWS")
    try:
        header = _jws.get_unverified_header(token)
    except PyJWTError as error:
        raise NotOurs("it is no compact JWS") from error
    if header.keys() != _HEADER or header["alg"] != ALGORITHM or header["typ"] != kind.typ:
        raise NotOurs("its header is not that of this kind of token")
    # 2. A key of this kind signed it.
    try:
        payload = _jws.decode(token, _key(header["kid"], kind), [ALGORITHM])  # type: ignore[arg-type]  # see _Ed25519
    except PyJWTError as error:
        raise NotOurs("its signature does not hold") from error
    # 3. It is from us, for us.
    try:
        claims = canonical.loads_object(payload)
    except (canonical.Malformed, canonical.NotCanonical) as error:
        raise NotOurs("its payload is no object") from error
    if claims.get("iss") != issuer or audience not in _audiences(claims.get("aud")):
        raise NotOurs("it is from or for somebody else")
    # 4. Its time is not over. A period ends exclusive.
    expires = claims.get("exp")
    if type(expires) is not int:
        raise NotOurs("it never ends")
    if now.timestamp() >= expires:
        raise Expired("its time is over")
    return claims


def jwks() -> dict[str, Any]:
    """RFC 7517, RFC 8037: every key whose tokens still count, read anew, the current ones first of their kind."""
    keys.forget()
    return {"keys": [_jwk(verifier) for kind in KINDS for verifier in keys.verifiers(kind.purpose)]}


@lru_cache(maxsize=64)
def thumbprint(verifier: Verifier) -> str:
    """RFC 7638 over the members that RFC 8037 requires."""
    return base64url_encode(sha256(canonical.dumps(_public(verifier))).digest()).decode()


def _public(verifier: Verifier) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": base64url_encode(verifier.public).decode()}


def _jwk(verifier: Verifier) -> dict[str, str]:
    return {**_public(verifier), "alg": ALGORITHM, "kid": thumbprint(verifier), "use": "sig"}


def _key(kid: object, kind: Kind) -> Verifier:
    """Raises NotOurs. One that is not known may be new: another process signs with it already."""
    for again in (False, True):
        if again:
            keys.forget()
        for verifier in keys.verifiers(kind.purpose):
            if thumbprint(verifier) == kid:
                return verifier
    raise NotOurs("no key of this kind has that id")


def _audiences(said: object) -> Iterator[str]:
    for one in said if isinstance(said, list) else [said]:
        if isinstance(one, str):
            yield one


class _Ed25519(Algorithm):
    """PyJWT's way to our keys: a signer signs, a verifier verifies, and neither hands out what it holds."""

    def prepare_key(self, key: Any) -> Any:
        return key

    def sign(self, msg: bytes, key: Any) -> bytes:
        signer: Signer = key
        return signer.sign(msg)

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        verifier: Verifier = key
        try:
            verifier.verify(sig, msg)
        except BadSignature:
            return False
        return True

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> Any:  # noqa: FBT001, FBT002  PyJWT's signature
        raise NotImplementedError

    @staticmethod
    def from_jwk(jwk: Any) -> Any:
        raise NotImplementedError


def _only_ours() -> PyJWS:
    """No other algorithm, `none` least of all, is there to be named by a header."""
    made = PyJWS(algorithms=[ALGORITHM])
    made.unregister_algorithm(ALGORITHM)
    made.register_algorithm(ALGORITHM, _Ed25519())
    return made


_jws = _only_ours()
