"""One real database for the whole run. Tests commit for real and keep apart by making tenants of their own."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests import environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a server that is not there is skipped with its reason; in CI a missing server is a failure."""
    needs = {
        "postgres": (environment.DATABASE_URL, "no PostgreSQL answers and none is installed"),
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
def django_db_modify_db_settings() -> None:
    """Each run its own database name, so that two runs on one server do not meet."""
    from django.conf import settings  # noqa: PLC0415  Django's settings exist only once the run has begun

    database = settings.DATABASES["default"]
    name = f"countersign_test_{os.getpid()}"
    database.setdefault("TEST", {})["NAME"] = (
        name if environment.DATABASE_URL else str(environment.WORK / f"{name}.sqlite3")
    )


@pytest.fixture(scope="session")
def database(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """The run's database, open to every thread. Nothing is rolled back: append-only tables would refuse it anyway."""
    from django.db import connection, connections  # noqa: PLC0415  see above

    from evidence import keys  # noqa: PLC0415  see above

    keys.create_missing(environment.WORK / "keys")
    with django_db_blocker.unblock():
        yield
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        connections.close_all()


@pytest.fixture(autouse=True)
def _database_for_rooms(request: pytest.FixtureRequest) -> None:
    """The library's tests need no database; every other room's do."""
    if "countersign" not in request.path.relative_to(request.config.rootpath / "tests").parts:
        request.getfixturevalue("database")
