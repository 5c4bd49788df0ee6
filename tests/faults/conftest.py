"""A place whose pump and sealer are away: no transaction runs but the one that a test asks for."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests import environment
from tests.faults.case import Case
from tests.faults.wire import Wire
from tests.journeys.server import NOBODY, Place, Server
from tests.journeys.world import world


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


@pytest.fixture(scope="module")
def wire(place: Place) -> Iterator[Wire]:
    assert place.owner_url
    far = urlsplit(place.owner_url)
    laid = Wire(far.hostname or "127.0.0.1", far.port or 5432)
    yield laid
    laid.close()


@pytest.fixture(scope="module")
def behind(place: Place, wire: Wire) -> Iterator[Server]:
    """The service, on the other side of the wire. In clear, so that a COMMIT can be seen."""
    parts = urlsplit(place.environment["COUNTERSIGN_DATABASE_URL"])
    address = f"{parts.username}:{parts.password}@127.0.0.1:{wire.port}"
    url = urlunsplit(parts._replace(netloc=address, query="sslmode=disable&gssencmode=disable"))
    with Server(place, COUNTERSIGN_DATABASE_URL=url, COUNTERSIGN_REDIS_URL=NOBODY) as running:
        yield running


@pytest.fixture
def case(place: Place, behind: Server, wire: Wire) -> Case:
    acme = world(place, behind.url, caps={"rate": ["2/day"]})
    return Case(acme, wire, acme.pep, acme.voter("erin"), acme.voter("frank"))
