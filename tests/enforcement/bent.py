"""PostgreSQL with a clock that a test moves on and a COMMIT that it breaks; everything else about it is as it was.

Another `now()` and `clock_timestamp()` stand before PostgreSQL's own on the search path of the run's database, and a
deferred trigger on the journal, which fires inside COMMIT, ends its own session when it is told to.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection

from enforcement import commit

_BEND = """
    CREATE SCHEMA bent;
    CREATE TABLE bent.clock AS SELECT interval '0' AS ahead;
    CREATE FUNCTION bent.now() RETURNS timestamptz LANGUAGE sql STABLE AS
        'SELECT pg_catalog.now() + ahead FROM bent.clock';
    CREATE FUNCTION bent.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        'SELECT pg_catalog.clock_timestamp() + ahead FROM bent.clock';
    CREATE SEQUENCE bent.cut;  -- armed while it is called: what a sequence knows, no lost transaction takes back
    CREATE FUNCTION bent.commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT is_called FROM bent.cut) THEN
            PERFORM setval('bent.cut', 1, false), pg_terminate_backend(pg_backend_pid()), pg_sleep(60);
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER bent AFTER INSERT ON evidence_record DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION bent.commit();
"""
_STRAIGHTEN = "DROP TRIGGER IF EXISTS bent ON evidence_record; DROP SCHEMA IF EXISTS bent CASCADE"
_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@contextmanager
def database() -> Iterator[None]:
    """The run's database is bent in here. A session keeps its search path, so all begin anew at both ends."""
    try:
        _run(_BEND)
        _renew("SET search_path = bent, pg_catalog, public")
        _run("SELECT setval('bent.cut', 1, false)")
        yield
    finally:
        _run(_STRAIGHTEN)
        _renew("RESET search_path")


def advance(by: timedelta) -> None:
    """So much later it is, for whoever asks the database."""
    _run("UPDATE bent.clock SET ahead = ahead + %s", by)


def cut_next_commit() -> None:
    """The next COMMIT of a record fails with its session, which its client cannot tell from one that held."""
    _run("SELECT setval('bent.cut', 1, true)")


def mended() -> bool:
    """Whether nothing was cut since; from here on nothing will be."""
    armed = _run("SELECT is_called FROM bent.cut")
    _run("SELECT setval('bent.cut', 1, false)")
    return bool(armed)


def _renew(change: str) -> None:
    commit.stop()
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} {change}")
        cursor.execute(_END_OTHERS)
    connection.close()


def _run(statement: str, *values: timedelta) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None
