"""A running look-alike for this room's tests, with one project."""

from collections.abc import Callable, Iterator

import pytest

from connectors.port import Account
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Site
from tests.connectors.jira.world import SECRET, Desk, connected, listening


@pytest.fixture(scope="package")
def running() -> Iterator[Jira]:
    with Jira(Site(storm=None)) as server:
        yield server


@pytest.fixture
def server(running: Jira) -> Iterator[Jira]:
    """Empty, with the project OPS."""
    running.site.issues.clear()
    running.site.calls.clear()
    running.site.add_project("OPS")
    weather = running.site.faults.weather
    yield running
    running.site.faults.clear()
    running.site.faults.weather = weather
    running.site.index_delay, running.site.scoped = 0.0, False
    running.hooks.wait()
    running.hooks.hooks.clear()
    running.hooks.delivered.clear()


@pytest.fixture
def calm(server: Jira) -> None:
    """For what looks at single calls, or at a system that is broken already: no weather on top."""
    server.site.faults.weather = None


@pytest.fixture
def account(server: Jira) -> Account:
    return Account("acme", 1, "jira", server.settings(webhook_secret=SECRET))


@pytest.fixture(scope="package")
def hook() -> Iterator[str]:
    with listening() as url:
        yield url


@pytest.fixture
def new_desk(server: Jira, hook: str, database: None) -> Callable[..., Desk]:
    return lambda **changes: connected(server, hook, **changes)


@pytest.fixture
def desk(new_desk: Callable[..., Desk]) -> Desk:
    return new_desk()
