"""A log as the database has it, held against its own signatures and checkpoints and against those kept outside."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from countersign.proof import checkpoint, dsse, merkle, statement
from countersign.proof.checkpoint import Checkpoint
from countersign.proof.keys import BadSignature
from countersign.proof.merkle import Frontier
from evidence import horizon, keys, models, sink, tree
from evidence.keys import Purpose
from evidence.models import Node, Record, Sealed

_PROMISE = timedelta(seconds=10)
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was sealed."""

    log: str
    text: str


@dataclass(slots=True)
class _Walk:
    """The tree as it grows again, and the roots it must have on the way."""

    log: str
    expected: dict[int, list[tuple[str, bytes]]]
    nodes: dict[tuple[int, int], bytes]
    edge: Frontier = field(default_factory=Frontier)
    sound: int = 0  # the largest size whose root was right
    wrong: bool = False


def audit(log: str, *, now: datetime) -> Iterator[Finding]:
    """Everything that is wrong with a log; nothing if it is as it was sealed and published. Reads all of it.

    1. Each place has its record, whose bytes, columns, leaf and signature agree. 2. The tree over the leaves has the
    root that each checkpoint signed, in the database and outside of it, and the stored nodes. 3. Nothing that was
    published is missing. 4. Nothing waits unsealed for longer than receipts promise.
    """
    heads = yield from _heads(log)
    walk = _Walk(log, expected=_roots(heads), nodes=_nodes(log))
    rows = Sealed.objects.filter(log=log).order_by("seq")
    for row, record in _with_records(rows.iterator(_CHUNK)):
        yield from _missing(walk, row.seq)
        yield from _place(walk, row, record)
    yield from _after_the_end(walk, heads)
    yield from _waiting(log, now)


# --- 1. places


def _with_records(rows: Iterable[Sealed]) -> Iterator[tuple[Sealed, Record | None]]:
    """Each place with its record. No join: a place whose record was deleted must not vanish with it."""
    places = iter(rows)
    while chunk := list(islice(places, _CHUNK)):
        records = Record.objects.in_bulk([row.record_id for row in chunk])
        for row in chunk:
            yield row, records.get(row.record_id)


def _missing(walk: _Walk, seq: int) -> Iterator[Finding]:
    """A gap is named once; the tree above it cannot be rebuilt, so no root is compared any more."""
    if seq != walk.edge.size and not walk.wrong:
        walk.wrong = True
        last = "" if seq == walk.edge.size + 1 else f" to {seq - 1}"
        yield Finding(walk.log, f"record {walk.edge.size}{last} is missing from the tree")


def _place(walk: _Walk, row: Sealed, record: Record | None) -> Iterator[Finding]:
    leaf = bytes(row.leaf)
    problem = _problem(leaf, bytes(row.signature), record)
    if problem:
        yield Finding(walk.log, f"record {row.seq}: {problem}")
    if not walk.wrong:
        completed = walk.edge.append(leaf)[tree.BITS :: tree.BITS]
        yield from _compare(walk, completed)


def _problem(leaf: bytes, signature: bytes, record: Record | None) -> str | None:
    """What is wrong with one record, or None."""
    if record is None:
        return "it was deleted"
    body = bytes(record.body)
    name = f"{record.event_id}: "
    if merkle.leaf_hash(body) != leaf or bytes(record.leaf) != leaf:
        return name + "it is not the record that was sealed here"
    if not _signed(body, signature):
        return name + "its signature is by none of the sealer's keys"
    try:
        said = statement.parse(body)
    except statement.BadStatement as error:
        return name + f"it is no evidence record: {error}"
    columns = (record.log, record.event, record.event_id, record.thread, record.n)
    if columns != (said.log, said.event, said.event_id, said.thread.id, said.thread.n):
        return name + "its columns say something else than its bytes"
    return None


def _signed(body: bytes, signature: bytes) -> bool:
    signed = dsse.pae(body, dsse.IN_TOTO)
    for key in keys.verifiers(Purpose.SEALER):
        try:
            key.verify(signature, signed)
        except BadSignature:
            continue
        return True
    return False


# --- 2. the tree


def _heads(log: str) -> Generator[Finding, None, list[tuple[str, Checkpoint]]]:
    """Checkpoints by where they lie, each verified; what does not verify is a finding."""
    found: list[tuple[str, Checkpoint]] = []
    inside = models.Checkpoint.objects.filter(log=log).order_by("size").values_list("size", "root", "note")
    for size, root, note in inside.iterator(_CHUNK):
        head = _open(log, note)
        if head is None or (head.size, head.root) != (size, bytes(root)):
            yield Finding(log, f"the checkpoint of size {size} in the database is not one that was signed")
        else:
            found.append(("in the database", head))
    for note in sink.kept(log, newest=1_000_000):
        head = _open(log, note)
        if head is None:
            yield Finding(log, "a checkpoint outside of the database does not verify")
        else:
            found.append(("outside of the database", head))
    return found


def _open(log: str, note: str) -> Checkpoint | None:
    try:
        head = checkpoint.open_checkpoint(note, verifiers=keys.verifiers(Purpose.SEALER))
    except ValueError:
        return None
    return head if head.origin == log else None


def _roots(heads: list[tuple[str, Checkpoint]]) -> dict[int, list[tuple[str, bytes]]]:
    expected: dict[int, list[tuple[str, bytes]]] = {}
    for where, head in heads:
        expected.setdefault(head.size, []).append((where, head.root))
    return expected


def _nodes(log: str) -> dict[tuple[int, int], bytes]:
    """One in 256 records has one, so they fit in memory."""
    rows = Node.objects.filter(log=log).values_list("level", "index", "hash")
    return {(level, index): bytes(value) for level, index, value in rows.iterator(_CHUNK)}


def _compare(walk: _Walk, completed: list[tuple[int, int, bytes]]) -> Iterator[Finding]:
    """The first wrong root is named; every later one is wrong for the same reason."""
    for level, index, value in completed:
        if walk.nodes.get((level // tree.BITS, index)) != value:
            yield Finding(
                walk.log, f"stored node {index} of level {level // tree.BITS} is missing or not over its records"
            )
    for where, root in walk.expected.get(walk.edge.size, ()):
        if root != walk.edge.root() and not walk.wrong:
            walk.wrong = True
            yield Finding(
                walk.log,
                f"the first {walk.edge.size} records are not those under the checkpoint {where}: one from"
                f" {walk.sound} to {walk.edge.size - 1} was moved or replaced",
            )
    if not walk.wrong and walk.edge.size in walk.expected:
        walk.sound = walk.edge.size


# --- 3. and 4. what is not there


def _after_the_end(walk: _Walk, heads: list[tuple[str, Checkpoint]]) -> Iterator[Finding]:
    top = Sealed.objects.filter(log=walk.log).order_by("-seq").values_list("seq", flat=True).first()
    size = 0 if top is None else top + 1
    for where in ("in the database", "outside of the database"):
        largest = max((head.size for place, head in heads if place == where), default=0)
        if largest > size:
            last = "" if largest == size + 1 else f" to {largest - 1}"
            yield Finding(
                walk.log,
                f"record {size}{last} is missing: the checkpoint {where} counts {largest}, the database has {size}",
            )
    if size and max((head.size for place, head in heads if place == "in the database"), default=0) < size:
        yield Finding(walk.log, f"there is no checkpoint over all {size} records in the database")


def _waiting(log: str, now: datetime) -> Iterator[Finding]:
    ids = horizon.unsealed_of(log)
    overdue = Record.objects.filter(pk__in=ids[:_CHUNK], recorded_at__lt=now - _PROMISE).order_by("id").first()
    if overdue is not None:
        yield Finding(log, f"{overdue.event_id}: it waits unsealed since {overdue.recorded_at:%Y-%m-%d %H:%M:%S}")
