"""Journalled records of one log in; their places in its tree, signatures and a signed tree head out, all or nothing."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from countersign.proof import checkpoint, dsse, merkle
from countersign.proof.checkpoint import Checkpoint
from countersign.proof.merkle import Frontier
from evidence import clock, horizon, keys, models, sink, tree
from evidence.bulk import Inserter
from evidence.by_key import by_key
from evidence.keys import Purpose
from evidence.models import Record, Sealed

BATCH = 2_000
"""Records under one checkpoint: some 60 ms of signing."""

_SLICE = 32  # records signed before whoever seals may rest

_LOCK_SEALER = 0x5345  # first half of the advisory lock's key; the second is the log

_log = logging.getLogger(__name__)
_one_here = threading.Lock()
_trees: dict[str, Frontier] = {}  # right edges as of our last commit; checked against the database before each use

_SEALED = Inserter("evidence_sealed", record_id="bigint", log="text", seq="bigint", leaf="bytea", signature="bytea")
_NODES = Inserter("evidence_node", log="text", level="int", index="bigint", hash="bytea")
_CHECKPOINTS = Inserter(
    "evidence_checkpoint", log="text", size="bigint", root="bytea", note="text", made_at="timestamptz"
)


class BrokenLog(RuntimeError):
    """The database contradicts what was journalled, sealed or published: rows were changed. Nothing goes on top."""


@dataclass(frozen=True, slots=True)
class _Growth:
    """What one sealing adds."""

    edge: Frontier
    sealed: Sequence[tuple[int, str, int, bytes, bytes]]
    nodes: Sequence[tuple[str, int, int, bytes]]
    checkpoint: tuple[str, int, bytes, str, datetime]


def seal_due(log: str) -> int:
    """Seal everything of `log` that is journalled now, whoever does it. How many records this call sealed."""
    count = 0
    while rows := horizon.unsealed_of(log):
        for at in range(0, len(rows), BATCH):
            count += seal(log, rows[at : at + BATCH], wait=True) or 0
    return count


def _hurry() -> None:
    """Who only wants it done does not rest."""


def seal(log: str, rows: Sequence[int], *, wait: bool = False, rest: Callable[[], None] = _hurry) -> int | None:
    """Seal those of `rows` (ids of journalled records of `log`, ascending) that are not sealed yet.

    How many those were; None if another sealer is at work, unless told to wait for it. `rest` is called between a few
    signatures and the next. Not inside of a transaction, because what it publishes is committed. Raises BrokenLog.
    """
    with _alone(log, wait=wait) as alone:
        if not alone:
            return None
        growth = _grow(log, rows, now=clock.now(), rest=rest)
        if growth is None:
            return 0
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                _write(cursor, growth)
        except IntegrityError:  # on SQLite another process was faster; the database refused the fork
            _trees.pop(log, None)
            return None
    _publish(log, growth)
    return len(growth.sealed)


@contextmanager
def _alone(log: str, *, wait: bool) -> Iterator[bool]:
    """Whether this is the log's one sealer until the block ends.

    On PostgreSQL the block is one transaction under an advisory lock. On SQLite a transaction would stop all writers
    while we sign: there a lock of this process and `sealed_seq_is_unique` do.
    """
    if connection.vendor != "postgresql":
        with _one_here:
            yield True
        return
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        lock = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
        cursor.execute(f"SELECT {lock}(%s, hashtext(%s))", [_LOCK_SEALER, log])
        yield wait or cursor.fetchone()[0]


def _grow(log: str, rows: Sequence[int], *, now: datetime, rest: Callable[[], None]) -> _Growth | None:
    """The new leaves, signed, the nodes they complete and the head above them."""
    due = _due(log, rows)
    if not due:
        return None
    edge = Frontier.from_bytes(_edge(log).to_bytes())
    sign = keys.signer(Purpose.SEALER).sign
    sealed, nodes = [], []
    for at, (record, event_id, payload, hash_) in enumerate(due, start=1):
        if merkle.leaf_hash(payload) != hash_:
            raise BrokenLog(f"log {log}: record {event_id} is not the one that was journalled")
        sealed.append((record, log, edge.size, hash_, sign(dsse.pae(payload, dsse.IN_TOTO))))
        for level, index, value in edge.append(hash_)[tree.BITS :: tree.BITS]:
            nodes.append((log, level // tree.BITS, index, value))
        if not at % _SLICE:
            rest()
    head = Checkpoint(origin=log, size=edge.size, root=edge.root())
    note = checkpoint.sign(head, signers=[keys.signer(Purpose.SEALER)])
    return _Growth(edge=edge, sealed=sealed, nodes=nodes, checkpoint=(log, head.size, head.root, note, now))


_DUE = (
    "SELECT record.id, record.event_id, record.body, record.leaf FROM evidence_record AS record"
    " WHERE record.id = ANY(%b::bigint[]) AND record.log || '' = %b"  # an expression: the index by log is of no use
    " AND NOT EXISTS (SELECT FROM evidence_sealed WHERE record_id = record.id AND record_id BETWEEN %b AND %b)"
    " ORDER BY record.id"
)


def _due(log: str, rows: Sequence[int]) -> list[tuple[int, str, bytes, bytes]]:
    """Those of `rows` that are not sealed yet: id, event id, body, leaf."""
    if not rows:
        return []
    if connection.vendor != "postgresql":
        missing = Record.objects.filter(id__in=rows, log=log, sealed__record_id__isnull=True).order_by("id")
        found = missing.values_list("id", "event_id", "body", "leaf")
        return [(row, name, bytes(body), bytes(leaf)) for row, name, body, leaf in found]
    with by_key(), connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(_DUE, [list(rows), log, min(rows), max(rows)], binary=True)
        return cursor.fetchall()


def _write(cursor: CursorWrapper, growth: _Growth) -> None:
    _SEALED.insert(cursor, growth.sealed)
    _NODES.insert(cursor, growth.nodes)
    _CHECKPOINTS.insert(cursor, [growth.checkpoint])


def _publish(log: str, growth: _Growth) -> None:
    """After the commit. What does not reach the sink now does so with the next checkpoint, or by `publish_missing`."""
    _trees[log] = growth.edge
    _, _, _, note, made_at = growth.checkpoint
    _bring_out(log, note, made_at)


def _bring_out(log: str, note: str, made_at: datetime) -> None:
    try:
        sink.write(log, note, made_at=made_at)
    except (OSError, sink.Contradiction):
        _log.exception("the checkpoint of log %s did not reach the sink outside the database", log)


def publish_missing() -> None:
    """Bring the sink up to the newest checkpoint of every log, as after a crash between commit and sink."""
    log = ""
    while newest := models.Checkpoint.objects.filter(log__gt=log).order_by("log", "-size").first():
        log = newest.log  # one step a log: DISTINCT would read every checkpoint there ever was
        _bring_out(log, newest.note, newest.made_at)


# --- what we grow from


def _edge(log: str) -> Frontier:
    """The tree's right edge at the size the database has, from memory if nobody else has grown it."""
    newest = Sealed.objects.filter(log=log).order_by("-seq").values_list("seq", flat=True).first()
    size = 0 if newest is None else newest + 1
    known = _trees.get(log)
    return known if known is not None and known.size == size else _verified_edge(log, size)


def _verified_edge(log: str, size: int) -> Frontier:
    """The edge rebuilt from stored nodes, held against the newest checkpoint inside and outside of the database.

    Growing from anything else would sign a second, different tree: the one thing a log must never do.
    """
    try:
        edge = tree.frontier(log, size)
        inside = models.Checkpoint.objects.filter(log=log).order_by("-size").first()
        if (inside.size if inside else 0) != size or (inside is not None and bytes(inside.root) != edge.root()):
            raise BrokenLog(f"log {log}: the newest checkpoint is not that of the {size} sealed records")
        outside = published(log)
        if outside is not None and outside.size > size:
            raise BrokenLog(f"log {log}: {outside.size} records were published, {size} are in the database")
        if outside is not None and tree.frontier(log, outside.size).root() != outside.root:
            raise BrokenLog(f"log {log}: the first {outside.size} records are not those that were published")
    except tree.MissingNode as error:
        raise BrokenLog(str(error)) from error
    return edge


def published(log: str) -> Checkpoint | None:
    """The newest head of `log` in the sink. Raises BrokenLog if it is there and not by our key, or cannot be read."""
    try:
        note = sink.latest(log)
    except OSError as error:
        raise BrokenLog(f"log {log}: the newest checkpoint outside of the database cannot be read: {error}") from error
    if note is None:
        return None
    try:
        head = checkpoint.open_checkpoint(note, verifiers=keys.verifiers(Purpose.SEALER))
    except ValueError as error:
        raise BrokenLog(f"log {log}: the newest checkpoint outside of the database does not verify: {error}") from error
    if head.origin != log:
        raise BrokenLog(f"log {log}: the newest checkpoint outside of the database is of log {head.origin}")
    return head
