"""A running Slack look-alike for its own tests, its client, and an app that hears what it tells."""

from collections.abc import Iterator

import pytest
from slack_sdk import WebClient

from tests.connectors.slack_world import SlackWorld
from tests.lookalikes.listening import App, listening


@pytest.fixture(scope="module")
def shared() -> Iterator[SlackWorld]:
    with SlackWorld(storm=False, answer_within=0.4, trigger_lifetime=0.4) as world:
        yield world


@pytest.fixture
def world(shared: SlackWorld) -> Iterator[SlackWorld]:
    yield shared
    shared.workspace.faults.clear()
    shared.workspace.stacks.clear()


@pytest.fixture
def slack(world: SlackWorld) -> WebClient:
    return WebClient(token=world.workspace.bot_token, base_url=world.api_url, retry_handlers=[])


@pytest.fixture
def app(world: SlackWorld) -> Iterator[App]:
    with listening() as app:
        world.workspace.request_url = app.url
        yield app
        world.workspace.request_url = ""
