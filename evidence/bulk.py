"""Rows in, one INSERT out: unnest in binary on PostgreSQL, multi-row VALUES on SQLite."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db.backends.utils import CursorWrapper
from psycopg import pq
from psycopg.adapt import Dumper

from evidence import binary

_SQLITE_VARIABLES = 900  # old builds take 999


class _Column(bytes):
    """An array in PostgreSQL's binary format."""


class _AsItIs(Dumper):
    """Whose type the statement says."""

    format = pq.Format.BINARY

    def dump(self, obj: _Column) -> bytes:
        return obj


class Inserter:
    """One table's columns, each with its PostgreSQL type; rows are tuples in the same order."""

    def __init__(self, table: str, **columns: str) -> None:
        names = ", ".join(f'"{name}"' for name in columns)
        arrays = ", ".join(f"%b::{kind}[]" for kind in columns.values())
        self._kinds = tuple(columns.values())
        self._postgresql = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608 - names of our own
        numbered = ", ".join(f"${at}::{kind}[]" for at, kind in enumerate(self._kinds, start=1))
        self.statement = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({numbered})".encode()  # noqa: S608 - see above
        self._sqlite = f"INSERT INTO {table} ({names}) VALUES "  # noqa: S608 - names of our own
        self._sqlite_row = f"({', '.join(['%s'] * len(columns))})"
        self._sqlite_chunk = _SQLITE_VARIABLES // len(columns)

    def encoded(self, rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """The parameters of `statement`, in binary: for who speaks to PostgreSQL without a cursor. No nulls."""
        columns = zip(*rows, strict=True)
        return [binary.array(kind, column) for kind, column in zip(self._kinds, columns, strict=True)]

    def insert(self, cursor: CursorWrapper, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write all rows in the caller's transaction: one statement, or on SQLite as few as its variables allow."""
        if not rows:
            return
        if cursor.db.vendor == "postgresql":
            self._insert_postgresql(cursor, rows)
        else:
            self._insert_sqlite(cursor, rows)

    def _insert_postgresql(self, cursor: CursorWrapper, rows: Sequence[tuple[Any, ...]]) -> None:
        """Bound at the server in binary: Django's cursor pastes values into the text, at eight times the price."""
        columns = [_Column(column) for column in self.encoded(rows)]
        with cursor.db.wrap_database_errors, psycopg.Cursor(cursor.connection) as bound:
            bound.adapters.register_dumper(_Column, _AsItIs)
            bound.execute(self._postgresql, columns)

    def _insert_sqlite(self, cursor: CursorWrapper, rows: Sequence[tuple[Any, ...]]) -> None:
        for at in range(0, len(rows), self._sqlite_chunk):
            chunk = rows[at : at + self._sqlite_chunk]
            values = [_sqlite_value(value) for row in chunk for value in row]
            cursor.execute(self._sqlite + ", ".join([self._sqlite_row] * len(chunk)), values)


def _sqlite_value(value: Any) -> Any:
    """Times as Django writes its DateTimeField: naive UTC text."""
    return str(value.astimezone(UTC).replace(tzinfo=None)) if type(value) is datetime else value
