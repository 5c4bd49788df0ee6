"""C2SP tlog-checkpoints: a tree head as the text of a signed note."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from countersign.proof import base64text, merkle, note
from countersign.proof.keys import Signer, Verifier

_size = re.compile(r"0|[1-9][0-9]{0,18}").fullmatch
_HEAD_LINES = 3


class BadCheckpoint(ValueError):
    """A note whose text is not a tree head."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's tree head. `extensions` are kept verbatim and mean nothing to us."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text, before signing."""
        lines = (self.origin, str(self.size), base64text.encode(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def sign(checkpoint: Checkpoint, *, signers: Iterable[Signer]) -> str:
    """The signed note of a tree head."""
    parse(checkpoint.text)
    return note.sign(checkpoint.text, signers=signers)


def open_checkpoint(signed: str, *, verifiers: Iterable[Verifier]) -> Checkpoint:
    """The tree head that one of `verifiers` signed. Raises note.BadNote or BadCheckpoint."""
    return parse(note.open_note(signed, verifiers=verifiers))


def parse(text: str) -> Checkpoint:
    """The tree head in a note's text. Raises BadCheckpoint."""
    lines = text.split("\n")
    if lines.pop() or len(lines) < _HEAD_LINES or not all(lines):
        raise BadCheckpoint("a checkpoint has an origin, a size and a root, each on its line")
    origin, size, encoded, *extensions = lines
    if not _size(size):
        raise BadCheckpoint("the size of a checkpoint is a decimal number without leading zeroes")
    try:
        root = base64text.decode(encoded)
    except base64text.BadBase64 as error:
        raise BadCheckpoint("the root of a checkpoint is not canonical base64") from error
    if len(root) != merkle.HASH_BYTES:
        raise BadCheckpoint("the root of a checkpoint has 32 bytes")
    return Checkpoint(origin=origin, size=int(size), root=root, extensions=tuple(extensions))
