"""An app without an address hears all of it through a socket."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.connectors.slack_world import SlackWorld
from tests.lookalikes.slack.made import actions, button, post


@pytest.fixture
def heard(world: SlackWorld) -> Iterator[list[Any]]:
    """What an app hears through its socket; it answers "Hi" to all."""
    heard: list[Any] = []

    def listen(client: SocketModeClient, request: Any) -> None:
        heard.append(request)
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload={"text": "Hi"}))

    web = WebClient(token=world.workspace.bot_token, base_url=world.api_url)
    client = SocketModeClient(app_token=world.workspace.app_token, web_client=web)
    client.socket_mode_request_listeners.append(listen)
    client.connect()
    world.until(lambda: world.sockets.are_open)
    yield heard
    client.close()
    world.until(lambda: not world.sockets.are_open)


class TestSocketMode:
    def test_carries_clicks_and_takes_acknowledgements(self, world: SlackWorld, slack: WebClient, heard: list[Any]):
        assert world.press("erin", post(slack, actions(button())), "approve").is_taken
        assert json.loads(world.command("erin", "/approvals").body) == {"text": "Hi"}
        assert world.open_home("erin").is_taken
        assert [request.type for request in heard] == ["interactive", "slash_commands", "events_api"]
        assert world.only_for("erin")[-1].text == "Hi"

    def test_asks_the_app_to_connect_anew_now_and_then(self, world: SlackWorld, slack: WebClient, heard: list[Any]):
        before = len(world.calls("apps.connections.open"))
        world.begin(world.sockets.refresh()).result(5)
        world.until(lambda: len(world.calls("apps.connections.open")) > before and world.sockets.are_open)
        assert world.press("erin", post(slack, actions(button())), "approve").is_taken

    def test_needs_a_ticket_that_was_given_out(self, world: SlackWorld):
        with pytest.raises(InvalidStatus), connect(f"{world.url.replace('http', 'ws')}/link/?ticket=guess"):
            pass
        assert not world.sockets.are_open
