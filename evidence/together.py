"""Facts of many threads in, their records out: heads looked up at once, one INSERT, in the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from countersign import ids
from countersign.proof.events import Event
from evidence import journal, ledger
from evidence.ledger import Actor, NoTransaction

_HEADS = (
    "SELECT asked.log, asked.thread, head.n, head.leaf"
    " FROM unnest(%s::text[], %s::text[]) AS asked(log, thread) CROSS JOIN LATERAL"
    " (SELECT n, leaf FROM evidence_record AS one WHERE one.log = asked.log AND one.thread = asked.thread"
    " ORDER BY n DESC LIMIT 1) AS head"
)
Head = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of a thread; the members are those of `ledger.append`."""

    event: Event
    tenant: str
    thread: str
    actor: Actor
    commitment: str | None
    session: str
    transaction: str
    request: str
    members: Mapping[str, Any]


def append(facts: Sequence[Fact], *, now: datetime) -> None:
    """Record each at the end of its thread, no two of one thread. Raises NoTransaction.

    As with `ledger.append`, the caller holds the lock of what each thread is about.
    """
    if not connection.in_atomic_block:
        raise NoTransaction("facts must be recorded inside the transaction of what they record")
    with connection.cursor() as cursor:
        heads = _heads(cursor, facts)
        entries = [_entry(one, heads.get((one.tenant, one.thread)), now=now) for one in facts]
        journal.insert_many(cursor, entries)


def _entry(fact: Fact, head: Head | None, *, now: datetime) -> journal.Entry:
    return journal.entry(
        fact.event, event_id=ids.new("rec"), tenant=fact.tenant, thread=fact.thread, n=head[0] + 1 if head else 0,
        prev_leaf=head[1] if head else None, recorded_at=now, actor=fact.actor.member, commitment=fact.commitment,
        members=fact.members, session=fact.session, transaction=fact.transaction, request=fact.request,
    )  # fmt: skip


def _heads(cursor: CursorWrapper, facts: Sequence[Fact]) -> dict[tuple[str, str], Head]:
    """Number and leaf of the last record of each thread that has one."""
    if connection.vendor != "postgresql":
        found = {(one.tenant, one.thread): ledger.thread_head(cursor, one.tenant, one.thread) for one in facts}
        return {place: head for place, head in found.items() if head is not None}
    cursor.execute(_HEADS, [[one.tenant for one in facts], [one.thread for one in facts]])
    return {(log, thread): (n, bytes(leaf)) for log, thread, n, leaf in cursor.fetchall()}
