"""The runtime role: so little right over the service's own evidence that no row of it can be changed.

Triggers do not bind the owner of a table. So a migrator owns, and the role that the service runs as may insert and
read, and nothing that leads to more: no TEMP (a temporary table would shadow the real one), no CREATE, no membership.
"""

from collections.abc import Sequence
from enum import StrEnum

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from psycopg import sql

APPEND_ONLY = ("evidence_record", "evidence_sealed", "evidence_node", "evidence_checkpoint")
_READ_ONLY = ("django_migrations",)


class Protection(StrEnum):
    """What stands between the service's own database role and the evidence."""

    TAMPER_RESISTANT = "tamper-resistant"
    TAMPER_EVIDENT = "tamper-evident, not tamper-resistant"


class NotARuntimeRole(ValueError):
    """A role that owns or outranks what it should only insert into."""


def ensure(migrator: BaseDatabaseWrapper, runtime_role: str, password: str | None = None) -> None:
    """Make the role if it is not there and give it what it needs, no more; idempotent, after every migration.

    `migrator` is the connection of the tables' owner, who may create roles. Raises NotARuntimeRole.
    """
    with migrator.cursor() as cursor:
        if not _exists(cursor, runtime_role):
            _run(cursor, "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION", runtime_role)
        if password is not None:
            _run(cursor, "ALTER ROLE {role} PASSWORD {password}", runtime_role, password=sql.Literal(password))
        if problems := _rank(cursor, runtime_role):
            raise NotARuntimeRole(f"{runtime_role} cannot be the runtime role: {'; '.join(problems)}")
        grant_runtime(cursor, runtime_role)


def grant_runtime(cursor: CursorWrapper, role: str) -> None:
    """INSERT and SELECT on evidence, rows of all else, nothing on the schema; what was granted before is taken away."""
    cursor.execute("SELECT current_database(), current_schema()")
    database, schema = cursor.fetchone()
    names = {"database": sql.Identifier(database), "schema": sql.Identifier(schema)}
    for statement in (
        "REVOKE TEMPORARY, CREATE ON DATABASE {database} FROM PUBLIC",
        "REVOKE ALL ON DATABASE {database} FROM {role}",
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA {schema} FROM {role}",
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {role}",
        "REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM PUBLIC, {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",  # no UPDATE: setval would go back
        # A temporary table would otherwise be found before the real one.
        "ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema}, pg_temp",
    ):
        _run(cursor, statement, role, **names)
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename", [schema])
    for (table,) in cursor.fetchall():
        statement = f"GRANT {_rights(table)} ON {{schema}}.{{table}} TO {{role}}"
        _run(cursor, statement, role, table=sql.Identifier(table), **names)


def _rights(table: str) -> str:
    if table in _READ_ONLY:
        return "SELECT"
    return "SELECT, INSERT" if table in APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"


def _run(cursor: CursorWrapper, statement: str, role: str, **names: sql.Composable) -> None:
    composed = sql.SQL(statement).format(role=sql.Identifier(role), **names)
    cursor.execute(composed.as_string(cursor.connection))


def _exists(cursor: CursorWrapper, role: str) -> bool:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    return cursor.fetchone() is not None


# --- how well the evidence is protected from the role that asks


def status(connection: BaseDatabaseWrapper) -> Protection:
    """Whether the role of this connection could change evidence."""
    return Protection.TAMPER_EVIDENT if weaknesses(connection) else Protection.TAMPER_RESISTANT


def weaknesses(connection: BaseDatabaseWrapper) -> Sequence[str]:
    """Each way in which the role of this connection could change evidence, in words for an operator; empty if none."""
    if connection.vendor != "postgresql":
        return ("SQLite: whoever can write the file can change every row in it",)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (role,) = cursor.fetchone()
        return [*_rank(cursor, role), *_database_rights(cursor, role), *_table_rights(cursor, role), *_triggers(cursor)]


_RANKS = {
    "rolsuper": "it is a superuser",
    "rolcreaterole": "it may make roles, and with them become the owner",
    "rolreplication": "it may replicate",
}


def _rank(cursor: CursorWrapper, role: str) -> list[str]:
    """What a role is, or may become through membership, that no grant can take back."""
    cursor.execute(
        f"SELECT {', '.join(f'bool_or({rank})' for rank in _RANKS)} FROM pg_roles"  # noqa: S608 - names of our own
        " WHERE pg_has_role(%s, oid, 'MEMBER')",
        [role],
    )
    found = [words for words, has in zip(_RANKS.values(), cursor.fetchone(), strict=True) if has]
    if "it is a superuser" in found:
        return found
    cursor.execute(
        "SELECT tablename FROM pg_tables WHERE tablename = ANY(%s) AND schemaname = current_schema()"
        " AND pg_has_role(%s, tableowner, 'MEMBER') ORDER BY tablename",
        [list(APPEND_ONLY), role],
    )
    found += [f"it owns {table}" for (table,) in cursor.fetchall()]
    cursor.execute(
        "SELECT 1 FROM pg_database WHERE datname = current_database() AND pg_has_role(%s, datdba, 'MEMBER')", [role]
    )
    return [*found, *(["it owns the database"] if cursor.fetchone() else [])]


def _database_rights(cursor: CursorWrapper, role: str) -> list[str]:
    cursor.execute(
        "SELECT has_database_privilege(%s, current_database(), 'TEMPORARY'),"
        " has_database_privilege(%s, current_database(), 'CREATE'),"
        " has_schema_privilege(%s, current_schema(), 'CREATE')",
        [role, role, role],
    )
    words = ("it may make temporary tables", "it may make schemas", "it may make objects in the schema")
    return [text for text, has in zip(words, cursor.fetchone(), strict=True) if has]


def _table_rights(cursor: CursorWrapper, role: str) -> list[str]:
    cursor.execute(
        "SELECT kind || ' on ' || t FROM unnest(%s::text[]) AS t,"
        " unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS kind"
        " WHERE has_table_privilege(%s, t, kind) ORDER BY 1",
        [list(APPEND_ONLY), role],
    )
    found = [f"it has {right}" for (right,) in cursor.fetchall()]
    cursor.execute(
        "SELECT t FROM unnest(%s::text[]) AS t WHERE has_any_column_privilege(%s, t, 'UPDATE') ORDER BY 1",
        [list(APPEND_ONLY), role],
    )
    return found + [f"it has UPDATE on columns of {table}" for (table,) in cursor.fetchall()]


def _triggers(cursor: CursorWrapper) -> list[str]:
    cursor.execute(
        "SELECT t FROM unnest(%s::text[]) AS t WHERE NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = t::regclass"
        " AND tgname = 'insert_only' AND tgenabled = 'A') ORDER BY 1",
        [list(APPEND_ONLY)],
    )
    return [f"the trigger on {table} is missing or off" for (table,) in cursor.fetchall()]
