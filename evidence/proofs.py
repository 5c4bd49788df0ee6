"""A record's or checkpoint's place in, proof texts for auditors out."""

from collections.abc import Mapping
from typing import Any

from countersign.proof import base64text, merkle
from countersign.proof.tlog_proof import TlogProof
from evidence.models import Checkpoint, Sealed
from evidence.tree import StoredNodes


class NotThere(LookupError):
    """No such record or checkpoint in this log, or the record is not below that checkpoint."""


def checkpoint(log: str, size: int | None = None) -> Checkpoint:
    """The signed head of that size, or the newest. Raises NotThere."""
    heads = Checkpoint.objects.filter(log=log)
    found = heads.order_by("-size").first() if size is None else heads.filter(size=size).first()
    if found is None:
        raise NotThere("This log has no checkpoint yet." if size is None else f"There is no checkpoint of size {size}.")
    return found


def inclusion(log: str, event_id: str, size: int | None = None) -> str:
    """The C2SP `.tlog-proof` of one record below that checkpoint, or the newest. Raises NotThere."""
    head = checkpoint(log, size)
    seq = Sealed.objects.filter(log=log, record__event_id=event_id).values_list("seq", flat=True).first()
    if seq is None or seq >= head.size:
        raise NotThere(f"The first {head.size} records hold no {event_id}.")
    path = merkle.inclusion_proof(seq, head.size, StoredNodes(log))
    return TlogProof(index=seq, path=tuple(path), checkpoint=head.note).text


def consistency(log: str, old: int, new: int | None = None) -> Mapping[str, Any]:
    """That the tree of `old` records is the beginning of the one of `new`, or the newest. Raises NotThere."""
    first, last = checkpoint(log, old), checkpoint(log, new)
    if first.size > last.size:
        raise NotThere(f"A tree of {first.size} records is not the beginning of one of {last.size}.")
    path = merkle.consistency_proof(first.size, last.size, StoredNodes(log))
    return {
        "from": first.note,
        "to": last.note,
        "path": [base64text.encode(node) for node in path],
    }
