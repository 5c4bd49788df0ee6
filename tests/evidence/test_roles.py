"""A real second role: what the service runs as cannot change what the service wrote."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from evidence import journal, roles
from evidence.models import Record
from evidence.roles import Protection
from tests.evidence.shared import a_decision, a_log, decisions

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def role(database: None) -> Iterator[str]:
    """A runtime role of this module's own; roles belong to the whole server."""
    name = f"countersign_test_{uuid4().hex[:12]}"
    roles.ensure(connection, name, 'it\'s a "password"')
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {name}")
        cursor.execute(f"DROP ROLE {name}")


@pytest.fixture
def runtime(role: str) -> Iterator[BaseDatabaseWrapper]:
    """A connection that logged in as the runtime role."""
    other = connection.copy()
    other.settings_dict = {**other.settings_dict, "USER": role, "PASSWORD": 'it\'s a "password"'}
    yield other
    other.close()


def refused(runtime: BaseDatabaseWrapper, statement: str) -> None:
    runtime.ensure_connection()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        runtime.connection.execute(statement)


class TestRuntimeRole:
    @pytest.mark.parametrize("table", roles.APPEND_ONLY)
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE {t} SET log = 'x'",
            "DELETE FROM {t}",
            "TRUNCATE {t}",
            "ALTER TABLE {t} DISABLE TRIGGER insert_only",
            "ALTER TABLE {t} DISABLE TRIGGER ALL",
            "DROP TRIGGER insert_only ON {t}",
            "DROP TABLE {t}",
            "ALTER TABLE {t} RENAME TO other",
            "ALTER TABLE {t} ALTER COLUMN log TYPE text USING 'x'",
            "CREATE RULE r AS ON INSERT TO {t} DO INSTEAD NOTHING",
            "CREATE TRIGGER t BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "CREATE TEMPORARY TABLE {t} (id int)",
            "CREATE TABLE other AS SELECT * FROM {t}",
            "SELECT * FROM {t} FOR UPDATE",
        ],
    )
    def test_abuse_125_is_refused(self, runtime: BaseDatabaseWrapper, statement: str, table: str) -> None:
        refused(runtime, statement.format(t=table))

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE OR REPLACE FUNCTION evidence_is_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$",
            "CREATE FUNCTION pg_temp.hashtext(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "SET session_replication_role = replica",
            "SELECT setval('evidence_record_id_seq', 1)",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            "DELETE FROM django_migrations",
        ],
    )
    def test_abuse_125_is_refused_what_leads_around_the_tables(
        self, runtime: BaseDatabaseWrapper, statement: str
    ) -> None:
        refused(runtime, statement)

    def test_writes_and_reads_evidence_and_works_with_the_rest(self, runtime: BaseDatabaseWrapper) -> None:
        log = a_log()
        with runtime.cursor() as cursor:
            journal.insert_many(cursor, [a_decision(log)])
            cursor.execute("SELECT count(*) FROM evidence_record WHERE log = %s", [log])
            assert cursor.fetchone() == (1,)
            cursor.execute("DELETE FROM evidence_keptarguments WHERE log = %s", [log])
        assert Record.objects.filter(log=log).exists()


class TestEnsure:
    def test_refuses_a_superuser(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            (owner,) = cursor.fetchone()
        with pytest.raises(roles.NotARuntimeRole, match="superuser"):
            roles.ensure(connection, owner)

    def test_takes_back_what_was_granted_by_hand(self, role: str, runtime: BaseDatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"GRANT UPDATE ON evidence_record TO {role}")
        assert roles.status(runtime) is Protection.TAMPER_EVIDENT
        roles.ensure(connection, role)
        assert roles.status(runtime) is Protection.TAMPER_RESISTANT


class TestStatus:
    def test_of_the_owner_is_evident_only(self) -> None:
        assert roles.status(connection) is Protection.TAMPER_EVIDENT

    def test_of_the_runtime_role_is_resistant(self, runtime: BaseDatabaseWrapper) -> None:
        assert roles.weaknesses(runtime) == []
        assert roles.status(runtime) is Protection.TAMPER_RESISTANT

    @pytest.mark.parametrize(
        ("weaken", "mend", "words"),
        [
            ("GRANT UPDATE (log) ON evidence_sealed TO {r}", "REVOKE UPDATE (log) ON evidence_sealed FROM {r}", "columns of evidence_sealed"),
            ("GRANT TRIGGER ON evidence_node TO {r}", "REVOKE TRIGGER ON evidence_node FROM {r}", "TRIGGER on evidence_node"),
            ("GRANT pg_write_all_data TO {r}", "REVOKE pg_write_all_data FROM {r}", "DELETE on evidence_record"),
            ("ALTER ROLE {r} CREATEROLE", "ALTER ROLE {r} NOCREATEROLE", "become the owner"),
            ("GRANT TEMPORARY ON DATABASE {d} TO {r}", "REVOKE TEMPORARY ON DATABASE {d} FROM {r}", "temporary tables"),
            ("GRANT CREATE ON SCHEMA public TO {r}", "REVOKE CREATE ON SCHEMA public FROM {r}", "objects in the schema"),
        ],
    )  # fmt: skip
    def test_names_each_way_around(
        self, role: str, runtime: BaseDatabaseWrapper, weaken: str, mend: str, words: str
    ) -> None:
        database = connection.settings_dict["NAME"]
        with connection.cursor() as cursor:
            cursor.execute(weaken.format(r=role, d=database))
            try:
                found = roles.weaknesses(runtime)
            finally:
                cursor.execute(mend.format(r=role, d=database))
        assert any(words in weakness for weakness in found)
        assert roles.weaknesses(runtime) == []

    def test_names_a_trigger_that_is_off(self, runtime: BaseDatabaseWrapper) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE evidence_record DISABLE TRIGGER insert_only")
            assert "the trigger on evidence_record is missing or off" in roles.weaknesses(connection)
            raise ZeroDivisionError
        decisions(a_log(), 1)
