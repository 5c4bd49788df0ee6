"""Events in, journal entries out; many entries in, one INSERT out, in the transaction of what they record."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from countersign.proof import digests, merkle, statement
from countersign.proof.events import Event
from evidence.bulk import Inserter


class Entry(NamedTuple):
    """One record before it is a row; its fields are the columns, in order. A tuple: thousands are made a second."""

    log: str
    event: str
    event_id: str
    thread: str
    n: int
    session: str
    transaction: str
    request: str
    recorded_at: datetime
    body: bytes
    leaf: bytes


RECORDS = Inserter(
    "evidence_record",
    log="text",
    event="text",
    event_id="text",
    thread="text",
    n="int",
    session="text",
    transaction="text",
    request="text",
    recorded_at="timestamptz",
    body="bytea",
    leaf="bytea",
)


def entry(
    event: Event,
    *,
    event_id: str,
    tenant: str,
    thread: str,
    n: int,
    prev_leaf: bytes | None,
    recorded_at: datetime,
    actor: Mapping[str, Any],
    commitment: str | None,
    members: Mapping[str, Any],
    session: str = "",
    transaction: str = "",
    request: str = "",
) -> Entry:
    """The record of one event as number `n` of its thread; pure. Raises BadStatement on members that no record has.

    `commitment` is that of the action the event is about; an event about none has a `detail` among its `members`.
    A record that belongs to a request names it, whether or not `members` say more about it.
    """
    place = (
        {"id": thread, "n": n} if prev_leaf is None else {"id": thread, "n": n, "prev_leaf": digests.text(prev_leaf)}
    )
    name = event.value
    predicate = {
        "v": statement.VERSION,
        "log": tenant,
        "event": name,
        "event_id": event_id,
        "tenant": tenant,
        "recorded_at": timestamp(recorded_at),
        "thread": place,
        "actor": actor,
        **members,
    }
    if request and "request" not in members:
        predicate["request"] = {"id": request}
    body = statement.build(event=event, commitment=commitment, predicate=predicate)
    leaf = merkle.leaf_hash(body)
    return Entry(tenant, name, event_id, thread, n, session, transaction, request, recorded_at, body, leaf)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as records carry it."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def insert_many(cursor: CursorWrapper, entries: Sequence[Entry]) -> None:
    """Write entries in the caller's transaction: one INSERT on PostgreSQL, as few as its variables allow on SQLite."""
    RECORDS.insert(cursor, entries)
