"""What goes wrong on purpose goes wrong as it would, and many at once do not mix."""

import http.client
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from examples.lookalikes import faults
from examples.lookalikes.slack.acme import APPROVALS
from tests.connectors.slack_world import SlackWorld
from tests.lookalikes.slack.made import post, refused


class TestFaults:
    def test_too_many_requests_come_with_a_wait(self, world: SlackWorld, slack: WebClient):
        world.fault("chat.*", status=429, retry_after=7)
        with pytest.raises(SlackApiError) as caught:
            slack.chat_postMessage(channel=APPROVALS, text="x")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "7"
        assert slack.chat_postMessage(channel=APPROVALS, text="x")["ok"]

    def test_a_server_error_and_a_refusal_have_no_effect(self, world: SlackWorld, slack: WebClient):
        before = len(world.messages())
        world.fault("chat.postMessage", status=500)
        world.fault("chat.postMessage", error="fatal_error")
        assert refused(slack.chat_postMessage, channel=APPROVALS, text="x")["status"] == 500
        assert refused(slack.chat_postMessage, channel=APPROVALS, text="x")["error"] == "fatal_error"
        assert len(world.messages()) == before

    def test_a_slow_answer_is_too_late(self, world: SlackWorld):
        slack = WebClient(token=world.workspace.bot_token, base_url=world.api_url, timeout=1, retry_handlers=[])
        world.fault("auth.test", delay=1.3)
        with pytest.raises(TimeoutError):
            slack.auth_test()

    @pytest.mark.parametrize(("drop", "posted"), [("before", 0), ("after", 1)])
    def test_a_cut_connection_leaves_the_effect_or_not(
        self, world: SlackWorld, slack: WebClient, drop: str, posted: int
    ):
        before = len(world.messages())
        world.fault("chat.postMessage", drop=drop)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            slack.chat_postMessage(channel=APPROVALS, text="x")
        assert len(world.messages()) - before == posted

    @pytest.mark.parametrize("member", faults.members("slack"))
    def test_are_described_for_those_who_try_them(self, member: str):
        page = (Path(__file__).parents[3] / "docs" / "slack.md").read_text()
        assert f"`{member}`" in page.split("## Without a workspace")[1]

    @pytest.mark.parametrize(
        ("system", "what"), [("slack", {"location": "/"}), ("jira", {"error": "x"}), ("servicenow", {"garbage": True})]
    )
    def test_that_a_system_cannot_have_are_refused(self, system: str, what: dict[str, Any]):
        with pytest.raises(ValueError, match="here"):
            faults.Faults(system).add(faults.Fault(**what))

    def test_are_set_over_http_too(self, world: SlackWorld, slack: WebClient):
        asked = httpx2.post(f"{world.url}/_/faults", json={"where": "auth.test", "error": "fatal_error"})
        assert asked.json()["done"][0]["times"] == 1
        assert refused(slack.auth_test)["error"] == "fatal_error"
        assert httpx2.post(f"{world.url}/_/faults", json={"where": "x", "drop": "sideways"}).status_code == 409


class TestRaces:
    def test_twenty_posters_at_once_get_names_of_their_own(self, world: SlackWorld, slack: WebClient):
        stamps: list[str] = []
        threads = [threading.Thread(target=lambda: stamps.append(post(slack))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(stamps)) == 20
