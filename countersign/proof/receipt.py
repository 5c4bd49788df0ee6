"""Receipts: a batch of answers in, one signature and a promise of inclusion for each out, and their verification."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from countersign.proof import base64text, canonical, digests, keys, merkle
from countersign.proof.keys import Signer, Verifier

_ANSWER = b"countersign/answer/v1\n"
_DOMAIN = b"countersign/receipt/v1\n"
_MEMBERS = {"log", "leaf", "answer_digest", "batch_root", "path", "promised_by", "key_id", "signature"}
_LEVELS = 32


class BadReceipt(ValueError):
    """A receipt that promises nothing. Its subclasses say why."""


class MalformedReceipt(BadReceipt):
    """Members missing, superfluous or of the wrong type."""


class OtherAnswer(BadReceipt):
    """It promises something about another answer than this one."""


class NotInBatch(BadReceipt):
    """Its path does not lead to the batch root that was signed."""


class UnknownKey(BadReceipt):
    """No known key has its key id."""


class BadReceiptSignature(BadReceipt):
    """The key it names did not sign its batch root."""


class Entry(NamedTuple):
    """One answer of a batch: the log and leaf hash of its record, and the digest of the answer without receipt."""

    log: str
    leaf: bytes
    answer_digest: str


def answer_digest(answer_without_receipt: Mapping[str, Any]) -> str:
    """What a receipt says was answered."""
    return "sha256:" + sha256(_ANSWER + canonical.dumps(answer_without_receipt)).hexdigest()


def without_receipt(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as it was before `context.receipt` was put in."""
    context = {name: value for name, value in answer.get("context", {}).items() if name != "receipt"}
    return {**answer, "context": context}


def promise(entries: Sequence[Entry], *, promised_by: str, signer: Signer) -> list[dict[str, Any]]:
    """A receipt for each entry, in order, all under one Ed25519 signature over the batch's Merkle root."""
    return [canonical.loads_object(receipt) for receipt in written(entries, promised_by=promised_by, signer=signer)]


def written(entries: Sequence[Entry], *, promised_by: str, signer: Signer) -> list[bytes]:
    """The receipts of `promise` in their RFC 8785 form."""
    if not entries:
        return []
    by = canonical.dumps(promised_by)
    logs = {log: canonical.dumps(log) for log in {entry.log for entry in entries}}
    leaves = [digests.text(entry.leaf)[7:].encode() for entry in entries]
    answers = [digests.check(entry.answer_digest).encode() for entry in entries]
    ends = [b'","log":%b,"promised_by":%b}' % (logs[entry.log], by) for entry in entries]
    hashes = [
        sha256(b'\x00{"answer_digest":"%b","leaf":"sha256:%b%b' % (answer, leaf, end)).digest()
        for answer, leaf, end in zip(answers, leaves, ends, strict=True)
    ]
    head, paths = _paths(hashes)
    signature = base64text.encode(signer.sign(_DOMAIN + head)).encode()
    batch = b'","batch_root":"%b","key_id":"%b","leaf":"sha256:' % (digests.text(head).encode(), signer.key_id.encode())
    tail = b'],"promised_by":%b,"signature":"%b"}' % (by, signature)
    return [
        b'{"answer_digest":"%b%b%b","log":%b,"path":[%b%b'
        % (answer, batch, leaf, logs[entry.log], b",".join(path), tail)
        for entry, answer, leaf, path in zip(entries, answers, leaves, paths, strict=True)
    ]


def _paths(hashes: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]:
    """The RFC 6962 root over `hashes` and the sided path of each, level by level, its steps written as JSON.

    Pairing neighbours and letting a lone last node rise unchanged builds the very tree of RFC 6962.
    """
    paths: list[list[bytes]] = [[] for _ in hashes]
    level, span = list(hashes), 1
    while len(level) > 1:
        above = []
        for at in range(0, len(level) - 1, 2):
            left, right = level[at], level[at + 1]
            above.append(merkle.node_hash(left, right))
            first = at * span
            middle = first + span
            step = b'"right:%b"' % right.hex().encode()
            for path in paths[first:middle]:
                path.append(step)
            step = b'"left:%b"' % left.hex().encode()
            for path in paths[middle : middle + span]:
                path.append(step)
        if len(level) & 1:
            above.append(level[-1])
        level, span = above, span * 2
    return level[0], paths


def verify(receipt: Mapping[str, Any], *, answer: Mapping[str, Any], verifiers: Iterable[Verifier]) -> None:
    """Return if `receipt` promises the inclusion of a record for `answer` (without receipt), else raise BadReceipt."""
    # 1. Exactly the members of a receipt.
    _check_shape(receipt)
    # 2. About this answer.
    if receipt["answer_digest"] != answer_digest(answer):
        raise OtherAnswer("the receipt is about another answer")
    # 3. Below the batch root.
    head = merkle.leaf_hash(
        canonical.dumps({name: receipt[name] for name in ("answer_digest", "leaf", "log", "promised_by")})
    )
    for step in receipt["path"]:
        head = _climb(head, step)
    if digests.text(head) != receipt["batch_root"]:
        raise NotInBatch("the receipt's path leads to another batch root")
    # 4. Signed by the key it names.
    _verify_signature(receipt, head, keys.by_key_id(verifiers))


def _check_shape(receipt: Any) -> None:
    if not isinstance(receipt, Mapping) or set(receipt) != _MEMBERS:
        raise MalformedReceipt("the members are not those of a receipt")
    if not all(isinstance(receipt[name], str) for name in _MEMBERS - {"path"}):
        raise MalformedReceipt("the members of a receipt are strings, path aside")
    path = receipt["path"]
    if not isinstance(path, list) or len(path) > _LEVELS or not all(isinstance(step, str) for step in path):
        raise MalformedReceipt("the path of a receipt is a short list of strings")
    try:
        for name in ("leaf", "answer_digest", "batch_root"):
            digests.check(receipt[name])
    except digests.NotADigest as error:
        raise MalformedReceipt(str(error)) from error


def _climb(node: bytes, step: str) -> bytes:
    side, _, hex_ = step.partition(":")
    try:
        sibling = digests.raw(f"sha256:{hex_}")
    except digests.NotADigest as error:
        raise MalformedReceipt("a step of the path is not a side and a hash") from error
    if side == "left":
        return merkle.node_hash(sibling, node)
    if side == "right":
        return merkle.node_hash(node, sibling)
    raise MalformedReceipt("a step of the path is on no side")


def _verify_signature(receipt: Mapping[str, Any], head: bytes, known: Mapping[str, Sequence[Verifier]]) -> None:
    try:
        signature = base64text.decode(receipt["signature"])
    except base64text.BadBase64 as error:
        raise MalformedReceipt("the signature is not canonical base64") from error
    candidates = known.get(receipt["key_id"], ())
    if not candidates:
        raise UnknownKey("no known key has the receipt's key id")
    for verifier in candidates:
        try:
            verifier.verify(signature, _DOMAIN + head)
        except keys.BadSignature:
            continue
        return
    raise BadReceiptSignature("the key that the receipt names did not sign its batch root")
