"""The first steps over a pack: its members, its keys, its tree head, and that head against older ones."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from countersign.proof import base64text, checkpoint, digests, dsse, keys, merkle, note, pack_layout
from countersign.proof.checkpoint import Checkpoint
from countersign.proof.keys import Verifier
from countersign.proof.pack_case import About, Case, StepFailed

_line = re.compile(r"([0-9a-f]{64})  ([^\n]+)").fullmatch
_ABOUT = {"v", "log", "tenant", "created_at", "scope", "protection", "size", "records"}


def check_layout(case: Case) -> str:
    """Every member that a pack must have, none that it may not have."""
    if strange := sorted(name for name in case.members if not pack_layout.is_member(name)):
        raise StepFailed(f"{strange[0]}: no pack has such a member")
    if missing := sorted(pack_layout.ALWAYS - case.members.keys()):
        raise StepFailed(f"{missing[0]}: missing")
    return f"{len(case.members)} members, none missing, none strange"


def check_manifest(case: Case) -> str:
    """Every member is the one that the manifest lists."""
    listed = dict(_listed(case.text(pack_layout.MANIFEST)))
    present = case.members.keys() - {pack_layout.MANIFEST, pack_layout.FRAME}
    if differing := sorted(listed.keys() ^ present):
        raise StepFailed(f"{differing[0]}: {'not in the manifest' if differing[0] in present else 'missing'}")
    for name in sorted(present):
        if digests.sha256(case.members[name]) != f"sha256:{listed[name]}":
            raise StepFailed(f"{name}: not the bytes that the manifest lists")
    return f"{len(listed)} members are as listed"


def _listed(text: str) -> Iterator[tuple[str, str]]:
    """Name and hash of each line, sorted and each once."""
    last = ""
    if not text.endswith("\n"):
        raise StepFailed(f"{pack_layout.MANIFEST}: does not end in a newline")
    for line in text[:-1].split("\n"):
        match = _line(line)
        if match is None or match[2] <= last:
            raise StepFailed(f"{pack_layout.MANIFEST}: malformed, unsorted or with a member twice")
        last = match[2]
        yield last, match[1]


def check_about(case: Case) -> str:
    """`pack.json` says which log, which tenant and which places in the tree."""
    match case.json(pack_layout.ABOUT):
        case {
            "v": pack_layout.VERSION,
            "log": str(log),
            "tenant": str(tenant),
            "size": int(size),
            "records": list(seqs),
            **rest,
        }:
            pass
        case _:
            raise StepFailed(f"{pack_layout.ABOUT}: not a pack of version {pack_layout.VERSION}")
    if strange := rest.keys() - _ABOUT - {"span"}:
        raise StepFailed(f"{pack_layout.ABOUT}: {min(map(str, strange))} means nothing")
    if any(type(seq) is not int or not 0 <= seq < size for seq in seqs):
        raise StepFailed(f"{pack_layout.ABOUT}: a sequence number lies outside of the tree")
    if any(left >= right for left, right in pairwise(seqs)):
        raise StepFailed(f"{pack_layout.ABOUT}: the records are not in the order of the tree")
    case.about = About(log=log, tenant=tenant, size=size, seqs=tuple(seqs), span=_span(rest.get("span"), seqs))
    return f"log {log}, tenant {tenant}, {len(seqs)} records"


def _span(member: Any, seqs: list[int]) -> tuple[int, int] | None:
    """The range that the pack claims to hold without a gap."""
    match member:
        case None:
            return None
        case [int(first), int(last)]:
            claimed = last - first + 1
        case _:
            raise StepFailed(f"{pack_layout.ABOUT}: span is a first and a last sequence number")
    held = set(seqs)
    if claimed > len(seqs) or first not in held:
        gap = next(seq for seq in range(first, last + 1) if seq not in held)
        raise StepFailed(f"record {gap} is missing from the span {first} to {last}")
    if seqs != list(range(first, last + 1)):
        raise StepFailed(f"there are records outside of the span {first} to {last}")
    return first, last


def check_keys(case: Case) -> str:
    """Each vkey and its PEM are one key, and the keys are those that the reader trusts, if the reader named any."""
    found = tuple(_key(case, name) for name in case.under("keys") if name.endswith(".vkey"))
    if not found:
        raise StepFailed("keys/: no key")
    if len(case.under("keys")) != 2 * len(found):
        raise StepFailed("keys/: a vkey without its PEM, or a PEM without its vkey")
    case.verifiers = found
    if case.trusted is None:
        shown = ", ".join(f"{key.name} {key.fingerprint}" for key in found)
        return f"SELF-ASSERTED, compare with what the operator told you: {shown}"
    if strangers := [key for key in found if key not in case.trusted]:
        raise StepFailed(f"keys/{strangers[0].key_id}.vkey: not a key that you trust: {strangers[0].vkey}")
    return f"{len(found)} keys, all of them yours"


def _key(case: Case, name: str) -> Verifier:
    text = case.text(name)
    try:
        key = Verifier.from_vkey(text.removesuffix("\n"))
    except keys.BadKey as error:
        raise StepFailed(f"{name}: {error}") from error
    if text != f"{key.vkey}\n" or name != f"keys/{key.key_id}.vkey":
        raise StepFailed(f"{name}: not named after its key")
    if case.members.get(f"keys/{key.key_id}.pem") != key.pem.encode():
        raise StepFailed(f"keys/{key.key_id}.pem: not the key of {name}")
    return key


def check_checkpoint(case: Case) -> str:
    """The tree head is signed by one of the keys and is that of this log."""
    case.head = _open(case, case.text(pack_layout.CHECKPOINT), pack_layout.CHECKPOINT)
    if case.head.size != case.about.size:
        raise StepFailed(f"{pack_layout.CHECKPOINT}: of another size than {pack_layout.ABOUT} says")
    return f"{case.head.size} records stand in the log"


def check_frame(case: Case) -> str:
    """The manifest, and with it every member, is signed by one of the keys: also what no record says of the pack."""
    envelope = case.json(pack_layout.FRAME)
    expected = pack_layout.framed(digests.sha256(case.members[pack_layout.MANIFEST]))
    try:
        said = dsse.verify(envelope, _signers(case, envelope), pack_layout.FRAME_TYPE)
    except dsse.BadEnvelope as error:
        raise StepFailed(f"{pack_layout.FRAME}: {error}") from error
    if said != expected:
        raise StepFailed(f"{pack_layout.FRAME}: another manifest was signed: a member was changed, added or left out")
    return "scope, time and index are signed with the rest"


def _signers(case: Case, envelope: Any) -> list[Verifier]:
    """The one key that is named. No manifest holds this member, so its key id must not be free to say anything."""
    match envelope:
        case {"signatures": [{"keyid": str(named)}]}:
            return [key for key in case.verifiers if key.key_id == named]
    raise StepFailed(f"{pack_layout.FRAME}: not one signature with the id of its key")


def _open(case: Case, signed: str, name: str) -> Checkpoint:
    try:
        head = checkpoint.open_checkpoint(signed, verifiers=case.verifiers)
    except (note.BadNote, checkpoint.BadCheckpoint) as error:
        raise StepFailed(f"{name}: {error}") from error
    if head.origin != case.about.log:
        raise StepFailed(f"{name}: of another log, {head.origin}")
    return head


def check_consistency(case: Case) -> str:
    """Older tree heads are beginnings of this one; above all the one that the reader kept outside."""
    older = [_older(case, member) for member in _previous(case)]
    if case.against is None:
        return f"{len(older)} older checkpoints fit; none was held against it, so the newest records may be left out"
    held = _open(case, case.against, "the checkpoint held outside")
    _check_against(case, held, older)
    return f"fits the checkpoint held outside ({held.size} records)"


def _previous(case: Case) -> list[Any]:
    members = case.json(pack_layout.PREVIOUS)
    if not isinstance(members, list):
        raise StepFailed(f"{pack_layout.PREVIOUS}: not a list")
    return members


def _older(case: Case, member: Any) -> Checkpoint:
    match member:
        case {"checkpoint": str(signed), "path": list(path), **rest} if not rest:
            head = _open(case, signed, pack_layout.PREVIOUS)
        case _:
            raise StepFailed(f"{pack_layout.PREVIOUS}: an entry is a checkpoint and a path")
    try:
        nodes = [base64text.decode(node) if isinstance(node, str) else b"" for node in path]
        merkle.verify_consistency(
            old=head.size, old_root=head.root, new=case.head.size, new_root=case.head.root, path=nodes
        )
    except (base64text.BadBase64, merkle.BadProof) as error:
        raise StepFailed(f"{pack_layout.PREVIOUS}: size {head.size}: {error}") from error
    return head


def _check_against(case: Case, held: Checkpoint, older: list[Checkpoint]) -> None:
    mine = case.head
    if held.size > mine.size:
        raise StepFailed(
            f"the checkpoint held outside counts {held.size} records, this pack's log only {mine.size}: "
            "records were deleted, an older copy was restored, or that checkpoint is newer than this pack: "
            "compare with one from before the export"
        )
    same = [head for head in (mine, *older) if head.size == held.size]
    if not same:
        raise StepFailed(
            f"the pack has no consistency proof from the {held.size} records of the checkpoint held outside: "
            "export it again with that checkpoint"
        )
    if any(head.root != held.root for head in same):
        raise StepFailed(
            f"the checkpoint held outside has another root at {held.size} records: history was deleted or rewritten"
        )
