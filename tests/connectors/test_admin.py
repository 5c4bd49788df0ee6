"""Administrators see what was given up, send it again, try a channel, and enter credentials that are never shown."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from approvals import alerting
from connectors import accounts, health
from connectors.models import Access, Delivery, State
from evidence import clock
from outbox import pump
from outbox.models import Job
from outbox.models import State as JobState
from registry.models import Membership
from tests.approvals import asking
from tests.connectors.board import KIND, Board, Fault, board, channel, connect
from tests.worlds import World, world


@pytest.fixture(autouse=True)
def _only_mine() -> None:
    Job.objects.filter(state=JobState.READY).update(state=JobState.DONE, dedupe=None)


@pytest.fixture
def here() -> Iterator[Board]:
    with board() as made:
        yield made


@pytest.fixture
def ours(here: Board) -> World:
    made = world(quorum=2, step_up="none", change={"channels": []})
    connect(made.tenant, here.url)
    channel(made.tenant)
    return made


@pytest.fixture
def dana(ours: World) -> Client:
    client = Client()
    client.force_login(ours.dana.user)
    return client


def pumped() -> None:
    while pump.run_due():
        pass


def act(client: Client, page: str, name: str, *rows) -> str:
    answer = client.post(f"/admin/{page}/", {"action": name, "_selected_action": [row.pk for row in rows]}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def given_up(ours: World, here: Board) -> Delivery:
    here.always = Fault(status=403)
    request = asking.opened(ours)
    pumped()
    here.always = None
    return Delivery.objects.get(request=request)


class TestDeliveries:
    def test_are_closed_to_members_who_are_no_administrators(self, ours, here):
        row = given_up(ours, here)
        erin = Client()
        erin.force_login(ours.erin.user)
        for page in ("", f"{row.pk}/change/", "health_of_connectors"):
            assert erin.get(f"/admin/connectors/delivery/{page}").status_code in {302, 403, 404}

    def test_of_other_tenants_are_not_there(self, ours, here, dana):
        other = world(quorum=2, step_up="none", change={"channels": []})
        connect(other.tenant, here.url)
        channel(other.tenant)
        theirs = given_up(other, here)
        assert theirs.request_id not in dana.get("/admin/connectors/delivery/").content.decode()
        assert dana.get(f"/admin/connectors/delivery/{theirs.pk}/change/").status_code != 200
        act(dana, "connectors/delivery", "send_again", theirs)
        theirs.refresh_from_db()
        assert theirs.state == State.DEAD

    def test_that_were_given_up_are_shown_with_their_error_and_sent_again(self, ours, here, dana):
        row = given_up(ours, here)
        page = dana.get("/admin/connectors/delivery/?state__exact=dead").content.decode()
        assert row.request_id in page
        assert "The board answered 403." in page
        assert "The board answered 403." in dana.get(f"/admin/connectors/delivery/{row.pk}/change/").content.decode()
        assert "1 will be sent again" in act(dana, "connectors/delivery", "send_again", row)
        pumped()
        row.refresh_from_db()
        assert row.state == State.DONE
        assert len(here.about(row.request_id)) == 1

    def test_tell_the_health_of_each_connector(self, ours, here, dana):
        channel(ours.tenant, "lost").delete()
        ours.tenant.channels.create(kind="slack", key="C1", teams=["finance"])
        page = dana.get("/admin/connectors/delivery/", follow=True).content.decode()
        link = next(part.split('"')[0] for part in page.split('href="') if "health" in part.split('"')[0])
        told = dana.get(link).content.decode()
        assert "The board answers." in told
        assert "Channel C1 is told nothing" in told
        here.always = Fault(status=500)
        assert "The board answered 500." in dana.get(link).content.decode()


class TestChannels:
    def test_take_a_test_message(self, ours, here, dana):
        row = ours.tenant.channels.get(kind=KIND)
        assert "on its way" in act(dana, "registry/channel", "send_test_message", row)
        pumped()
        assert ["test message" in one["words"] for one in here.messages.values()] == [True]

    def test_say_when_nobody_is_connected(self, ours, dana):
        row = ours.tenant.channels.create(kind="jira", key="OPS", teams=["finance"])
        assert "jira is not connected" in act(dana, "registry/channel", "send_test_message", row)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the while in which others may undo."""
    given = settings.COUNTERSIGN.model_copy(update={"connector_cooldown": timedelta(0)})
    monkeypatch.setattr(settings, "COUNTERSIGN", given)


class TestAccess:
    def save(self, dana: Client, given: str, kind: str = "jira") -> str:
        answer = dana.post("/admin/connectors/access/add/", {"kind": kind, "given": given}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    def test_refuses_what_lacks_something_and_shows_no_secret(self, ours, dana):
        page = self.save(dana, "url: https://a.atlassian.net\ntoken: s3cret-value")
        assert "jira needs email, webhook_secret" in page
        assert not Access.objects.filter(tenant=ours.tenant, kind="jira").exists()

    @pytest.mark.usefixtures("at_once")
    def test_keeps_credentials_replaces_them_and_never_shows_them(self, ours, dana):
        whole = "url: https://a.atlassian.net\nemail: a@b.test\ntoken: s3cret-value\nwebhook_secret: w"
        self.save(dana, whole)
        row = Access.objects.get(tenant=ours.tenant, kind="jira")
        assert accounts.account(ours.tenant, "jira").settings["token"] == "s3cret-value"
        for page in ("", f"{row.pk}/change/", f"{row.pk}/history/"):
            answer = dana.get(f"/admin/connectors/access/{page}")
            assert answer.status_code == 200
            assert "s3cret-value" not in answer.content.decode()
        dana.post(f"/admin/connectors/access/{row.pk}/change/", {"given": whole.replace("s3cret", "n3w")}, follow=True)
        assert accounts.account(ours.tenant, "jira").settings["token"] == "n3w-value"

    @pytest.mark.usefixtures("at_once")
    def test_forgets_credentials(self, ours, dana):
        whole = "url: https://a.atlassian.net\nemail: a@b.test\ntoken: s3cret-value\nwebhook_secret: w"
        self.save(dana, whole)
        row = Access.objects.get(tenant=ours.tenant, kind="jira")
        dana.post(f"/admin/connectors/access/{row.pk}/delete/", {"post": "yes"})
        assert accounts.account(ours.tenant, "jira") is None


class TestWaiting:
    """What one administrator enters on the page waits for another."""

    WHOLE = "url: https://a.atlassian.net\nemail: a@b.test\ntoken: s3cret-value\nwebhook_secret: w"

    @pytest.fixture
    def row(self, ours: World, dana: Client) -> Access:
        page = dana.post("/admin/connectors/access/add/", {"kind": "jira", "given": self.WHOLE}, follow=True)
        assert "or once another administrator confirms them" in page.content.decode()
        return Access.objects.get(tenant=ours.tenant, kind="jira")

    @pytest.fixture
    def carol(self, ours: World) -> Client:
        Membership.objects.filter(pk=ours.carol.pk).update(roles=["admin"])
        client = Client()
        client.force_login(ours.carol.user)
        return client

    def test_abuse_141_who_entered_them_cannot_confirm_them(self, ours, dana, row):
        assert "another administrator must confirm" in act(dana, "connectors/access", "confirm", row)
        assert accounts.account(ours.tenant, "jira") is None

    def test_another_confirms_them_and_they_count(self, ours, carol, row):
        assert f"entered by {ours.username('dana')}" in carol.get("/admin/connectors/access/").content.decode()
        assert "counts now" in act(carol, "connectors/access", "confirm", row)
        assert accounts.account(ours.tenant, "jira").settings["token"] == "s3cret-value"
        assert "Nothing waits" in act(carol, "connectors/access", "confirm", row)

    def test_another_undoes_them(self, ours, carol, row):
        assert "will not count" in act(carol, "connectors/access", "undo", row)
        assert not Access.objects.filter(pk=row.pk).exists()

    def test_another_tenants_administrator_sees_nothing_of_it(self, ours, row):
        stranger = Client()
        stranger.force_login(world().dana.user)
        act(stranger, "connectors/access", "confirm", row)
        assert accounts.account(ours.tenant, "jira") is None

    def test_the_doctor_says_that_they_wait(self, ours, row):
        (told,) = [found for found in health.of_tenant(ours.tenant) if found.kind == "jira"]
        assert told.text.startswith(f"Other credentials, entered by {ours.username('dana')}, count from")

    def test_the_page_of_alerts_says_who_changed_what(self, ours, row):
        (told,) = alerting.latest(ours.slug, now=clock.now())
        assert (told.subject, told.link) == ("jira", "/admin/connectors/access/")
        assert ours.username("dana") in told.words


class TestDoctor:
    def test_says_what_is_connected_and_what_is_told_nothing(self, ours, here):
        """What it is told of this tenant: others in the same database may be in any state."""
        ours.tenant.channels.create(kind="slack", key="C1", teams=["finance"])
        told = {(found.kind, found.ok): found.text for found in health.of_tenant(ours.tenant)}
        assert (KIND, True) in told
        assert told["slack", False].startswith("Channel C1 is told nothing: slack is not connected.")

    @pytest.mark.parametrize("command", ["up", "pump"])
    def test_starts_nothing_while_credentials_are_nobodys(self, ours, monkeypatch, command):
        world()
        given = settings.COUNTERSIGN.model_copy(update={"jira_url": "https://a.atlassian.net", "connector_tenant": ""})
        monkeypatch.setattr(settings, "COUNTERSIGN", given)
        with pytest.raises(CommandError, match="COUNTERSIGN_CONNECTOR_TENANT"):
            call_command(command)
