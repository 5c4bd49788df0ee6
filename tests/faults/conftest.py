"""A place whose pump and sealer are away: no transaction runs but the one that a test asks for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.journeys.server import Place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is tried here needs PostgreSQL, and breaks something."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    assert environment.DATABASE_URL, "tests here are skipped without PostgreSQL"
    made = Place.postgres(tmp_path_factory.mktemp("faults"), environment.DATABASE_URL)
    yield made
    made.dispose()
