"""Ed25519 keys with C2SP names: sign with one, verify with its vkey, hand its PEM to openssl."""

import re
from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.proof import base64text

SEED_BYTES = 32
SIGNATURE_BYTES = 64
_KEY_BYTES = 32
_ED25519 = b"\x01"  # C2SP signature type
_key_id = re.compile(r"[0-9a-f]{8}").fullmatch


class BadKey(ValueError):
    """A key, key name or vkey that is not what C2SP signed-note says."""


class BadSignature(ValueError):
    """A signature that this key did not make over these bytes."""


def key_id(name: str, public: bytes) -> str:
    """C2SP signed-note: the first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ key), in hex."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).hexdigest()[:8]


def check_name(name: str) -> str:
    """`name` itself if it may name a key. Raises BadKey."""
    if not name or "+" in name or not name.isprintable() or any(map(str.isspace, name)):
        raise BadKey("a key name is not empty and has no space, plus or control character")
    return name


class Verifier:
    """The public half of a named key."""

    def __init__(self, *, name: str, public: bytes) -> None:
        if len(public) != _KEY_BYTES:
            raise BadKey("an Ed25519 public key has 32 bytes")
        self.name = check_name(name)
        self.public = public
        self.key_id = key_id(name, public)
        self._key = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def from_vkey(cls, text: str) -> Self:
        """From `name+hash+base64(0x01 ‖ key)`. Raises BadKey unless every part fits the others."""
        name, _, rest = text.partition("+")
        hash_, _, encoded = rest.partition("+")
        try:
            material = base64text.decode(encoded)
        except base64text.BadBase64 as error:
            raise BadKey("the key inside a vkey is not canonical base64") from error
        if material[:1] != _ED25519:
            raise BadKey("only Ed25519 vkeys are understood")
        verifier = cls(name=name, public=material[1:])
        if not _key_id(hash_) or hash_ != verifier.key_id:
            raise BadKey("the hash inside a vkey is not that of its name and key")
        return verifier

    @property
    def vkey(self) -> str:
        """The text form that `from_vkey` takes."""
        return f"{self.name}+{self.key_id}+{base64text.encode(_ED25519 + self.public)}"

    @property
    def pem(self) -> str:
        """SubjectPublicKeyInfo in PEM, as openssl reads it."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the raw public key, for people to compare."""
        return f"sha256:{sha256(self.public).hexdigest()}"

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if this key made `signature` over `data`, else raise BadSignature."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature as error:
            raise BadSignature(f"not a signature of {self.name}+{self.key_id} over this") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verifier) and self.vkey == other.vkey

    def __hash__(self) -> int:
        return hash(self.vkey)

    def __repr__(self) -> str:
        return f"Verifier({self.vkey!r})"


class Signer:
    """The private half of a named key. Never printed, never compared."""

    def __init__(self, *, name: str, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey("an Ed25519 seed has 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = check_name(name)
        self.key_id = self.verifier.key_id

    @cached_property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(name=self.name, public=self._key.public_key().public_bytes_raw())

    @property
    def vkey(self) -> str:
        """The public half as text."""
        return self.verifier.vkey

    @property
    def pem(self) -> str:
        """The public half as openssl reads it."""
        return self.verifier.pem

    def sign(self, data: bytes) -> bytes:
        """64 bytes that `Verifier.verify` accepts over `data`."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"Signer({self.name}+{self.key_id})"


def verifiers_of(text: str) -> tuple[Verifier, ...]:
    """The vkeys of a text, one a line; empty lines and lines that begin with # are skipped. Raises BadKey."""
    lines = (line.strip() for line in text.splitlines())
    found = tuple(Verifier.from_vkey(line) for line in lines if line and not line.startswith("#"))
    if not found:
        raise BadKey("no vkey found")
    return found


def by_key_id(verifiers: Iterable[Verifier]) -> dict[str, list[Verifier]]:
    """Verifiers sorted by key id; an id is four bytes, so two keys may share one."""
    found: dict[str, list[Verifier]] = {}
    for verifier in verifiers:
        found.setdefault(verifier.key_id, []).append(verifier)
    return found
