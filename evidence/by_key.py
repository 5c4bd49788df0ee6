"""For queries that know the keys of the few rows they want: inside, PostgreSQL finds them by index.

Left to itself it reads a young table from end to end, because it has no statistics of it yet, and joins a thousand keys
with the whole of a large one. Both happened to the sealer several times a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

_SETTINGS = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin")


@contextmanager
def by_key() -> Iterator[None]:
    """A transaction, or part of the one there is, until whose end this holds. On SQLite nothing."""
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"set_config('{name}', 'off', true)" for name in _SETTINGS))
        yield
