"""Evidence rows are inserted and never touched again."""

import pytest
from django.db import DatabaseError, connection, transaction

from evidence import seal
from evidence.models import Checkpoint, Node, Record, Sealed
from tests.evidence.shared import a_log, decisions

MODELS = [Record, Sealed, Node, Checkpoint]


@pytest.fixture
def log() -> str:
    name = a_log()
    decisions(name, 257)
    seal.seal_due(name)
    return name


def refused(statement: str, *values: object) -> None:
    with pytest.raises(DatabaseError, match="insert-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.mark.parametrize("model", MODELS)
class TestTriggers:
    def test_refuse_an_update(self, model: type, log: str) -> None:
        refused(f"UPDATE {model._meta.db_table} SET log = 'other' WHERE log = %s", log)

    def test_refuse_a_delete(self, model: type, log: str) -> None:
        refused(f"DELETE FROM {model._meta.db_table} WHERE log = %s", log)

    @pytest.mark.postgres
    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
    def test_refuse_a_truncate(self, model: type, log: str) -> None:
        refused(f"TRUNCATE {model._meta.db_table} CASCADE")

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no replication role")
    def test_bind_a_session_that_claims_to_replicate(self, model: type, log: str) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            refused(f"DELETE FROM {model._meta.db_table} WHERE log = %s", log)

    @pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no INSERT OR REPLACE")
    def test_refuse_a_replacement(self, model: type, log: str) -> None:
        table = model._meta.db_table
        columns = ", ".join(f'"{field.column}"' for field in model._meta.local_fields)
        refused(f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE log = %s", log)
        without_key = ", ".join(f'"{field.column}"' for field in model._meta.local_fields if field.column != "id")
        refused(f"INSERT OR REPLACE INTO {table} ({without_key}) SELECT {without_key} FROM {table} WHERE log = %s", log)
