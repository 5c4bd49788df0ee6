"""Issuers for tests: keys made here, tokens signed with them, and the address that tells the public ones."""

import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from tests.worlds import AGENT, World

ISSUER = "https://login.acme.test/"
ALL = ["EdDSA", "ES256", "RS256"]
HOUR = 3600


@cache
def private(algorithm: str = "EdDSA", name: str = "one") -> Any:
    """A private key for the algorithm, the same for the same name."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


def public(algorithm: str = "EdDSA", name: str = "one", *, kid: str | None = None) -> dict[str, Any]:
    """Its public half as a JWK, called by algorithm and name unless `kid` says otherwise."""
    jwk = get_default_algorithms()[algorithm].to_jwk(private(algorithm, name).public_key(), as_dict=True)
    return {**jwk, "use": "sig", "kid": kid or f"{algorithm}-{name}"}


def pem(algorithm: str = "RS256", name: str = "one") -> bytes:
    """The public key's text, which an HMAC would take for a secret."""
    key = private(algorithm, name).public_key()
    return bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def audience(own: World) -> str:
    return f"countersign-{own.slug}"


def claims(own: World, **changes: Any) -> dict[str, Any]:
    """An hour's token of `support-bot`; None takes a claim out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": audience(own), "iat": now, "exp": now + HOUR, "client_id": AGENT, **changes}
    return {name: value for name, value in said.items() if value is not None}


def signed(
    said: Mapping[str, Any], algorithm: str = "EdDSA", name: str = "one", *, header: Mapping[str, Any] | None = None
) -> str:
    """A token. None takes a member out of its header."""
    told = {"kid": f"{algorithm}-{name}", **(header or {})}
    head = {name_: value for name_, value in told.items() if value is not None}
    return jwt.PyJWS().encode(json.dumps(said).encode(), private(algorithm, name), algorithm, headers=head)


def token(own: World, **changes: Any) -> str:
    return signed(claims(own, **changes))


def agents(own: World, **changes: Any) -> dict[str, Any]:
    """A blueprint's entry: who vouches for agents. None takes a member out."""
    entry = {
        "id": "corp",
        "issuer": ISSUER,
        "audience": audience(own),
        "jwks": {"keys": [public(algorithm) for algorithm in ALL]},
        "algorithms": list(ALL),
        "agent_claim": "client_id",
        **changes,
    }
    return {name: value for name, value in entry.items() if value is not None}


def people(own: World, **changes: Any) -> dict[str, Any]:
    """Another entry, of another audience: who vouches for people."""
    told = {"id": "staff", "audience": f"{audience(own)}-people", "agent_claim": None, "principal_claim": "email"}
    return agents(own, **{**told, **changes})


def persons(own: World, name: str = "dana", **changes: Any) -> str:
    """The token of a person: what a principal is proven by."""
    said = {"aud": f"{audience(own)}-people", "client_id": None, "email": own.people[name].user.email, **changes}
    return token(own, **said)
