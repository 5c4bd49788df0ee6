"""What a superuser can do: change rows behind the triggers' back."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

TABLES = ("evidence_record", "evidence_sealed", "evidence_node", "evidence_checkpoint")


@contextmanager
def tampering() -> Iterator[CursorWrapper]:
    """A cursor that no trigger binds, put back at the end."""
    with transaction.atomic(), connection.cursor() as cursor:
        kept = _triggers_off(cursor)
        yield cursor
        for statement in kept:
            cursor.execute(statement)


def _triggers_off(cursor: CursorWrapper) -> list[str]:
    """Switch the triggers off; the statements that switch them on again."""
    if connection.vendor == "postgresql":
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER insert_only")
        return [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER insert_only" for table in TABLES]
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'evidence_%%'", [])
    triggers = cursor.fetchall()
    for name, _ in triggers:
        cursor.execute(f"DROP TRIGGER {name}")
    return [sql for _, sql in triggers]
