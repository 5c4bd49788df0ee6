"""Database URL in, Django's database settings out: PostgreSQL for real, SQLite for a try-out."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

# NORMAL would lose acknowledged records on power loss; IMMEDIATE avoids upgrade deadlocks.
_SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA foreign_keys=ON;"

# A server that vanishes without a word is noticed in seconds: whoever waits for its COMMIT can do nothing else.
_LIVELINESS = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


class UnknownDatabase(ValueError):
    """The URL names neither PostgreSQL nor SQLite."""


def database(url: str) -> dict[str, Any]:
    """Settings for `postgresql://user:password@host:port/name?…` or `sqlite:///path`. Raises UnknownDatabase."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _sqlite(Path(parts.path[1:]))  # sqlite:///relative and sqlite:////absolute, as everywhere
    if parts.scheme in {"postgresql", "postgres"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "OPTIONS": {**_LIVELINESS, **dict(parse_qsl(parts.query))},
        }
    raise UnknownDatabase(f"not a PostgreSQL or SQLite URL: scheme {parts.scheme!r}")


def refusal(error: Exception) -> str:
    """What the database said, and what an operator can do about it. No driver quotes a password."""
    return (
        f"{str(error).strip()}\nLook at COUNTERSIGN_DATABASE_URL; "
        "if its role is not made yet, run setup with COUNTERSIGN_MIGRATOR_DATABASE_URL."
    )


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": _SQLITE_PRAGMAS, "timeout": 5},
    }
