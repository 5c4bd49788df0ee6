"""A selection of one tenant's records in, an evidence pack that proves itself offline out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Min, QuerySet

from countersign import ids
from countersign.proof import base64text, checkpoint, digests, dsse, merkle, pack_layout, pack_writer, statement
from countersign.proof.events import Event
from countersign.proof.keys import BadSignature, Verifier
from countersign.proof.pack_layout import DisclosedArguments, PackContents, PreviousCheckpoint
from evidence import journal, kept, keys, ledger, models, roles, seal, sink
from evidence.keys import Purpose
from evidence.ledger import Actor
from evidence.models import KeptArguments, Sealed
from evidence.tree import StoredNodes

_OLDER = 100  # checkpoints kept outside that a pack is proven to continue
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """What a pack is about: what is given must all hold. Nothing given means the whole log.

    An id brings in the whole threads of every record it finds, so that no step of a case can be left out. Times alone
    bring in all records from the first to the last of that time, without a gap.
    """

    transaction: str = ""
    session: str = ""
    request: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def by_id(self) -> Mapping[str, str]:
        """The ids that were given."""
        given = {"transaction": self.transaction, "session": self.session, "request": self.request}
        return {name: value for name, value in given.items() if value}

    @property
    def scope(self) -> dict[str, Any]:
        """In words for the pack and for the record of its export; `until` is exclusive."""
        times = {"from": self.since, "to": self.until}
        return {**self.by_id, **{name: journal.timestamp(at) for name, at in times.items() if at is not None}}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: how many records, under a head over how many."""

    event_id: str
    records: int
    size: int


class NothingSelected(LookupError):
    """No record fits the selection."""


class NotOurs(ValueError):
    """A checkpoint that the reader holds is not one that this log signed, or of another history."""


def export(
    tenant: str,
    out: Path,
    *,
    selection: Selection,
    policies: Mapping[str, bytes],
    actor: Actor,
    now: datetime,
    held: Sequence[str] = (),
    arguments: bool = True,
) -> Exported:
    """Write the pack to `out`, a directory or a .tar.gz, and record that it was made. Not inside of a transaction.

    `policies` are sources by their SHA-256 digest, of which those that the records name go in; `held` are signed
    checkpoints that a reader keeps, which the pack is to be held against; `arguments` says whether kept arguments go
    in. Raises NothingSelected, NotOurs, FileExistsError, seal.BrokenLog.
    """
    if out.exists():
        raise FileExistsError(f"{out} is already there")
    seal.seal_due(tenant)
    chosen = _choose(tenant, selection=selection, policies=policies, arguments=arguments)
    older = _opened(tenant, held)
    event_id = ids.new("exp")
    detail = {"scope": dict(chosen.scope), "records": len(chosen.rows), "size": chosen.size}
    with transaction.atomic():
        ledger.append(
            Event.EXPORT_MADE, tenant=tenant, thread=event_id, event_id=event_id, actor=actor, now=now, detail=detail
        )
    # The record of the export is in the tree before the pack is made. Sealed later, it would make the newest checkpoint
    # of a log at rest newer than the pack: as if records had been taken out of it.
    seal.seal_due(tenant)
    head = _head(tenant)
    pack_writer.write(out, _contents(tenant, chosen, head=head, older=older, now=now))
    return Exported(event_id=event_id, records=len(chosen.rows), size=head.size)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is to go into a pack, whichever tree head it will stand under. `size` is the log's when it was chosen."""

    size: int
    rows: Sequence[Sealed]
    arguments: tuple[DisclosedArguments, ...]
    policies: Mapping[str, bytes]
    scope: Mapping[str, Any]
    span: tuple[int, int] | None


def _choose(log: str, *, selection: Selection, policies: Mapping[str, bytes], arguments: bool) -> _Chosen:
    head = _head(log)
    rows = list(_places(log, head.size, selection).select_related("record").order_by("seq").iterator(_CHUNK))
    if not rows:
        raise NothingSelected(f"no record of log {log} fits {selection.scope}")
    bodies = [bytes(row.record.body) for row in rows]
    disclosed, left_out = _arguments(log, bodies) if arguments else ((), ())
    return _Chosen(
        size=head.size,
        rows=rows,
        arguments=disclosed,
        policies={digest: source for digest, source in policies.items() if _named(digest, source, bodies)},
        scope={**selection.scope, **({"arguments_unreadable": list(left_out)} if left_out else {})},
        span=None if selection.by_id else (rows[0].seq, rows[-1].seq),
    )


def _head(log: str) -> models.Checkpoint:
    """The newest checkpoint in the database, which must not be behind what was published before we looked."""
    outside = seal.published(log)
    head = models.Checkpoint.objects.filter(log=log).order_by("-size").first()
    if head is None and outside is None:
        raise NothingSelected(f"log {log} is empty")
    size = head.size if head else 0
    if head is None or (outside is not None and outside.size > size):
        published = outside.size if outside else 0
        raise seal.BrokenLog(f"log {log}: {published} records were published, {size} are in the database")
    return head


def _contents(
    log: str, chosen: _Chosen, *, head: models.Checkpoint, older: Mapping[int, str], now: datetime
) -> PackContents:
    nodes = StoredNodes(log)
    return PackContents(
        log=log,
        tenant=log,
        created_at=journal.timestamp(now),
        checkpoint=head.note,
        keys=tuple(keys.verifiers(Purpose.SEALER)),
        signer=keys.signer(Purpose.SEALER),
        records=tuple(_sealed(row, head.size, nodes) for row in chosen.rows),
        previous=_previous(older, head.size, nodes),
        arguments=chosen.arguments,
        policies=chosen.policies,
        mapping=_mapping(chosen.rows),
        scope=chosen.scope,
        span=chosen.span,
        protection=roles.status(connection),
    )


def _places(tenant: str, size: int, selection: Selection) -> QuerySet[Sealed]:
    """Sealed records below the head: whole threads of what an id finds, or one stretch of the log."""
    log = Sealed.objects.filter(log=tenant, seq__lt=size)
    found = log
    if selection.since is not None:
        found = found.filter(record__recorded_at__gte=selection.since)
    if selection.until is not None:
        found = found.filter(record__recorded_at__lt=selection.until)
    if selection.by_id:
        found = found.filter(**{f"record__{name}": value for name, value in selection.by_id.items()})
        return log.filter(record__thread__in=list(found.values_list("record__thread", flat=True).distinct()))
    ends = found.aggregate(first=Min("seq"), last=Max("seq"))
    return log.none() if ends["first"] is None else log.filter(seq__gte=ends["first"], seq__lte=ends["last"])


def envelope(row: Sealed) -> dict[str, Any]:
    """The DSSE envelope of a sealed record."""
    body, signature = bytes(row.record.body), bytes(row.signature)
    return {
        "payload": base64text.encode(body),
        "payloadType": dsse.IN_TOTO,
        "signatures": [{"keyid": _key_id(body, signature), "sig": base64text.encode(signature)}],
    }


def _key_id(body: bytes, signature: bytes) -> str:
    """Which of our keys it was is found by trying, if there was ever more than one. The id is only a hint."""
    current, *older = keys.verifiers(Purpose.SEALER)
    signed = dsse.pae(body, dsse.IN_TOTO)
    return next((key.key_id for key in older if _made(key, signature, signed)), current.key_id)


def _made(key: Verifier, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except BadSignature:
        return False
    return True


def _sealed(row: Sealed, size: int, nodes: merkle.Node) -> pack_layout.SealedRecord:
    path = tuple(merkle.inclusion_proof(row.seq, size, nodes))
    return pack_layout.SealedRecord(seq=row.seq, envelope=envelope(row), path=path)


def _opened(log: str, held: Sequence[str]) -> dict[int, str]:
    """Checkpoints kept outside, and those that the reader holds, by size. Raises NotOurs."""
    found: dict[int, str] = {}
    for note in (*sink.kept(log, newest=_OLDER), *held):
        try:
            head = checkpoint.open_checkpoint(note, verifiers=keys.verifiers(Purpose.SEALER))
        except ValueError as error:
            raise NotOurs(f"a checkpoint to be held against log {log} does not verify: {error}") from error
        if head.origin != log:
            raise NotOurs(f"a checkpoint to be held against log {log} is of log {head.origin}")
        found[head.size] = note
    return found


def _previous(older: Mapping[int, str], size: int, nodes: merkle.Node) -> tuple[PreviousCheckpoint, ...]:
    """Each proven to be a beginning of the head."""
    return tuple(
        PreviousCheckpoint(note, tuple(merkle.consistency_proof(old, size, nodes)))
        for old, note in sorted(older.items())
        if old < size
    )


def _arguments(log: str, bodies: Iterable[bytes]) -> tuple[tuple[DisclosedArguments, ...], tuple[str, ...]]:
    """What is kept of the actions that the records are committed to; and what does not fit its commitment any more."""
    committed = list({record.subject for record in map(statement.parse, bodies)})
    found: list[DisclosedArguments] = []
    left_out: list[str] = []
    for at in range(0, len(committed), _CHUNK):
        rows = KeptArguments.objects.filter(log=log, commitment__in=committed[at : at + _CHUNK])
        for commitment in rows.values_list("commitment", flat=True):
            entry = _disclosed(log, commitment)
            if entry is None:
                left_out.append(commitment)
            else:
                found.append(entry)
    return tuple(sorted(found, key=lambda entry: entry.commitment)), tuple(sorted(left_out))


def _disclosed(log: str, commitment: str) -> DisclosedArguments | None:
    try:
        entry = kept.read(log, commitment)
        if entry is None or digests.commitment(entry.salt, digests.action_digest(entry.action)) != commitment:
            return None
    except ValueError:  # a box changed by hand, or one whose content is none
        return None
    return DisclosedArguments(commitment, entry.action, entry.arguments, entry.salt)


def _named(digest: str, source: bytes, bodies: Sequence[bytes]) -> bool:
    """Whether this is the source of that digest and some record speaks of it."""
    return digests.sha256(source) == digest and any(digest.encode() in body for body in bodies)


def _mapping(rows: Iterable[Sealed]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Kind → id → places, by the columns that packs are selected by."""
    found: dict[str, dict[str, list[int]]] = {kind: {} for kind in pack_layout.MAPPINGS}
    for row in rows:
        for kind, index in found.items():
            if name := getattr(row.record, kind):
                index.setdefault(name, []).append(row.seq)
    return {kind: {name: tuple(seqs) for name, seqs in index.items()} for kind, index in found.items()}
