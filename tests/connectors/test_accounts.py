"""Credentials are one tenant's: sealed in its row, or the environment's for the tenant that is named."""

import pytest
from django.conf import settings

from connectors import accounts
from connectors.models import Access
from evidence import clock, keys
from evidence.models import Record
from registry.models import Tenant
from tests.worlds import SETUP, World, world

JIRA = {"url": "https://acme.atlassian.net", "email": "bot@acme.test", "token": "s3cret-token", "webhook_secret": "w"}


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture
def slack(monkeypatch):
    given = settings.COUNTERSIGN.model_copy(
        update={"slack_bot_token": "xoxb-1", "slack_signing_secret": "s", "connector_tenant": ""}
    )
    monkeypatch.setattr(settings, "COUNTERSIGN", given)

    def named(slug: str):
        monkeypatch.setattr(settings, "COUNTERSIGN", given.model_copy(update={"connector_tenant": slug}))

    return named


def save(ours: World, **changes: str) -> None:
    accounts.save(ours.tenant, "jira", JIRA | changes, actor=SETUP, now=clock.now())


class TestSave:
    @pytest.mark.parametrize("wrong", [{"token": " "}, {"webhook_secret": ""}, {"colour": "blue"}])
    def test_abuse_092_refuses_what_lacks_its_secret(self, ours, wrong):
        with pytest.raises(accounts.BadSettings) as refused:
            save(ours, **wrong)
        assert JIRA["token"] not in str(refused.value)

    def test_keeps_them_sealed_and_opens_them_for_that_tenant_alone(self, ours):
        save(ours)
        assert accounts.account(ours.tenant, "jira").settings == JIRA
        other = world()
        assert accounts.account(other.tenant, "jira") is None
        row = Access.objects.get(tenant=ours.tenant)
        assert JIRA["token"].encode() not in bytes(row.box)
        Access.objects.create(tenant=other.tenant, kind="jira", box=row.box, updated_at=clock.now())
        with pytest.raises(keys.CannotUnseal):
            accounts.account(other.tenant, "jira")
        Access.objects.filter(tenant=other.tenant).delete()

    def test_abuse_140_a_row_that_does_not_open_silences_its_own_tenant_alone(self, ours):
        save(ours)
        other = world()
        Access.objects.create(tenant=other.tenant, kind="jira", box=b"by hand", updated_at=clock.now())
        assert ours.tenant.pk in {one.tenant_id for one in accounts.accounts("jira")}
        assert other.tenant.pk not in {one.tenant_id for one in accounts.accounts("jira")}
        Access.objects.filter(tenant=other.tenant).delete()

    def test_replaces_a_row_that_does_not_open(self, ours):
        Access.objects.filter(tenant=ours.tenant).delete()
        Access.objects.create(tenant=ours.tenant, kind="jira", box=b"by hand", updated_at=clock.now())
        save(ours)
        assert accounts.account(ours.tenant, "jira").settings == JIRA

    @pytest.mark.parametrize(
        "url", ["http://acme.atlassian.net", "ftp://acme.atlassian.net", "https://me:s3cret-token@acme.test", "acme"]
    )
    def test_lets_no_credentials_travel_in_clear(self, ours, url):
        with pytest.raises(accounts.BadSettings) as refused:
            save(ours, url=url)
        assert JIRA["token"] not in str(refused.value)

    def test_records_the_change_and_no_secret(self, ours):
        save(ours)
        save(ours, token="another-token")
        bodies = [bytes(one.body) for one in Record.objects.filter(log=ours.slug, thread="registry:connector:jira")]
        assert bodies
        assert not any((b"token" in body and b"s3cret" in body) or b"another-token" in body for body in bodies)

    def test_ends_the_warning_of_a_blueprint_that_names_a_channel_there(self, ours):
        channels = [{"kind": "jira", "project": "OPS", "teams": ["finance"]}]
        accounts.forget(ours.tenant, "jira", actor=SETUP, now=clock.now())
        assert "jira connector is not configured" in ours.apply(channels=channels).warnings[0]
        save(ours)
        assert ours.apply(channels=channels).warnings == ()

    def test_forgets_them_on_record(self, ours):
        save(ours)
        accounts.forget(ours.tenant, "jira", actor=SETUP, now=clock.now())
        assert accounts.account(ours.tenant, "jira") is None
        newest = Record.objects.filter(log=ours.slug, thread="registry:connector:jira").order_by("-n").first()
        assert b'"verb":"removed"' in bytes(newest.body)


class TestEnvironment:
    def test_belongs_to_nobody_where_there_are_several_and_none_is_named(self, ours, slack):
        world()
        assert accounts.account(ours.tenant, "slack") is None
        assert ours.slug not in _tenants("slack")
        with pytest.raises(accounts.TenantNotNamed, match="COUNTERSIGN_CONNECTOR_TENANT"):
            accounts.check_environment()

    def test_a_blueprint_that_makes_it_nobodys_warns(self, ours, slack):
        world()
        assert "COUNTERSIGN_CONNECTOR_TENANT must name" in ours.apply().warnings[-1]
        slack(ours.slug)
        assert ours.apply().warnings == ()

    def test_that_it_became_nobodys_is_logged_once(self, ours, slack, monkeypatch, caplog):
        monkeypatch.setattr(accounts, "_said", [])
        world()
        for _ in range(2):
            accounts.account(ours.tenant, "slack")
            accounts.accounts("slack")
        assert [one.message for one in caplog.records if "COUNTERSIGN_CONNECTOR_TENANT" in one.message] == [
            accounts.worry()
        ]

    def test_belongs_to_the_one_that_is_named(self, ours, slack):
        slack(ours.slug)
        accounts.check_environment()
        assert accounts.account(ours.tenant, "slack").settings["bot_token"] == "xoxb-1"
        assert accounts.account(world().tenant, "slack") is None
        assert _tenants("slack").count(ours.slug) == 1
        assert accounts.kinds_of(ours.tenant) == {"slack"}

    def test_refuses_a_name_that_is_no_tenant(self, ours, slack):
        slack("nobody-here")
        assert Tenant.objects.exists()
        with pytest.raises(accounts.TenantNotNamed, match="nobody-here"):
            accounts.check_environment()

    def test_stands_behind_the_tenants_own_row(self, ours, slack):
        slack(ours.slug)
        own = {"bot_token": "xoxb-own", "signing_secret": "own"}
        accounts.save(ours.tenant, "slack", own, actor=SETUP, now=clock.now())
        assert accounts.account(ours.tenant, "slack").settings["bot_token"] == "xoxb-own"
        assert _tenants("slack").count(ours.slug) == 1
        accounts.forget(ours.tenant, "slack", actor=SETUP, now=clock.now())


def _tenants(kind: str) -> list[str]:
    """Who has access to a system, other tests' tenants among them."""
    return [one.tenant for one in accounts.accounts(kind)]
