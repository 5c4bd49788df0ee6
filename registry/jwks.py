"""A JSON Web Key Set in, the public keys that may verify a token out. Pure.

RFC 7517 and 7518. The algorithms are a closed list of signatures: nothing symmetric, and no `none`. A key verifies only
what its type is for, so that no header can make an RSA key the secret of an HMAC.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import InvalidKeyError

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_FOR: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("RSA", ""): _RSA,
}
ALGORITHMS: Final = tuple(sorted(frozenset().union(*_FOR.values())))
MAX_KEYS: Final = 100
SMALLEST_RSA: Final = 2048  # bits
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_algorithms = get_default_algorithms()


class BadKeys(ValueError):
    """No set of keys that could verify anything, or one with a secret in it. The message is for its author."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key, by the name tokens call it, and what it may verify."""

    kid: str | None
    algorithms: frozenset[str]
    public: Any


def read(value: object) -> tuple[Key, ...]:
    """The usable keys of a set; what is for encrypting, too short or unknown is passed over. Raises BadKeys."""
    listed = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise BadKeys('a key set is an object with a list of objects: {"keys": [{"kty": …}]}')
    if len(listed) > MAX_KEYS:
        raise BadKeys(f"at most {MAX_KEYS} keys are read")
    if any(_SECRET & one.keys() for one in listed):
        raise BadKeys("a private or symmetric key is in it; give public keys alone, and replace that one")
    found = tuple(key for one in listed for key in _key(one))
    if not found:
        raise BadKeys(f"no key in it can verify a token; there are {', '.join(ALGORITHMS)}")
    return found


def _key(jwk: Mapping[str, Any]) -> Iterator[Key]:
    algorithms = _FOR.get((str(jwk.get("kty")), str(jwk.get("crv", ""))), frozenset())
    if "alg" in jwk:
        algorithms &= {str(jwk["alg"])}
    if not algorithms or jwk.get("use", "sig") != "sig":
        return
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        return
    try:
        public = _algorithms[min(algorithms)].from_jwk(dict(jwk))
    except (InvalidKeyError, ValueError, TypeError):
        return
    if isinstance(public, RSAPublicKey) and public.key_size < SMALLEST_RSA:
        return
    yield Key(kid, algorithms, public)
