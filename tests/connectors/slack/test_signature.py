"""Which accounts' Slack signed some bytes: ours to decide, before any library looks at them."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client

from connectors.models import Access
from connectors.slack import signature
from evidence import clock
from examples.lookalikes.slack.sending import signed
from tests.connectors.slack.house import connect
from tests.connectors.slack_world import SlackWorld, slack_world
from tests.worlds import World, world

BODY = b"payload=%7B%7D"
NOW = clock.now


@pytest.fixture
def slack() -> Iterator[SlackWorld]:
    with slack_world() as made:
        yield made


@pytest.fixture
def ours(slack: SlackWorld) -> World:
    made = world()
    connect(made.tenant, slack)
    return made


def whose(headers: dict[str, str], *, seconds: int = 0, body: bytes = BODY) -> list[str]:
    found = signature.signers(
        body,
        timestamp=headers["X-Slack-Request-Timestamp"],
        signature=headers["X-Slack-Signature"],
        now=NOW() + timedelta(seconds=seconds),
    )
    return [account.tenant for account in found]


class TestSigners:
    def test_names_the_tenant_whose_secret_it_was(self, ours: World, slack: SlackWorld) -> None:
        assert whose(signed(slack.workspace.signing_secret, BODY)) == [ours.slug]

    @pytest.mark.parametrize("seconds", [301, -302, 86_400, -86_400])
    def test_abuse_078_is_nobody_beyond_five_minutes(self, ours: World, slack: SlackWorld, seconds: int) -> None:
        headers = signed(slack.workspace.signing_secret, BODY, at=int(NOW().timestamp()))
        assert whose(headers, seconds=seconds) == []
        assert whose(headers, seconds=290) == [ours.slug]

    def test_abuse_081_is_nobody_for_other_bytes(self, ours: World, slack: SlackWorld) -> None:
        assert whose(signed(slack.workspace.signing_secret, BODY), body=BODY + b" ") == []

    @pytest.mark.parametrize("secret", ["", " "])
    def test_abuse_092_an_empty_secret_signs_nothing(self, ours: World, slack: SlackWorld, secret: str) -> None:
        """An account that opens a socket has none."""
        Access.objects.filter(tenant=ours.tenant).delete()
        connect(ours.tenant, slack, signing_secret="")
        assert whose(signed(secret, BODY)) == []

    def test_names_both_tenants_of_one_app(self, ours: World, slack: SlackWorld) -> None:
        other = world()
        connect(other.tenant, slack, team="T0OTHER")
        assert set(whose(signed(slack.workspace.signing_secret, BODY))) == {ours.slug, other.slug}


class TestOneAppOfSeveralTenants:
    def test_abuse_082_the_workspace_decides_and_none_is_nobody(self, ours: World, slack: SlackWorld) -> None:
        connect(world().tenant, slack, team="T0OTHER")
        for team, status in (("T0ACME", 200), ("T0OTHER", 200), ("T0THIRD", 401)):
            payload = {
                "command": "/approvals", "text": "help", "team_id": team, "user_id": "U0ERIN", "user_name": "erin",
                "api_app_id": slack.workspace.app_id, "team_domain": "x", "channel_id": "C1", "trigger_id": f"{time.time()}",
            }  # fmt: skip
            body, headers = slack.signed(payload)
            kind = headers.pop("Content-Type")
            answer = Client(headers=headers).generic("POST", "/slack/events", body, content_type=kind)
            assert answer.status_code == status
