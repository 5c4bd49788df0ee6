"""The later steps over a pack: its records, their places, their threads, and what was disclosed beside them."""

from collections.abc import Iterator, Mapping
from typing import Any

from countersign.proof import base64text, canonical, digests, dsse, merkle, pack_layout, statement, tlog_proof
from countersign.proof.events import Event
from countersign.proof.pack_case import Case, StepFailed, canonical_json
from countersign.proof.statement import Record

_DISCLOSED = {"action", "arguments", "salt"}


def check_signatures(case: Case) -> str:
    """Each line is a DSSE envelope of one of the keys, and there are as many as places."""
    data = case.members[pack_layout.RECORDS]
    lines = data.split(b"\n")
    if lines.pop():
        raise StepFailed(f"{pack_layout.RECORDS}: the last line has no end")
    if len(lines) != len(case.about.seqs):
        raise StepFailed(f"{pack_layout.RECORDS}: {len(lines)} records, but {len(case.about.seqs)} places for them")
    case.payloads = tuple(_payload(case, seq, line) for seq, line in zip(case.about.seqs, lines, strict=True))
    return f"{len(lines)} signatures hold"


def _payload(case: Case, seq: int, line: bytes) -> bytes:
    envelope = canonical_json(line, f"record {seq}")
    try:
        return dsse.verify(envelope, case.verifiers, dsse.IN_TOTO)
    except dsse.BadEnvelope as error:
        raise StepFailed(f"record {seq}: {error}") from error


def check_statements(case: Case) -> str:
    """Each payload is an evidence record in its canonical form."""
    case.records = tuple(_record(seq, data) for seq, data in zip(case.about.seqs, case.payloads, strict=True))
    return f"{len(case.records)} records are well formed"


def _record(seq: int, payload: bytes) -> Record:
    try:
        return statement.parse(payload)
    except statement.BadStatement as error:
        raise StepFailed(f"record {seq}: {error}") from error


def check_inclusion(case: Case) -> str:
    """Each record stands at its place in the signed tree."""
    expected = {pack_layout.proof_name(seq) for seq in case.about.seqs}
    if differing := sorted(expected ^ set(case.under("proofs"))):
        raise StepFailed(
            f"{differing[0]}: {'missing' if differing[0] in expected else 'proves no record of this pack'}"
        )
    for seq, payload in zip(case.about.seqs, case.payloads, strict=True):
        _check_proof(case, seq, merkle.leaf_hash(payload))
    return f"{len(case.records)} records stand where they claim to"


def _check_proof(case: Case, seq: int, leaf: bytes) -> None:
    name = pack_layout.proof_name(seq)
    try:
        proof = tlog_proof.parse(case.text(name))
        merkle.verify_inclusion(index=proof.index, size=case.head.size, leaf=leaf, path=proof.path, root=case.head.root)
    except (tlog_proof.BadTlogProof, merkle.BadProof) as error:
        raise StepFailed(f"record {seq}: {error}") from error
    if proof.index != seq or proof.extra is not None:
        raise StepFailed(f"{name}: proves another place, or carries more than a proof")
    if proof.checkpoint != case.text(pack_layout.CHECKPOINT):
        raise StepFailed(f"{name}: below another checkpoint")


def check_belonging(case: Case) -> str:
    """Every record is of the one tenant and the one log."""
    for seq, record in _placed(case):
        if (record.log, record.tenant) != (case.about.log, case.about.tenant):
            raise StepFailed(f"record {seq}: of tenant {record.tenant} in log {record.log}")
    return f"all of tenant {case.about.tenant} in log {case.about.log}"


def check_threads(case: Case) -> str:
    """No step of a case is left out between its first and its last one in the pack."""
    threads: dict[str, list[tuple[int, Record]]] = {}
    for seq, record in _placed(case):
        threads.setdefault(record.thread.id, []).append((seq, record))
    cut_before = case.about.span is not None and case.about.span[0] > 0
    for name, steps in threads.items():
        _check_thread(name, steps, cut_before=cut_before)
    return f"{len(threads)} threads without a gap"


def _check_thread(name: str, steps: list[tuple[int, Record]], *, cut_before: bool) -> None:
    """Steps in tree order count up by one and name the leaf before. A span may begin in the middle of a thread."""
    expected = steps[0][1].thread.n if cut_before else 0
    last: Record | None = None
    for seq, record in steps:
        if record.thread.n > expected:
            raise StepFailed(f"thread {name}: step {expected} is missing (before record {seq})")
        if record.thread.n < expected:
            raise StepFailed(f"thread {name}: step {record.thread.n} comes twice or too late (record {seq})")
        if last is not None and record.thread.prev_leaf != last.leaf:
            raise StepFailed(f"thread {name}: step {expected} follows another record than step {expected - 1}")
        last, expected = record, expected + 1


def check_arguments(case: Case) -> str:
    """What is disclosed is what the records are committed to."""
    committed = {record.subject for record in case.records}
    for name in case.under("args"):
        _check_disclosed(case, name, committed)
    return f"{len(case.under('args'))} disclosed, each the one that was committed to"


def _check_disclosed(case: Case, name: str, committed: set[str]) -> None:
    value = case.json(name)
    if not isinstance(value, dict) or set(value) != _DISCLOSED:
        raise StepFailed(f"{name}: not an action, its arguments and a salt")
    if not isinstance(value["action"], dict) or not isinstance(value["arguments"], dict):
        raise StepFailed(f"{name}: not an action, its arguments and a salt")
    if value["action"].get("arguments_digest") != digests.arguments_digest(value["arguments"]):
        raise StepFailed(f"{name}: the arguments are not those of the action")
    if value["action"].get("tenant") != case.about.tenant:
        raise StepFailed(f"{name}: the action is of another tenant")
    commitment = _commitment(name, value)
    if name != f"args/{commitment.removeprefix('sha256:')}.json":
        raise StepFailed(f"{name}: the action and salt are not those that were committed to")
    if commitment not in committed:
        raise StepFailed(f"{name}: no record of this pack is committed to it")


def _commitment(name: str, value: Mapping[str, Any]) -> str:
    try:
        salt = base64text.decode(value["salt"]) if isinstance(value["salt"], str) else b""
        return digests.commitment(salt, digests.action_digest(value["action"]))
    except ValueError as error:
        raise StepFailed(f"{name}: {error}") from error


def check_approvals(case: Case) -> str:
    """Each approval names the votes it rests on, and they are in the pack, in the approval's own thread."""
    leaves = {record.leaf: record for record in case.records}
    cut_before = case.about.span is not None and case.about.span[0] > 0
    count = 0
    for seq, record in _placed(case):
        if record.event is Event.APPROVAL_ISSUED:
            count += 1
            for vote in _votes(seq, record):
                _check_vote(seq, record, leaves.get(vote), cut_before=cut_before)
    return f"{count} approvals rest on their votes"


def _votes(seq: int, approval: Record) -> list[str]:
    """The leaves of the votes that an approval is signed over, as its detail names them."""
    match approval.predicate.get("detail"):
        case {"votes": [_, *_] as votes}:
            return [_leaf(seq, vote) for vote in votes]
    raise StepFailed(f"record {seq}: an approval that names no votes")


def _leaf(seq: int, vote: Any) -> str:
    match vote:
        case {"leaf": str(leaf)}:
            return leaf
    raise StepFailed(f"record {seq}: an approval that names no votes, or one without its leaf")


def _check_vote(seq: int, approval: Record, vote: Record | None, *, cut_before: bool) -> None:
    if vote is None:
        if not cut_before:
            raise StepFailed(f"record {seq}: a vote that the approval rests on is not in the pack")
    elif vote.event is not Event.VOTE_CAST or vote.thread.id != approval.thread.id:
        raise StepFailed(f"record {seq}: the approval rests on a record that is no vote of its thread")


def check_policies(case: Case) -> str:
    """Each policy source is the one whose digest some record names."""
    for name in case.under("policy"):
        digest = digests.sha256(case.members[name])
        if name != f"policy/{digest.removeprefix('sha256:')}.yaml":
            raise StepFailed(f"{name}: not the source of that digest")
        if not any(digest.encode() in payload for payload in case.payloads):
            raise StepFailed(f"{name}: no record of this pack names it")
    return f"{len(case.under('policy'))} sources, each named by a record"


def check_mapping(case: Case) -> str:
    """The index leads to records of this pack only."""
    payloads = dict(zip(case.about.seqs, case.payloads, strict=True))
    for kind in pack_layout.MAPPINGS:
        for name, seq in _mapped(case, f"mapping/{kind}.json"):
            if seq not in payloads:
                raise StepFailed(f"mapping/{kind}.json: {name}: record {seq} is not in the pack")
            if kind == "request" and canonical.dumps(name) not in payloads[seq]:
                raise StepFailed(f"mapping/{kind}.json: {name}: record {seq} does not speak of it")
    return "the index leads to records of this pack"


def _mapped(case: Case, name: str) -> Iterator[tuple[str, int]]:
    value = case.json(name)
    if not isinstance(value, dict):
        raise StepFailed(f"{name}: not an object")
    for key, seqs in value.items():
        if not isinstance(seqs, list) or any(type(seq) is not int for seq in seqs) or seqs != sorted(set(seqs)):
            raise StepFailed(f"{name}: {key}: not an ascending list of sequence numbers")
        for seq in seqs:
            yield key, seq


def _placed(case: Case) -> Iterator[tuple[int, Record]]:
    return zip(case.about.seqs, case.records, strict=True)
