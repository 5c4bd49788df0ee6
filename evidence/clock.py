"""The database's clock: the one that decides who was first and what has expired."""

from datetime import UTC, datetime

from django.db import connection

_POSTGRESQL = "SELECT clock_timestamp()"
_SQLITE = "SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')"


def now() -> datetime:
    """The time at the database, in UTC; one query. Moves on inside a transaction too."""
    sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute(_SQLITE if sqlite else _POSTGRESQL)
        (value,) = cursor.fetchone()
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if sqlite else value.astimezone(UTC)
