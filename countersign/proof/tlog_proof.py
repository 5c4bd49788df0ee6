"""C2SP tlog-proofs: index, inclusion path and checkpoint as one text."""

import re
from dataclasses import dataclass

from countersign.proof import base64text, merkle

_HEADER = "c2sp.org/tlog-proof@v1"
_LEVELS = 63  # a path longer than that belongs to no tree
_index = re.compile(r"index (0|[1-9][0-9]{0,18})").fullmatch


class BadTlogProof(ValueError):
    """Not a `.tlog-proof`."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That a leaf stands at `index` below `checkpoint`: a signed note, carried verbatim and not verified here."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    @property
    def text(self) -> str:
        """The file's content."""
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64text.encode(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(map(base64text.encode, self.path))
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse(text: str) -> TlogProof:
    """The proof in a file's content. Raises BadTlogProof."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or not checkpoint or lines.pop(0) != _HEADER:
        raise BadTlogProof(f"the first line of a proof is {_HEADER}, and a checkpoint ends it")
    extra = _decode(lines.pop(0)[len("extra ") :]) if lines and lines[0].startswith("extra ") else None
    match = _index(lines.pop(0)) if lines else None
    if match is None:
        raise BadTlogProof("the index line is missing or malformed")
    if len(lines) > _LEVELS:
        raise BadTlogProof("the path is too long")
    return TlogProof(index=int(match[1]), path=tuple(map(_hash, lines)), checkpoint=checkpoint, extra=extra)


def _hash(line: str) -> bytes:
    value = _decode(line)
    if len(value) != merkle.HASH_BYTES:
        raise BadTlogProof("a path holds hashes of 32 bytes")
    return value


def _decode(encoded: str) -> bytes:
    try:
        return base64text.decode(encoded)
    except base64text.BadBase64 as error:
        raise BadTlogProof("not canonical base64") from error
