"""The page shows one person what is theirs, acts for them, and is closed to other sites."""

import httpx2
from slack_sdk import WebClient

from examples.lookalikes.slack.acme import APPROVALS
from tests.connectors.slack_world import SlackWorld
from tests.lookalikes.listening import App
from tests.lookalikes.slack.made import actions, button, post


class TestPage:
    def test_shows_a_person_what_is_theirs_alone(self, world: SlackWorld, slack: WebClient):
        slack.chat_postEphemeral(channel=APPROVALS, user="U0ERIN", text="Only for Erin")
        erin = httpx2.get(f"{world.url}/_/screen?user=U0ERIN")
        assert "Only for Erin" in erin.text
        assert "Only for Erin" not in httpx2.get(f"{world.url}/_/screen?user=U0FRANK").text
        known = httpx2.get(f"{world.url}/_/screen?user=U0ERIN&revision={erin.json()['revision']}")
        assert set(known.json()) == {"revision"}

    def test_presses_for_its_person(self, world: SlackWorld, slack: WebClient, app: App):
        ts = post(slack, actions(button()))
        asked = httpx2.post(f"{world.url}/_/press", json={"user": "U0ERIN", "ts": ts, "action_id": "approve"})
        assert asked.json()["taken"] is True
        assert (
            httpx2.post(f"{world.url}/_/press", json={"user": "U0ERIN", "ts": "1", "action_id": "x"}).status_code == 409
        )

    def test_is_closed_to_other_sites(self, world: SlackWorld):
        rebound = httpx2.get(f"{world.url}/_/screen", headers={"Host": "evil.test"})
        foreign = httpx2.post(f"{world.url}/_/say", json={}, headers={"Origin": "https://evil.test"})
        form = httpx2.post(f"{world.url}/_/say", data={"user": "U0ERIN"})
        assert [rebound.status_code, foreign.status_code, form.status_code] == [403, 403, 415]

    def test_runs_no_script_but_its_own(self, world: SlackWorld):
        page = httpx2.get(f"{world.url}/")
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        for part in page.text.split('src="')[1:] + page.text.split('href="')[1:]:
            assert httpx2.get(f"{world.url}/{part.split(chr(34))[0].lstrip('/')}").status_code == 200
