"""Purpose in, signer or verifiers out; labelled hashes and sealed boxes. Keys are files in `KEYS_DIR`, never rows."""

import hmac
import os
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair

from countersign.proof import base64text
from countersign.proof.keys import BadKey, Signer, Verifier, verifiers_of

_MAC = "mac"
_BOX = "box"
_SECRET_BYTES = 32
_NONCE_BYTES = 12
_BOX_VERSION = b"\x01"
_KEY_HINT_BYTES = 4


class Purpose(StrEnum):
    """What a signing key may say. One key a purpose: none of them can speak for another."""

    SEALER = "sealer"
    PDP = "pdp"
    APPROVALS = "approvals"
    RELEASES = "releases"


class QuickSigner(Signer):
    """The same signatures, bit for bit, by libsodium, which makes one in two thirds of OpenSSL's time."""

    def __init__(self, *, name: str, seed: bytes) -> None:
        super().__init__(name=name, seed=seed)
        _, self._pair = crypto_sign_seed_keypair(seed)

    def sign(self, data: bytes) -> bytes:
        return crypto_sign(data, self._pair)[:crypto_sign_BYTES]


class KeysMissing(RuntimeError):
    """A key file is not there or not readable: `manage.py setup` makes it in `COUNTERSIGN_KEYS_DIR`."""


class CannotUnseal(ValueError):
    """A box that no key of ours closed, or that was closed for another place."""


# --- signing


def signer(purpose: Purpose) -> Signer:
    """The current key of `purpose`. Raises KeysMissing."""
    return _signer(settings.COUNTERSIGN.keys_dir, purpose)


def verifiers(purpose: Purpose) -> Sequence[Verifier]:
    """The current key of `purpose` first, then the older ones whose signatures still count. Raises KeysMissing."""
    return _verifiers(settings.COUNTERSIGN.keys_dir, purpose)


def forget() -> None:
    """Read the signing keys anew when they are next asked for: an operator may have put a new one first."""
    _signer.cache_clear()
    _verifiers.cache_clear()


@cache
def _signer(directory: Path, purpose: Purpose) -> Signer:
    return QuickSigner(name=key_name(purpose), seed=_secrets(directory, purpose)[0])


@cache
def _verifiers(directory: Path, purpose: Purpose) -> tuple[Verifier, ...]:
    own = [Signer(name=key_name(purpose), seed=secret).verifier for secret in _secrets(directory, purpose)]
    path = directory / f"{purpose}.vkeys"
    try:
        known = verifiers_of(_read(path))
    except BadKey as error:
        raise KeysMissing(f"{path.name} in COUNTERSIGN_KEYS_DIR holds no keys: {error}") from error
    return tuple(dict.fromkeys((*own, *known)))


def key_name(purpose: Purpose) -> str:
    """The C2SP name under which a purpose signs."""
    return f"countersign/{purpose}"


# --- hashing and sealing


def mac(label: str, data: bytes) -> bytes:
    """HMAC-SHA-256 over `label ‖ 0x00 ‖ data`: what may be stored of a secret that is only ever compared."""
    return hmac.digest(_mac_key(settings.COUNTERSIGN.keys_dir), label.encode() + b"\0" + data, "sha256")


@cache
def _mac_key(directory: Path) -> bytes:
    return _secrets(directory, _MAC)[0]


def seal(plaintext: bytes, *, bound_to: str) -> bytes:
    """Version, key hint, nonce and AES-256-GCM ciphertext; only `unseal` with the same `bound_to` opens it."""
    hint, cipher = _boxes(settings.COUNTERSIGN.keys_dir)[0]
    nonce = os.urandom(_NONCE_BYTES)
    return _BOX_VERSION + hint + nonce + cipher.encrypt(nonce, plaintext, bound_to.encode())


def unseal(box: bytes, *, bound_to: str) -> bytes:
    """The plaintext that `seal` was given. Raises CannotUnseal."""
    head, rest = box[: 1 + _KEY_HINT_BYTES], box[1 + _KEY_HINT_BYTES :]
    nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
    for hint, cipher in _boxes(settings.COUNTERSIGN.keys_dir):
        if head == _BOX_VERSION + hint and len(nonce) == _NONCE_BYTES:
            try:
                return cipher.decrypt(nonce, ciphertext, bound_to.encode())
            except InvalidTag:
                continue
    raise CannotUnseal("no key of this installation closed this box for this place")


@cache
def _boxes(directory: Path) -> tuple[tuple[bytes, AESGCM], ...]:
    secrets = _secrets(directory, _BOX)
    return tuple((sha256(b"countersign/box/v1\n" + key).digest()[:_KEY_HINT_BYTES], AESGCM(key)) for key in secrets)


# --- files


def missing(directory: Path) -> list[str]:
    """The key files that are not there."""
    return [f"{name}.key" for name in (*Purpose, _MAC, _BOX) if not (directory / f"{name}.key").exists()]


def create_missing(directory: Path) -> list[str]:
    """Make what is not there yet and say which files were made. Two at once make one set."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = [name for name in (*Purpose, _MAC, _BOX) if _create(directory / f"{name}.key", _line(os.urandom(32)))]
    for purpose in Purpose:
        vkey = Signer(name=key_name(purpose), seed=_secrets(directory, purpose)[0]).vkey
        _create(directory / f"{purpose}.vkeys", f"{vkey}\n")
    return [f"{name}.key" for name in made]


def _create(path: Path, text: str) -> bool:
    """Whether this call made the file: it appears under its name whole and synced, or not at all."""
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _line(secret: bytes) -> str:
    return f"{base64text.encode(secret)}\n"


def _secrets(directory: Path, name: str) -> tuple[bytes, ...]:
    """The secrets of one key file, one a line, the current one first."""
    try:
        found = tuple(base64text.decode(line) for line in _read(directory / f"{name}.key").split())
    except base64text.BadBase64 as error:
        raise KeysMissing(f"{name}.key in COUNTERSIGN_KEYS_DIR is not base64") from error
    if not found or any(len(secret) != _SECRET_BYTES for secret in found):
        raise KeysMissing(f"{name}.key in COUNTERSIGN_KEYS_DIR does not hold keys of {_SECRET_BYTES} bytes")
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise KeysMissing(f"{path.name} is not readable in COUNTERSIGN_KEYS_DIR; `manage.py setup` makes it") from error
