"""A migration operation that makes a reference across tenants impossible, on PostgreSQL and on SQLite.

Any room whose rows carry `tenant_id` and refer to rows that do states it in a migration of its own:

    from registry.constraints import SameTenant

    dependencies = [("registry", "0002_same_tenant"), …]
    operations = [SameTenant("approvals_vote", "request_id", "approvals_accessrequest")]

PostgreSQL gets UNIQUE (tenant_id, id) on the parent and a composite foreign key on the child, checked at once; a NULL
reference passes. SQLite, which cannot add a foreign key to a table, gets triggers that refuse the same. Django rebuilds
an SQLite table to alter its columns and loses its triggers with it: a migration that alters such a table wraps the
operation in `KeepingTriggers`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation

MAX_NAME = 63  # PostgreSQL cuts longer names off

_UNIQUE = "ALTER TABLE {parent} ADD CONSTRAINT {unique} UNIQUE (tenant_id, {key})"
_IS_UNIQUE = "SELECT 1 FROM pg_constraint WHERE conname = %s AND conrelid = %s::regclass"
_FOREIGN_KEY = (
    "ALTER TABLE {child} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id, {column}) REFERENCES {parent} (tenant_id, {key})"
)
_CHILD_TRIGGER = (
    "CREATE TRIGGER {name}_{when} BEFORE {event} ON {child}"
    " WHEN NEW.{column} IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM {parent} WHERE {key} = NEW.{column} AND tenant_id = NEW.tenant_id)"
    " BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: {name}'); END"
)
_PARENT_TRIGGER = (
    "CREATE TRIGGER IF NOT EXISTS {parent}_keeps_tenant BEFORE UPDATE OF tenant_id ON {parent}"
    " WHEN NEW.tenant_id IS NOT OLD.tenant_id"
    " BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: {parent}_keeps_tenant'); END"
)


class SameTenant(Operation):
    """`child.column` refers only to rows of `parent` with the child's own tenant."""

    reversible = True
    reduces_to_sql = True

    def __init__(self, child: str, column: str, parent: str, *, key: str = "id") -> None:
        self.child, self.column, self.parent, self.key = child, column, parent, key

    @property
    def name(self) -> str:
        return f"{self.child}_{self.column}_same_tenant"[:MAX_NAME]

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Models do not know composite foreign keys; the database does."""

    def database_forwards(  # Django's signature, of which only the editor is needed
        self,
        app_label: str,  # noqa: ARG002
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,  # noqa: ARG002
        to_state: Any,  # noqa: ARG002
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            self._on_postgresql(schema_editor)
        else:
            self._on_sqlite(schema_editor)

    def database_backwards(  # Django's signature, of which only the editor is needed
        self,
        app_label: str,  # noqa: ARG002
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,  # noqa: ARG002
        to_state: Any,  # noqa: ARG002
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"ALTER TABLE {self.child} DROP CONSTRAINT {self.name}")
        else:
            schema_editor.execute(f"DROP TRIGGER {self.name}_insert")
            schema_editor.execute(f"DROP TRIGGER {self.name}_update")

    def describe(self) -> str:
        return f"{self.child}.{self.column} stays within its tenant"

    @property
    def migration_name_fragment(self) -> str:
        return self.name

    def _on_postgresql(self, schema_editor: BaseDatabaseSchemaEditor) -> None:
        unique = f"{self.parent}_by_tenant"[:MAX_NAME]
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(_IS_UNIQUE, [unique, self.parent])
            exists = cursor.fetchone()
        if not exists:  # several children share their parent's
            schema_editor.execute(_UNIQUE.format(parent=self.parent, unique=unique, key=self.key))
        schema_editor.execute(_FOREIGN_KEY.format(**self._names))

    def _on_sqlite(self, schema_editor: BaseDatabaseSchemaEditor) -> None:
        for when, event in (("insert", "INSERT"), ("update", f"UPDATE OF tenant_id, {self.column}")):
            schema_editor.execute(_CHILD_TRIGGER.format(when=when, event=event, **self._names))
        schema_editor.execute(_PARENT_TRIGGER.format(parent=self.parent))

    @property
    def _names(self) -> dict[str, str]:
        return {
            "name": self.name,
            "child": self.child,
            "column": self.column,
            "parent": self.parent,
            "key": self.key,
        }


class KeepingTriggers(Operation):
    """Another operation on one table, after which that table has the triggers it had before."""

    reduces_to_sql = True

    def __init__(self, table: str, operation: Operation) -> None:
        self.table, self.operation = table, operation

    @property
    def reversible(self) -> bool:  # type: ignore[override]  # an attribute there, which says the same
        return self.operation.reversible

    def state_forwards(self, app_label: str, state: Any) -> None:
        self.operation.state_forwards(app_label, state)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        with _triggers_kept(self.table, schema_editor):
            self.operation.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        with _triggers_kept(self.table, schema_editor):
            self.operation.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        return self.operation.describe()

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.table}_{self.operation.migration_name_fragment}"


@contextmanager
def _triggers_kept(table: str, schema_editor: BaseDatabaseSchemaEditor) -> Iterator[None]:
    """On SQLite, where a rebuilt table is a new one. While it is away, triggers of other tables name what is not there:
    the modern ALTER TABLE … RENAME refuses that, the older way of it does not look.
    """
    if schema_editor.connection.vendor != "sqlite":
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
        triggers = cursor.fetchall()
    schema_editor.execute("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        schema_editor.execute("PRAGMA legacy_alter_table = OFF")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
        there = {name for (name,) in cursor.fetchall()}
    for name, sql in triggers:
        if name not in there:
            schema_editor.execute(sql)
