"""What the sealer asks several times a second reads the rows it names, not the log."""

import psycopg
import pytest
from django.db import connection, transaction

from evidence import horizon, seal
from evidence.by_key import by_key
from evidence.models import Record
from tests.evidence.shared import a_log, decisions


def plan_of(sql: str, parameters: object) -> str:
    with psycopg.Cursor(connection.connection) as cursor:
        return "\n".join(row[0] for row in cursor.execute("EXPLAIN " + sql, parameters).fetchall())


@pytest.mark.postgres
class TestByKey:
    def test_finds_what_is_to_be_sealed_without_reading_the_log(self) -> None:
        log = a_log()
        decisions(log, 5)
        rows = horizon.unsealed_of(log)
        with transaction.atomic(), by_key():
            plan = plan_of(seal._DUE, [rows, log, min(rows), max(rows)])
        assert "evidence_record_pkey" in plan
        assert "evidence_sealed_pkey" in plan
        assert "Seq Scan" not in plan
        assert "record_thread_has_no_fork" not in plan

    def test_finds_what_is_due_without_reading_the_journal(self) -> None:
        decisions(a_log(), 5)
        low = Record.objects.order_by("-id").values_list("id", flat=True)[3]
        with by_key():
            plan = horizon._unsealed(low).values_list("id", "log")[:1000].explain()
        assert "evidence_record_pkey" in plan
        assert "evidence_sealed_pkey" in plan
        assert "Seq Scan" not in plan

    def test_leaves_the_connection_as_it_was(self) -> None:
        with by_key():
            pass
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_seqscan")
            assert cursor.fetchone() == ("on",)
