"""A tenant of one's own, and records in it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.db import connection, transaction

from countersign import ids
from countersign.proof.events import Event
from evidence import journal, ledger
from evidence.journal import Entry
from evidence.ledger import Actor, Written

NOW = datetime(2026, 11, 20, 10, 0, 0, 123_000, tzinfo=UTC)
ERIN = Actor("person", "erin", {"acr": "urn:test:totp"})
COMMITMENT = "sha256:" + "c" * 64


def a_log() -> str:
    return f"t{uuid4().hex[:12]}"


def a_decision(log: str, *, thread: str = "", n: int = 0, prev_leaf: bytes | None = None, **more: Any) -> Entry:
    event_id = ids.new("eva")
    return journal.entry(
        Event.DECISION_MADE,
        event_id=event_id,
        tenant=log,
        thread=thread or event_id,
        n=n,
        prev_leaf=prev_leaf,
        recorded_at=NOW,
        actor={"type": "pep", "id": "gateway", "auth": {}},
        commitment=COMMITMENT,
        members={"decision": {"outcome": "allow"}},
        **more,
    )


def decisions(log: str, count: int, **more: Any) -> list[Entry]:
    """`count` decisions, committed."""
    entries = [a_decision(log, **more) for _ in range(count)]
    with transaction.atomic(), connection.cursor() as cursor:
        journal.insert_many(cursor, entries)
    return entries


def append(log: str, thread: str, *, detail: Mapping[str, Any] | None = None, **more: Any) -> Written:
    with transaction.atomic():
        return ledger.append(
            Event.REGISTRY_CHANGED, tenant=log, thread=thread, actor=ERIN, now=NOW, detail=detail or {"k": 1}, **more
        )
