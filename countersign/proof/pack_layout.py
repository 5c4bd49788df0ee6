"""What a pack is made of: its member names, its limits and the frozen values it is written from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from countersign.proof import canonical
from countersign.proof.keys import Signer, Verifier

VERSION = 1

README: Final = "README-VERIFY.md"
MANIFEST: Final = "MANIFEST.sha256"
FRAME: Final = "MANIFEST.dsse.json"
FRAME_TYPE: Final = "application/vnd.countersign.pack+json"
ABOUT: Final = "pack.json"
CHECKPOINT: Final = "checkpoint"
PREVIOUS: Final = "checkpoint.prev.json"
RECORDS: Final = "records.jsonl"
MAPPINGS: Final = ("transaction", "session", "request")
DIRECTORIES: Final = frozenset({"keys", "proofs", "args", "policy", "mapping"})

ALWAYS: Final = frozenset(
    {README, MANIFEST, FRAME, ABOUT, CHECKPOINT, PREVIOUS, RECORDS, *(f"mapping/{m}.json" for m in MAPPINGS)}
)
_listed = re.compile(
    r"keys/[0-9a-f]{8}\.(?:vkey|pem)"
    r"|proofs/(?:0|[1-9][0-9]{0,18})\.tlog-proof"
    r"|args/[0-9a-f]{64}\.json"
    r"|policy/[0-9a-f]{64}\.yaml"
).fullmatch


class BadPack(ValueError):
    """Something that is not a pack, or not one that holds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader is willing to take in."""

    members: int = 500_000
    member_bytes: int = 512 * 1024 * 1024
    total_bytes: int = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record at its place: DSSE envelope and RFC 6962 inclusion path below the pack's checkpoint."""

    seq: int
    envelope: Mapping[str, Any]
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PreviousCheckpoint:
    """An older signed checkpoint, and the RFC 6962 consistency path from it to the pack's."""

    checkpoint: str
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DisclosedArguments:
    """What stands behind a commitment: the closed action object, the arguments and the 32-byte salt."""

    commitment: str
    action: Mapping[str, Any]
    arguments: Mapping[str, Any]
    salt: bytes


@dataclass(frozen=True, slots=True)
class PackContents:
    """All that goes into a pack. `signer` vouches for the whole of it; its key is among `keys`.

    `span` is `(first, last)` when the pack claims to hold every record of the log from first to last. `policies` are
    sources by their SHA-256 text digest, `mapping` is kind → identifier → sequence numbers, `scope` says in words or
    members what was asked for, `protection` how the store was protected.
    """

    log: str
    tenant: str
    created_at: str
    checkpoint: str
    keys: tuple[Verifier, ...]
    signer: Signer
    records: tuple[SealedRecord, ...]
    previous: tuple[PreviousCheckpoint, ...] = ()
    arguments: tuple[DisclosedArguments, ...] = ()
    policies: Mapping[str, bytes] = field(default_factory=dict)
    mapping: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    scope: Mapping[str, Any] = field(default_factory=dict)
    span: tuple[int, int] | None = None
    protection: str = "tamper-evident"


def is_member(name: str) -> bool:
    """Whether a pack may have a member of this name."""
    return name in ALWAYS or _listed(name) is not None


def framed(manifest_digest: str) -> bytes:
    """What the signature over a whole pack says."""
    return canonical.dumps({"manifest": manifest_digest, "v": VERSION})


def proof_name(seq: int) -> str:
    """Where the inclusion proof of a record lies."""
    return f"proofs/{seq}.tlog-proof"
