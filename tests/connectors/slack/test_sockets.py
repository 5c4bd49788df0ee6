"""Slack heard through sockets that we open: the same answers as over HTTP, for the one tenant that is meant."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from approvals.models import Vote
from connectors import accounts
from connectors.models import Access
from connectors.slack import card
from connectors.slack.sockets import Sockets, hearing
from connectors.slack.transport import SILENT
from registry.models import Tenant
from tests.connectors.slack.house import House, act, connect, link
from tests.connectors.slack_world import SlackWorld, slack_world
from tests.worlds import world


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackWorld]:
    """It knows no address of ours."""
    with slack_world() as made:
        yield made


@pytest.fixture
def ours(slack: SlackWorld) -> House:
    """Accounts of other tests, whose Slack is gone, are out of the way."""
    Access.objects.filter(kind="slack").delete()
    slack.workspace.calls.clear()
    made = world(quorum=1, step_up="none")
    join(made.tenant, slack)
    link(made.erin, "erin")
    slack.pressed = act
    return House(made, slack)


def join(tenant: Tenant, slack: SlackWorld, **changes: str) -> None:
    connect(tenant, slack, **{"signing_secret": "", **changes})


@pytest.fixture
def calm(slack: SlackWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a connection is opened by one call, and another one comes only after a while."""
    monkeypatch.setattr(slack.workspace.faults, "weather", None)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    made.close()


def agree(sockets: Sockets) -> list[str]:
    return sockets.agree(accounts.accounts("slack"))


def press_approve(house: House, who: str):
    request = house.opened()
    return request, house.slack.press(who, house.card(request).ts, card.APPROVE)


class TestSockets:
    def test_a_click_that_comes_through_a_socket_counts(self, ours, sockets):
        assert agree(sockets) == []
        request, delivered = press_approve(ours, "erin")
        assert delivered.is_taken
        assert Vote.objects.get(request=request).membership == ours.world.erin

    @pytest.mark.usefixtures("calm")
    def test_opens_what_is_new_and_closes_what_is_gone(self, ours, sockets):
        agree(sockets)
        agree(sockets)
        assert len(ours.slack.calls("apps.connections.open")) == 1
        Access.objects.filter(tenant=ours.world.tenant).delete()
        agree(sockets)
        assert sockets.tenants == []
        ours.slack.until(lambda: not ours.slack.sockets.are_open)

    @pytest.mark.usefixtures("calm")
    def test_a_refused_token_is_told_without_the_token(self, ours, sockets):
        join(ours.world.tenant, ours.slack, app_token="xapp-1-A0COUNTERSIGN-wrong")
        (words,) = agree(sockets)
        assert words.startswith(f"{ours.world.slug}: Slack does not take the app-level token")
        assert "wrong" not in words
        assert sockets.tenants == []

    def test_an_account_without_an_app_token_opens_none(self, ours, sockets):
        connect(ours.world.tenant, ours.slack, app_token="")
        assert agree(sockets) == []
        assert sockets.tenants == []


class Taken:
    """Where acknowledgements go, in place of an open socket: closing one takes Slack's client seconds."""

    logger = SILENT

    def __init__(self) -> None:
        self.envelopes: list[str] = []

    def send_socket_mode_response(self, response: SocketModeResponse) -> None:
        self.envelopes.append(response.envelope_id)


class TestHearing:
    """One app's payload, and the tenants that have this app."""

    def hear(self, house: House):
        request = house.opened()
        payload = house.slack.press_payload("erin", house.card(request).ts, card.APPROVE)
        taken = Taken()
        hearing(accounts.accounts("slack"))(taken, SocketModeRequest("interactive", "e1", payload))
        act()
        return taken.envelopes, Vote.objects.filter(request=request).count()

    def test_abuse_082_a_click_for_another_workspace_is_not_taken(self, ours):
        join(ours.world.tenant, ours.slack, team="T0OTHER")
        assert self.hear(ours) == ([], 0)

    def test_one_app_of_two_tenants_answers_for_the_workspace_that_is_meant(self, ours):
        join(world(quorum=1, step_up="none").tenant, ours.slack, team="T0OTHER")
        assert self.hear(ours) == (["e1"], 1)

    def test_where_two_tenants_could_be_meant_neither_is(self, ours):
        for tenant in (ours.world.tenant, world(quorum=1, step_up="none").tenant):
            join(tenant, ours.slack, team="")
        assert self.hear(ours) == ([], 0)

    def test_what_nobody_understands_is_not_taken(self, ours):
        taken = Taken()
        for payload in ({}, {"type": "block_actions", "api_app_id": "A0COUNTERSIGN", "team": {"id": "T0ACME"}}):
            hearing(accounts.accounts("slack"))(taken, SocketModeRequest("interactive", "e1", payload))
        assert taken.envelopes == []


class TestCommand:
    def test_says_what_is_missing_where_nobody_has_a_token(self, ours):
        Access.objects.filter(kind="slack").delete()
        with pytest.raises(CommandError, match="COUNTERSIGN_SLACK_APP_TOKEN"):
            call_command("slack_socket")

    @pytest.mark.usefixtures("calm")
    def test_listens_until_it_is_told_to_stop(self, ours, capsys):
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        pressed: list[bool] = []

        def act() -> None:
            try:
                ours.slack.until(lambda: ours.slack.sockets.are_open)
                pressed.append(press_approve(ours, "erin")[1].is_taken)
            finally:
                connections.close_all()
                os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=act)
        try:
            thread.start()
            call_command("slack_socket")
        finally:
            thread.join()
            for number, handler in before.items():
                signal.signal(number, handler)
        assert pressed == [True]
        assert f"Listening to Slack for {ours.world.slug}" in capsys.readouterr().out
        ours.slack.until(lambda: not ours.slack.sockets.are_open)
