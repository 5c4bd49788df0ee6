"""Frozen contents in, the members of an evidence pack out, on disk as a directory or an archive."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from countersign.proof import base64text, canonical, checkpoint, digests, dsse, pack_archive, pack_layout, pack_readme
from countersign.proof.keys import Signer
from countersign.proof.pack_layout import BadPack, DisclosedArguments, PackContents
from countersign.proof.tlog_proof import TlogProof


def write(out: Path, contents: PackContents) -> None:
    """Write the pack: `.tar.gz` if the name ends so, else a directory. Raises FileExistsError, BadPack."""
    pack_archive.write(out, members(contents))


def members(contents: PackContents) -> dict[str, bytes]:
    """Every member with its bytes, the manifest and its signature included."""
    head = checkpoint.open_checkpoint(contents.checkpoint, verifiers=contents.keys)
    found = {
        pack_layout.README: _readme(contents, head.size),
        pack_layout.ABOUT: _about(contents, head.size),
        pack_layout.CHECKPOINT: contents.checkpoint.encode(),
        pack_layout.PREVIOUS: _previous(contents),
        pack_layout.RECORDS: b"".join(canonical.dumps(record.envelope) + b"\n" for record in contents.records),
        **_keys(contents),
        **_proofs(contents),
        **{f"args/{_hex(entry.commitment)}.json": _disclosed(entry) for entry in contents.arguments},
        **{f"policy/{_hex(digest)}.yaml": source for digest, source in contents.policies.items()},
        **_mapping(contents),
    }
    if strange := sorted(name for name in found if not pack_layout.is_member(name)):
        raise BadPack(f"no pack has a member {strange[0]}")
    found[pack_layout.MANIFEST] = manifest(found)
    found[pack_layout.FRAME] = frame(found[pack_layout.MANIFEST], signer=contents.signer)
    return found


def manifest(found: Mapping[str, bytes]) -> bytes:
    """What `sha256sum -c` reads: every member but itself and its own signature, sorted by name."""
    names = sorted(found.keys() - {pack_layout.MANIFEST, pack_layout.FRAME})
    lines = (f"{sha256(found[name]).hexdigest()}  {name}\n" for name in names)
    return "".join(lines).encode()


def frame(listed: bytes, *, signer: Signer) -> bytes:
    """The manifest's signature: scope, time and index of a pack are vouched for as its records are."""
    said = pack_layout.framed(digests.sha256(listed))
    return canonical.dumps(dsse.sign(said, pack_layout.FRAME_TYPE, signer))


def _about(contents: PackContents, size: int) -> bytes:
    about: dict[str, Any] = {
        "v": pack_layout.VERSION,
        "log": contents.log,
        "tenant": contents.tenant,
        "created_at": contents.created_at,
        "scope": dict(contents.scope),
        "protection": contents.protection,
        "size": size,
        "records": [record.seq for record in contents.records],
    }
    if contents.span is not None:
        about["span"] = list(contents.span)
    return canonical.dumps(about)


def _readme(contents: PackContents, size: int) -> bytes:
    return pack_readme.text(
        log=contents.log,
        tenant=contents.tenant,
        created_at=contents.created_at,
        count=len(contents.records),
        size=size,
    ).encode()


def _previous(contents: PackContents) -> bytes:
    return canonical.dumps(
        [
            {"checkpoint": older.checkpoint, "path": [base64text.encode(node) for node in older.path]}
            for older in contents.previous
        ]
    )


def _keys(contents: PackContents) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for key in contents.keys:
        if f"keys/{key.key_id}.vkey" in found:
            raise BadPack("two keys share one key id")
        found[f"keys/{key.key_id}.vkey"] = f"{key.vkey}\n".encode()
        found[f"keys/{key.key_id}.pem"] = key.pem.encode()
    return found


def _proofs(contents: PackContents) -> dict[str, bytes]:
    return {
        pack_layout.proof_name(record.seq): TlogProof(
            index=record.seq, path=record.path, checkpoint=contents.checkpoint
        ).text.encode()
        for record in contents.records
    }


def _mapping(contents: PackContents) -> dict[str, bytes]:
    if strange := set(contents.mapping) - set(pack_layout.MAPPINGS):
        raise BadPack(f"no pack maps {', '.join(sorted(strange))}")
    return {
        f"mapping/{kind}.json": canonical.dumps(
            {name: sorted(seqs) for name, seqs in contents.mapping.get(kind, {}).items()}
        )
        for kind in pack_layout.MAPPINGS
    }


def _disclosed(entry: DisclosedArguments) -> bytes:
    return canonical.dumps(
        {"action": entry.action, "arguments": entry.arguments, "salt": base64text.encode(entry.salt)}
    )


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
