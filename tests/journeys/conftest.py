"""One installation for the stories: on PostgreSQL with the roles `setup` makes, or on SQLite where there is none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.journeys.server import Place, Server
from tests.journeys.world import World, world

NewWorld = Callable[..., World]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("place")
    made = Place.postgres(home, environment.DATABASE_URL) if environment.DATABASE_URL else Place.sqlite(home)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def server(place: Place) -> Iterator[Server]:
    with Server(place) as running:
        yield running


@pytest.fixture
def new_world(place: Place, server: Server) -> NewWorld:
    """A tenant of one's own on the running server; see `tests.journeys.world.world`."""
    return lambda **changes: world(place, changes.pop("url", server.url), **changes)


@pytest.fixture
def acme(new_world: NewWorld) -> World:
    return new_world()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a pack is written."""
    return tmp_path / "pack"
