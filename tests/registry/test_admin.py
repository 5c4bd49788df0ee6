"""The administrators' pages, over HTTP as a browser meets them."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client

from countersign.proof.events import Event
from evidence import ledger
from registry import access, credentials, snapshot
from registry.models import Agent, Credential, Entity, Membership, Tenant, Tool
from tests.worlds import World, world


@pytest.fixture
def ours(database: None) -> World:
    return world()


def client_of(membership: Membership) -> Client:
    client = Client()
    client.force_login(membership.user)
    return client


@pytest.fixture
def browser(ours: World) -> Client:
    return client_of(ours.dana)


def detail(world_: World, kind: str, key: str) -> dict[str, Any]:
    statement = ledger.history(world_.slug, f"registry:{kind}:{key}", limit=1)[0]
    return dict(statement["predicate"])


pytestmark = pytest.mark.filterwarnings("ignore:No directory at")

PAGES = ["agent", "tool", "entity", "channel", "membership", "team", "credential", "release", "tenant"]


class TestEntrance:
    def test_sends_a_stranger_to_the_one_sign_in(self, ours: World) -> None:
        response = Client().get("/admin/", follow=False)
        assert response.status_code == 302
        assert Client().get(response["Location"])["Location"].startswith("/sign-in/?next=")

    @pytest.mark.parametrize("name", ["erin", "ada", "carol"])
    def test_refuses_members_without_the_role(self, ours: World, name: str) -> None:
        response = client_of(ours.people[name]).get("/admin/", follow=True)
        assert response.status_code == 403

    def test_knows_no_superuser_and_no_staff(self, ours: World) -> None:
        user = ours.erin.user
        user.is_superuser = user.is_staff = True
        user.save()
        assert client_of(ours.erin).get("/admin/registry/agent/", follow=True).status_code == 403

    def test_refuses_an_administrator_from_the_moment_they_are_none(self, ours: World, browser: Client) -> None:
        assert browser.get("/admin/").status_code == 200
        Membership.objects.filter(pk=ours.dana.pk).update(active=False)
        assert browser.get("/admin/", follow=True).status_code == 403

    def test_shows_a_closed_list_of_what_people_registered(self) -> None:
        shown = {model._meta.label for model in admin.site._registry}
        assert shown == {
            "registry.Agent", "registry.Tool", "registry.Entity", "registry.Channel", "registry.Membership",
            "registry.Team", "registry.Credential", "registry.Release", "registry.Tenant", "registry.Issuer",
            "connectors.Delivery", "connectors.Access", "approvals.Waiver",
        }  # fmt: skip


class TestLook:
    def test_has_the_blue_of_the_pages(self, browser: Client) -> None:
        accent = re.search(r"--accent: #(\w{6});", (settings.BASE_DIR / "static/css/site.css").read_text())
        assert accent
        red, green, blue = bytes.fromhex(accent[1])
        assert f"--color-primary-600: rgb({red}, {green}, {blue})" in browser.get("/admin/").content.decode()

    @pytest.mark.parametrize("key", ["caps", "arguments_schema", "argument_rules", "approval"])
    def test_json_is_typed_in_even_letters_under_its_name_in_a_blueprint(
        self, ours: World, browser: Client, key: str
    ) -> None:
        tool = ours.tenant.tools.get(tool_id="crm.lookup")
        page = browser.get(f"/admin/registry/tool/{tool.pk}/change/").content.decode()
        (box,) = re.findall(rf'<textarea name="{key}"[^>]*>', page)
        assert "font-family: var(--font-mono)" in box
        assert f"the shape of `tools[].{key}` in a blueprint" in page


class TestTenants:
    @pytest.mark.parametrize("page", PAGES)
    def test_abuse_057_shows_no_row_of_another_tenant(self, browser: Client, page: str) -> None:
        theirs = world(change={"entities": [{"type": "record", "id": "theirs"}]})
        body = browser.get(f"/admin/registry/{page}/?all=").content.decode()
        assert theirs.suffix not in body

    def test_abuse_057_opens_no_row_of_another_tenant(self, browser: Client) -> None:
        theirs = world()
        for page, row in (
            ("agent", theirs.tenant.agents.get()),
            ("membership", theirs.erin),
            ("tenant", theirs.tenant),
        ):
            for verb in ("change", "history"):
                response = browser.get(f"/admin/registry/{page}/{row.pk}/{verb}/")
                assert response.status_code in (302, 403), (page, verb)

    def test_offers_and_accepts_only_owners_of_the_same_tenant(self, ours: World, browser: Client) -> None:
        theirs = world()
        agent = ours.tenant.agents.get()
        assert theirs.suffix not in browser.get(f"/admin/registry/agent/{agent.pk}/change/").content.decode()
        response = browser.post(
            f"/admin/registry/agent/{agent.pk}/change/",
            {"owner": theirs.erin.pk, "team": agent.team_id, "intents": "", "tool_groups": "", "active": "on"},
        )
        assert response.status_code == 200
        agent.refresh_from_db()
        assert agent.owner == ours.dana

    def test_abuse_057_an_administrator_starts_in_the_tenant_they_joined_first(self, ours: World) -> None:
        theirs = world(change={"tenant": f"aaa-{ours.suffix}"})
        second = Membership.objects.create(tenant=theirs.tenant, user=ours.dana.user, roles=["admin"])
        body = client_of(second).get("/admin/registry/membership/").content.decode()
        assert ours.username("erin") in body

    def test_an_administrator_of_two_works_in_one_at_a_time(self, ours: World) -> None:
        theirs = world()
        second = Membership.objects.create(tenant=theirs.tenant, user=ours.dana.user, roles=["admin"])
        browser = client_of(second)
        browser.post("/admin/registry/tenant/", {"action": "work_in", "_selected_action": [theirs.tenant.pk]})
        assert browser.session[access.TENANT_KEY] == theirs.slug
        body = browser.get("/admin/registry/membership/").content.decode()
        assert theirs.username("erin") in body
        assert ours.username("erin") not in body


class TestSaving:
    def test_refuses_a_schema_nobody_can_check(self, ours: World, browser: Client) -> None:
        tool = ours.tenant.tools.get(tool_id="crm.lookup")
        response = browser.post(
            f"/admin/registry/tool/{tool.pk}/change/", tool_form(tool, arguments_schema='{"type": 7}')
        )
        assert b"not a valid JSON Schema" in response.content

    def test_abuse_049_refuses_a_quorum_of_nobody(self, ours: World, browser: Client) -> None:
        tool = ours.tenant.tools.get(tool_id="crm.lookup")
        for quorum in ("0", "-1", "null"):
            form = tool_form(tool, approval=f'{{"teams": ["finance"], "quorum": {quorum}}}')
            assert browser.post(f"/admin/registry/tool/{tool.pk}/change/", form).status_code == 200
        assert Tool.objects.get(pk=tool.pk).approval == {}

    def test_abuse_050_refuses_a_quorum_out_of_reach(self, ours: World, browser: Client) -> None:
        tool = ours.tenant.tools.get(tool_id="crm.lookup")
        epoch = Tenant.objects.get(pk=ours.tenant.pk).epoch
        form = tool_form(tool, approval='{"teams": ["finance"], "quorum": 4}')
        response = browser.post(f"/admin/registry/tool/{tool.pk}/change/", form, follow=True)
        assert "only 3 could" in response.content.decode()
        assert Tool.objects.get(pk=tool.pk).approval == {}
        assert Tenant.objects.get(pk=ours.tenant.pk).epoch == epoch

    def test_abuse_050_refuses_to_switch_off_the_person_a_quorum_needs(self, ours: World, browser: Client) -> None:
        rows = [ours.erin.pk, ours.frank.pk]
        response = browser.post(
            "/admin/registry/membership/", {"action": "deactivate", "_selected_action": rows}, follow=True
        )
        assert "Not saved" in response.content.decode()
        assert Membership.objects.filter(pk__in=rows, active=True).count() == 1

    def test_refuses_a_second_row_of_the_same_id(self, ours: World, browser: Client) -> None:
        form = {"agent_id": "support-bot", "owner": ours.dana.pk, "team": ours.tenant.teams.first().pk}
        assert browser.post("/admin/registry/agent/add/", form).status_code == 200
        assert ours.tenant.agents.count() == 1

    def test_writes_the_difference_into_the_ledger_and_raises_the_epoch(self, ours: World, browser: Client) -> None:
        agent = ours.tenant.agents.get()
        before = Tenant.objects.get(pk=ours.tenant.pk)
        form = {"owner": ours.erin.pk, "team": agent.team_id, "intents": "a\nb", "tool_groups": "crm", "active": "on"}
        assert browser.post(f"/admin/registry/agent/{agent.pk}/change/", form).status_code == 302
        predicate = detail(ours, "agent", "support-bot")
        assert predicate["event"] == Event.REGISTRY_CHANGED
        assert predicate["actor"] == {"type": "person", "id": ours.username("dana"), "auth": {}}
        assert predicate["detail"]["changes"]["owner"] == {
            "before": ours.username("dana"),
            "after": ours.username("erin"),
        }
        after = Tenant.objects.get(pk=ours.tenant.pk)
        assert (after.epoch, after.registry_revision) == (before.epoch + 1, before.registry_revision + 1)

    def test_adds_a_person_with_teams_and_tells_all_of_it(self, ours: World, browser: Client) -> None:
        team = ours.tenant.teams.get(name="finance")
        name = f"gus-{ours.suffix}"
        form = {
            "username": name,
            "email": f"{name}@acme.test",
            "in_teams": [team.pk],
            "roles": ["auditor"],
            "active": "on",
        }
        assert browser.post("/admin/registry/membership/add/", form).status_code == 302
        changes = detail(ours, "person", name)["detail"]["changes"]
        assert changes["teams"] == {"after": ["finance"]}
        assert changes["roles"] == {"after": ["auditor"]}

    def test_a_change_of_roles_is_an_event_of_its_own(self, ours: World, browser: Client) -> None:
        form = {"in_teams": [], "roles": ["admin"], "active": "on"}
        assert browser.post(f"/admin/registry/membership/{ours.ada.pk}/change/", form).status_code == 302
        assert detail(ours, "person", ours.username("ada"))["event"] == Event.ROLE_CHANGED

    def test_refuses_a_username_that_belongs_to_another_address(self, ours: World, browser: Client) -> None:
        theirs = world()
        form = {"username": theirs.username("erin"), "email": "mallory@acme.test", "active": "on"}
        response = browser.post("/admin/registry/membership/add/", form, follow=True)
        told = response.content.decode()
        assert "do not go together" in told
        assert "exists" not in told
        assert theirs.erin.user.email not in told
        assert not ours.tenant.memberships.filter(user=theirs.erin.user).exists()

    def test_deletes_catalogue_rows_with_a_record_and_nothing_else(self, ours: World, browser: Client) -> None:
        row = Entity.objects.create(tenant=ours.tenant, type="record", entity_id="r-1")
        browser.post(f"/admin/registry/entity/{row.pk}/delete/", {"post": "yes"})
        assert not Entity.objects.filter(pk=row.pk).exists()
        assert detail(ours, "entity", "record:r-1")["detail"]["verb"] == "removed"
        agent = ours.tenant.agents.get()
        assert browser.post(f"/admin/registry/agent/{agent.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_deactivates_and_activates_from_the_list(self, ours: World, browser: Client) -> None:
        agent = ours.tenant.agents.get()
        for name, active in (("deactivate", False), ("activate", True)):
            browser.post("/admin/registry/agent/", {"action": name, "_selected_action": [agent.pk]})
            assert Agent.objects.get(pk=agent.pk).active is active
            assert detail(ours, "agent", "support-bot")["detail"]["changes"]["active"]["after"] is active


def tool_form(tool: Tool, **fields: str) -> dict[str, Any]:
    return {
        "group": tool.group, "owner": tool.owner_id, "risk_tier": tool.risk_tier, "methods": "\n".join(tool.methods),
        "active": "on", "caps": "{}", "arguments_schema": "null", "argument_rules": "[]", "approval": "{}", **fields,
    }  # fmt: skip


class TestKeys:
    def test_shows_an_agents_key_once_and_it_works_at_once(self, ours: World, browser: Client) -> None:
        agent = ours.tenant.agents.get()
        response = browser.post("/admin/registry/agent/", {"action": "issue_key", "_selected_action": [agent.pk]})
        found = re.findall(r"csk_agent_\w+", response.content.decode())
        assert len(found) == 1
        assert "no-store" in response["Cache-Control"]
        presented = credentials.parse(found[0])
        assert presented
        assert snapshot.tenant_of(presented.key_id) == ours.slug
        row = Credential.objects.get(key_id=presented.key_id)
        for page in ("", f"{row.pk}/change/", f"{row.pk}/history/"):
            body = browser.get(f"/admin/registry/credential/{page}").content.decode()
            assert presented.secret not in body
            assert bytes(row.secret_hash).hex() not in body

    def test_issues_a_peps_key_from_its_form(self, ours: World, browser: Client) -> None:
        response = browser.post(
            "/admin/registry/credential/add/", {"kind": "pep", "name": "edge", "agents": "support-*"}
        )
        assert b"csk_pep_" in response.content
        assert ours.tenant.credentials.get(name="edge").agents == ["support-*"]

    def test_refuses_a_reach_that_its_kind_cannot_have(self, ours: World, browser: Client) -> None:
        response = browser.post("/admin/registry/credential/add/", {"kind": "verifier", "name": "v", "agents": "*"})
        assert b"has none of these" in response.content
        assert not ours.tenant.credentials.filter(name="v").exists()

    def test_revokes_from_the_list(self, ours: World, browser: Client) -> None:
        row = ours.credential(ours.pep_key)
        browser.post("/admin/registry/credential/", {"action": "revoke", "_selected_action": [row.pk]})
        row.refresh_from_db()
        assert row.revoked_at is not None
        assert detail(ours, "credential", row.key_id)["event"] == Event.CREDENTIAL_REVOKED


class TestHistory:
    def test_reads_the_ledger(self, ours: World, browser: Client) -> None:
        ours.apply(agents=[{"id": "support-bot", "owner": ours.username("erin"), "team": "support"}])
        agent = ours.tenant.agents.get()
        body = browser.get(f"/admin/registry/agent/{agent.pk}/history/").content.decode()
        assert f"<del>{ours.username('dana')}</del>" in body
        assert f"<ins>{ours.username('erin')}</ins>" in body
        assert "registry.changed" in body

    @pytest.mark.parametrize("page", PAGES)
    def test_every_page_opens(self, ours: World, browser: Client, page: str) -> None:
        ours.apply(
            entities=[{"type": "record", "id": "r"}],
            channels=[{"kind": "slack", "channel": "C1", "teams": ["finance"]}],
        )
        assert browser.get(f"/admin/registry/{page}/?q=a").status_code == 200
        model = next(model for model in admin.site._registry if model._meta.model_name == page)
        row = ours.tenant if page == "tenant" else model._default_manager.filter(tenant=ours.tenant).first()
        for verb in ("change", "history"):
            assert browser.get(f"/admin/registry/{page}/{row.pk}/{verb}/").status_code == 200, verb
        adds = browser.get(f"/admin/registry/{page}/add/").status_code
        assert adds == (403 if page in ("channel", "release", "tenant") else 200)


class TestVotingKeys:
    def test_abuse_141_an_administrator_makes_no_voting_key_for_another(self, browser: Client, ours: World) -> None:
        given = {"kind": "person", "name": "x", "membership": ours.erin.pk, "scopes": ["read", "vote"]}
        response = browser.post("/admin/registry/credential/add/", given)
        assert "csk_person_" not in response.content.decode()
        assert not Credential.objects.filter(membership=ours.erin).exists()
