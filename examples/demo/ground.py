"""What the shell names in, a database and a Redis that nobody lives in out; what the demo made of them goes with it.

By default that is a SQLite file of the demo's own. A database that holds anything is refused, not looked into.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

DATABASE, REDIS = "COUNTERSIGN_DATABASE_URL", "COUNTERSIGN_REDIS_URL"
_MAINTENANCE = "postgres"  # the database that every server has
_HELD = """
    SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
    AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
"""
_OTHERWISE = (
    "The demo touches nobody's data: name an empty database, or one that does not exist yet, which it makes and "
    f"removes again. Without {DATABASE} it uses SQLite."
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What the service is told of it, and what it is called."""

    settings: Mapping[str, str]
    words: str

    @property
    def has_redis(self) -> bool:
        """Then work is done by a Celery worker, as in production, and not by a thread of the server."""
        return REDIS in self.settings


@contextmanager
def ground(var: Path) -> Iterator[Ground]:
    """Until the block ends. Raises SystemExit with what is wrong and what to do."""
    url, broker = _named(DATABASE), _named(REDIS)
    with ExitStack() as stack:
        if urlsplit(url).scheme in {"postgresql", "postgres"}:
            words = stack.enter_context(_postgres(url))
        else:
            url, words = _sqlite(url, var), "SQLite"
        settings = {DATABASE: url}
        if broker:
            stack.enter_context(_redis(broker))
            settings[REDIS] = broker
            words += ", with Redis, a Celery worker and beat"
        yield Ground(settings, words)


def _named(name: str) -> str:
    """As the service reads it: the variable, or the file that it names."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name, "").strip()
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SystemExit(f"{name}_FILE names {path}, which cannot be read: {error.strerror}.") from None


# --- databases


def _sqlite(url: str, var: Path) -> str:
    if not url:
        return f"sqlite:///{var / 'countersign.sqlite3'}"
    path = Path(urlsplit(url).path[1:])
    if not url.startswith("sqlite:///"):
        raise SystemExit(f"{DATABASE}: postgresql://user:password@host:port/name or sqlite:///path is needed.")
    if path.exists() and path.stat().st_size:
        raise SystemExit(f"{DATABASE} names {path}, which holds something. {_OTHERWISE}")
    return url


@contextmanager
def _postgres(url: str) -> Iterator[str]:
    """The named database if it is empty, else one that is made under that name and removed afterwards."""
    parts = urlsplit(url)
    name, where = unquote(parts.path.strip("/")), parts.hostname or "this machine"
    server = urlunsplit(parts._replace(path=f"/{_MAINTENANCE}"))
    made = not _is_there(server, name)
    if made:
        _make(server, name, where)
    elif held := _held(url, name, where):
        raise SystemExit(f"{DATABASE} names the database {name} on {where}, which holds {held} tables. {_OTHERWISE}")
    try:
        yield f"PostgreSQL, database {name} on {where}, which {'was made for it' if made else 'was empty before'}"
    finally:
        if made:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _is_there(server: str, name: str) -> bool:
    """Who may not look is taken to mean one that is there."""
    try:
        with psycopg.connect(server, connect_timeout=5) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    except psycopg.Error:
        return True
    return found is not None


def _make(server: str, name: str, where: str) -> None:
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise SystemExit(f"{DATABASE}: {name} is not on {where} and cannot be made there: {_said(error)}") from None


def _held(url: str, name: str, where: str) -> int:
    """How many tables, views and the like are in it, in whatever schema, those of extensions aside."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(_HELD).fetchone()
    except psycopg.Error as error:
        raise SystemExit(f"{DATABASE}: the database {name} on {where} cannot be reached: {_said(error)}") from None
    return int(row[0]) if row else 0


def _said(error: psycopg.Error) -> str:
    """The last line, which says why; no password is ever in it."""
    return str(error).strip().splitlines()[-1]


# --- Redis


@contextmanager
def _redis(url: str) -> Iterator[None]:
    """A numbered database of it that is empty, and is left empty: another installation's workers must not hear ours."""
    try:
        known = redis.Redis.from_url(url, socket_connect_timeout=5)
        keys = known.dbsize()
    except (redis.RedisError, ValueError) as error:
        raise SystemExit(f"{REDIS} does not lead to a Redis: {error}") from None
    if keys:
        raise SystemExit(
            f"{REDIS} names a Redis database that is in use. Name an empty one, for instance the number 15 of it: "
            "redis://host:port/15. Without the variable the demo needs none."
        )
    try:
        yield
    finally:
        with known:
            for key in known.scan_iter(count=1000):
                known.delete(key)
