"""Entries in, one statement out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from countersign.proof import merkle, statement
from countersign.proof.events import Event
from evidence import journal
from evidence.models import Record
from tests.evidence.shared import NOW, a_decision, a_log, decisions


class TestEntry:
    def test_refuses_a_member_that_no_record_has(self) -> None:
        with pytest.raises(statement.BadStatement, match="arguments"):
            journal.entry(
                Event.DECISION_MADE, event_id="eva_1", tenant="t", thread="eva_1", n=0, prev_leaf=None, recorded_at=NOW,
                actor={}, commitment="sha256:" + "0" * 64, members={"arguments": {"card": "4111"}},
            )  # fmt: skip

    def test_is_a_record_that_reads_back(self) -> None:
        entry = a_decision("acme", thread="arq_1", n=3, prev_leaf=b"p" * 32, request="arq_1")
        record = statement.parse(entry.body)
        assert record.thread == statement.Thread("arq_1", 3, "sha256:" + (b"p" * 32).hex())
        assert record.recorded_at == "2026-11-20T10:00:00.123Z"
        assert record.predicate["request"] == {"id": "arq_1"}
        assert entry.leaf == merkle.leaf_hash(entry.body)


class TestTimestamp:
    def test_is_utc_wherever_the_moment_came_from(self) -> None:
        tokyo = timezone(timedelta(hours=9))
        assert journal.timestamp(datetime(2026, 1, 1, 8, 0, tzinfo=tokyo)) == "2025-12-31T23:00:00.000Z"
        assert journal.timestamp(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


class TestInsertMany:
    def test_refuses_an_event_id_twice_with_djangos_error(self) -> None:
        (entry,) = decisions(a_log(), 1)
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            journal.insert_many(cursor, [entry])

    def test_refuses_a_fork_of_a_thread(self) -> None:
        log = a_log()
        decisions(log, 1, thread="case")
        with pytest.raises(IntegrityError):
            decisions(log, 1, thread="case")

    def test_asks_nothing_for_no_entries(self) -> None:
        with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
            journal.insert_many(cursor, [])
        assert len(queries) == 0

    @pytest.mark.parametrize("count", [1, 300])
    def test_writes_every_column_as_it_was(self, count: int) -> None:
        log = a_log()
        entries = [
            a_decision(log, session=f"s-{i}\\,{{'\"", transaction="case ü 漢", request="arq_1") for i in range(count)
        ]
        with transaction.atomic(), connection.cursor() as cursor:
            journal.insert_many(cursor, entries)
        fields = journal.Entry._fields
        rows = Record.objects.filter(log=log).order_by("id").values_list(*fields)
        assert [journal.Entry(*row[:9], bytes(row[9]), bytes(row[10])) for row in rows] == entries
