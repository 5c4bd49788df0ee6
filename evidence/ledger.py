"""One event in, one record of it in the caller's transaction out; and records read back, one or a page of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from countersign import ids
from countersign.proof import canonical
from countersign.proof.events import Event
from evidence import journal
from evidence.models import Record, Sealed

_NOTHING: Mapping[str, Any] = MappingProxyType({})
ALERTS = "alerts"
"""The one thread of all alerts of a tenant, so that the latest are found without looking through its log."""

_UNLOCKED = ("registry:", ALERTS)  # threads of what has no row that could be locked
_LOCK_REGISTRY = 0x5245  # first half of the advisory lock's key; the second is the log
_HEAD = "SELECT n, leaf FROM evidence_record WHERE log = %s AND thread = %s ORDER BY n DESC LIMIT 1"


class NoTransaction(RuntimeError):
    """A record was to be written outside of the transaction of the change it records."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it. `type` is person, agent, pep, verifier, system or command; `auth` says how we know (acr, amr, …)."""

    type: str
    id: str
    auth: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    @property
    def member(self) -> dict[str, Any]:
        """As a record carries it."""
        return {"type": self.type, "id": self.id, "auth": dict(self.auth)}


@dataclass(frozen=True, slots=True)
class Written:
    """What the caller may need of the record it caused."""

    event_id: str
    leaf: bytes
    n: int


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record with its place in the log; `statement` is the parsed in-toto statement."""

    seq: int
    event_id: str
    event: Event
    thread: str
    n: int
    recorded_at: datetime
    statement: Mapping[str, Any]


def append(
    event: Event,
    *,
    tenant: str,
    thread: str,
    actor: Actor,
    now: datetime,
    commitment: str | None = None,
    event_id: str | None = None,
    session: str = "",
    transaction: str = "",
    request: str = "",
    request_member: Mapping[str, Any] | None = None,
    **members: Mapping[str, Any],
) -> Written:
    """Record `event` at the end of its thread, inside the caller's transaction. Raises NoTransaction outside of one.

    Two writers of one thread stand behind the lock of what the thread is about (a request's row), which the caller
    holds. A registry object has none, nor has an alert, so a tenant's are written one at a time. A fork is
    impossible either way: it would break `record_thread_has_no_fork` and roll the caller back. `members` are the
    predicate's own; its `request` is made of the id and of what `request_member` adds.
    """
    if not connection.in_atomic_block:
        raise NoTransaction(f"{event} must be recorded inside the transaction of what it records")
    if request:
        members["request"] = {"id": request, **(request_member or _NOTHING)}
    with connection.cursor() as cursor:
        if thread.startswith(_UNLOCKED):
            _one_at_a_time(cursor, tenant)
        head = thread_head(cursor, tenant, thread)
        n, prev_leaf = (head[0] + 1, head[1]) if head else (0, None)
        entry = journal.entry(
            event,
            event_id=event_id or ids.new("rec"),
            tenant=tenant,
            thread=thread,
            n=n,
            prev_leaf=prev_leaf,
            recorded_at=now,
            actor=actor.member,
            commitment=commitment,
            members=members,
            session=session,
            transaction=transaction,
            request=request,
        )
        journal.insert_many(cursor, [entry])
    return Written(event_id=entry.event_id, leaf=entry.leaf, n=n)


def thread_head(cursor: CursorWrapper, log: str, thread: str) -> tuple[int, bytes] | None:
    """Number and leaf of the last record of a thread, or None if there is none yet."""
    cursor.execute(_HEAD, [log, thread])
    row = cursor.fetchone()
    return (row[0], bytes(row[1])) if row else None


def find(log: str, event_id: str) -> dict[str, Any] | None:
    """The parsed statement of one record, sealed or not, or None."""
    body = Record.objects.filter(log=log, event_id=event_id).values_list("body", flat=True).first()
    return None if body is None else canonical.loads_object(bytes(body))


def recent(log: str, *, event: Event, before_seq: int | None, limit: int) -> list[SealedRecord]:
    """The newest sealed records of one event, newest first; the last one's `seq` is the next page's `before_seq`."""
    rows = Sealed.objects.filter(log=log, record__event=event.value).order_by("-seq")
    if before_seq is not None:
        rows = rows.filter(seq__lt=before_seq)
    return [_sealed(row) for row in rows.select_related("record")[:limit]]


def history(
    log: str, thread: str, *, limit: int | None, events: Collection[Event] | None = None
) -> Sequence[Mapping[str, Any]]:
    """The statements of one thread, sealed or not, newest first; those of some events alone if they are named.

    Without a `limit` it reads all there are: only for events of which a thread has few.
    """
    records = Record.objects.filter(log=log, thread=thread)
    if events is not None:
        records = records.filter(event__in=[event.value for event in events])
    bodies = records.order_by("-n").values_list("body", flat=True)[:limit]
    return [canonical.loads_object(bytes(body)) for body in bodies]


def _one_at_a_time(cursor: CursorWrapper, log: str) -> None:
    """One lock a tenant, not one a thread: a blueprint of 10,000 objects must not fill the lock table.

    SQLite has one writer anyway.
    """
    if cursor.db.vendor == "postgresql":
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_REGISTRY, log])


def _sealed(row: Sealed) -> SealedRecord:
    record = row.record
    return SealedRecord(
        seq=row.seq,
        event_id=record.event_id,
        event=Event(record.event),
        thread=record.thread,
        n=record.n,
        recorded_at=record.recorded_at,
        statement=canonical.loads_object(bytes(record.body)),
    )
