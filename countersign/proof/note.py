"""C2SP signed notes: text and signers in, note out; note and verifiers in, text out, or nothing."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from countersign.proof import base64text, keys
from countersign.proof.keys import Signer, Verifier

_SEPARATOR = "\n\n"
_SIGNATURES = 64  # at most; C2SP asks for at least 16
_SIZE = 1_000_000
_ID_BYTES = 4
_control = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]").search


class BadNote(ValueError):
    """Not a signed note, or none that a known key signed."""


class Signature(NamedTuple):
    """One signature line."""

    name: str
    key_id: str
    signature: bytes


def sign(text: str, *, signers: Iterable[Signer]) -> str:
    """The note of `text` with a signature line by each signer."""
    _check_text(text)
    lines = [_line(text, signer) for signer in signers]
    if not lines:
        raise BadNote("a note needs a signature")
    return f"{text}\n{''.join(lines)}"


def open_note(note: str, *, verifiers: Iterable[Verifier]) -> str:
    """The text that at least one of `verifiers` signed. Raises BadNote.

    Signatures of unknown keys are ignored, as the specification demands; a bad signature of a known key is not.
    """
    text, signatures = split(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed = False
    for line in signatures:
        verifier = known.get((line.name, line.key_id))
        if verifier is not None:
            _verify(verifier, line.signature, text)
            signed = True
    if not signed:
        raise BadNote("no known key signed the note")
    return text


def split(note: str) -> tuple[str, list[Signature]]:
    """Text and signature lines, neither of them verified. Raises BadNote unless every line is well formed."""
    if len(note) > _SIZE:
        raise BadNote("the note is too large")
    text, blank, tail = note.rpartition(_SEPARATOR)
    if not blank or not tail.endswith("\n"):
        raise BadNote("a note is a text, an empty line and signature lines")
    text += "\n"
    _check_text(text)
    lines = tail[:-1].split("\n")
    if len(lines) > _SIGNATURES:
        raise BadNote("the note has too many signatures")
    signatures = list(_parse(lines))
    if len({(line.name, line.key_id) for line in signatures}) != len(signatures):
        raise BadNote("one key signed the note twice")
    return text, signatures


def _check_text(text: str) -> None:
    if not text.endswith("\n") or text == "\n":
        raise BadNote("the text of a note is not empty and ends in a newline")
    if _control(text):
        raise BadNote("the text of a note has no control characters")


def _line(text: str, signer: Signer) -> str:
    signature = bytes.fromhex(signer.key_id) + signer.sign(text.encode())
    return f"— {signer.name} {base64text.encode(signature)}\n"


def _parse(lines: Sequence[str]) -> Iterator[Signature]:
    for line in lines:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        try:
            material = base64text.decode(encoded)
            keys.check_name(name)
        except ValueError as error:
            raise BadNote(f"a signature line is malformed: {error}") from error
        if dash != "—" or len(material) <= _ID_BYTES:
            raise BadNote("a signature line is malformed")
        yield Signature(name, material[:_ID_BYTES].hex(), material[_ID_BYTES:])


def _verify(verifier: Verifier, signature: bytes, text: str) -> None:
    try:
        verifier.verify(signature, text.encode())
    except keys.BadSignature as error:
        raise BadNote(str(error)) from error
