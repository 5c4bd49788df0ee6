"""One real database for the whole run. Tests commit for real and keep apart by making tenants of their own."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import setup_databases, teardown_databases

from evidence import keys
from tests import environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a server that is not there is skipped with its reason; in CI a missing server is a failure."""
    needs = {
        "postgres": (
            environment.DATABASE_URL,
            "this run is on SQLite: no PostgreSQL was wanted, or none answers and none is installed",
        ),
        "redis": (environment.REDIS_URL, "no Redis answers and none is installed"),
        "browser": (shutil.which("chromium"), "no Chromium is installed"),
    }
    for marker, (there, reason) in needs.items():
        if there or (os.environ.get("CI") == "true" and os.environ.get("COUNTERSIGN_TEST_DATABASE_URL") != "sqlite"):
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def database(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """The run's own database, open to every thread. Nothing is rolled back: append-only tables would refuse it anyway.

    pytest-django's own setup makes a database only for tests with its mark, whose transactions would hide from other
    threads what a test wrote.
    """
    keys.create_missing(environment.WORK / "keys")
    name = f"countersign_test_{os.getpid()}"
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = (
        name if environment.DATABASE_URL else str(environment.WORK / f"{name}.sqlite3")
    )
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
        yield
        _end_other_connections()
        teardown_databases(made, verbosity=0)


def _end_other_connections() -> None:
    """Threads of the code under test hold connections of their own, and PostgreSQL will not drop what is in use."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def _database_for_rooms(request: pytest.FixtureRequest) -> None:
    """The library's tests need no database; every other room's do."""
    if "countersign" not in request.path.relative_to(request.config.rootpath / "tests").parts:
        request.getfixturevalue("database")
