"""What people write down, made so: located mistakes, one transaction, twice is once."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from countersign.policy.source import PolicyErrors
from countersign.proof.events import Event
from evidence import clock, ledger
from evidence.models import Record
from registry import blueprints
from registry.blueprints import channels, report, source
from registry.models import Agent, Channel, Entity, Membership, Release, Tenant, Tool
from tests.worlds import AGENT, BLUEPRINT, POLICY, SETUP, World, world

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "registry" / "blueprint.schema.json").read_text())


@pytest.fixture
def ours(database: None) -> World:
    return world()


def parse(text: str) -> blueprints.Blueprint:
    return blueprints.parse(text, file="b.yaml", read=lambda _: POLICY)


def refused(text: str) -> list[str]:
    with pytest.raises(PolicyErrors) as errors:
        parse(text)
    return [str(problem) for problem in errors.value.problems]


def state(world_: World) -> tuple[int, int, int]:
    tenant = Tenant.objects.get(pk=world_.tenant.pk)
    return tenant.epoch, tenant.registry_revision, Record.objects.filter(log=world_.slug).count()


def tool(world_: World, **members: Any) -> dict[str, Any]:
    given = {"id": "crm.lookup", "group": "crm", "owner": world_.username("dana"), "risk_tier": 1, "methods": ["get"]}
    return given | members


MISTAKES = {
    "no tenant": "people: []",
    "a tenant nobody could name a log after": "tenant: Acme Inc",
    "an unknown key": "tenant: t\ntoolz: []",
    "an unknown member": "tenant: t\nteams: [{name: a, size: 3}]",
    "a bad username": "tenant: t\npeople: [{username: Erin, email: e@x.test}]",
    "no address": "tenant: t\npeople: [{username: erin, email: nowhere}]",
    "an unknown role": "tenant: t\npeople: [{username: erin, email: e@x.test, roles: [root]}]",
    "an agent without a team": "tenant: t\nagents: [{id: a, owner: erin}]",
    "a star in an id": "tenant: t\nagents: [{id: 'a*', owner: erin, team: a}]",
    "a fifth tier": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 5, methods: [get]}]",
    "no methods": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: []}]",
    "a rate of nothing": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: [m], caps: {rate: [0/day]}}]",
    "money as a float": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: [m], caps: {spend: {argument: x, per_day: 1.5, currency: EUR}}}]",
    "a quorum of nobody": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: [m], approval: {teams: [f], quorum: 0}}]",
    "a schema that is none": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: [m], arguments_schema: 7}]",
    "a rule about nothing": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: [m], argument_rules: [{argument: q}]}]",
    "a descriptor that is no digest": "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: [m], descriptor_digest: abc}]",
    "an agent among the entities": "tenant: t\nentities: [{type: agent, id: a}]",
    "a channel of no kind": "tenant: t\nchannels: [{kind: pigeon, loft: a, teams: [f]}]",
    "a channel for nobody": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: []}]",
    "a channel for no team and not for all": "tenant: t\nchannels: [{kind: slack, channel: C1}]",
    "a channel for a team and for all": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], tenant_wide: true}]",
    "a channel for a fifth tier": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], min_risk_tier: 5}]",
    "a channel for a bad glob": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], tool_groups: ['pay[']}]",
    "a channel for no tool": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], tool_groups: []}]",
    "a Jira transition for no end": "tenant: t\nchannels: [{kind: jira, project: P, teams: [f], transitions: {approve: Go}}]",
    "a Jira transition without a name": "tenant: t\nchannels: [{kind: jira, project: P, teams: [f], transitions: {denied: ''}}]",
    "Jira transitions that are a list": "tenant: t\nchannels: [{kind: jira, project: P, teams: [f], transitions: [Go]}]",
    "origins by mail": "tenant: t\nchannels: [{kind: email, address: a@b.c, teams: [f], origins: [C1]}]",
    "an origin that is no channel's id": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], origins: ['#ops']}]",
    "an origin that is no project's key": "tenant: t\nchannels: [{kind: jira, project: P, teams: [f], origins: [OPS-1]}]",
    "origins that are one word": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], origins: C1}]",
    "no origins in a list": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], origins: []}]",
    "an issue type in Slack": "tenant: t\nchannels: [{kind: slack, channel: C1, teams: [f], issue_type: Task}]",
    "an active that is text": "tenant: t\nagents: [{id: a, owner: e, team: f, active: 'no'}]",
    "no open request at all": "tenant: t\nsettings: {max_open_requests: 0}",
}


class TestParse:
    @pytest.mark.parametrize("mistake", MISTAKES)
    def test_refuses_and_so_does_the_schema_that_editors_use(self, mistake: str) -> None:
        problems = refused(MISTAKES[mistake])
        assert all(problem.startswith("b.yaml:") for problem in problems)
        assert not jsonschema_rs.is_valid(SCHEMA, yaml.safe_load(MISTAKES[mistake]))

    def test_reports_ten_mistakes_at_once_each_at_its_place(self) -> None:
        text = (
            "tenant: t\n"
            "settings: {max_open_requests: 0}\n"
            "people:\n"
            "  - {username: Erin, email: e@x.test}\n"
            "  - {username: bob, email: nowhere, roles: [root]}\n"
            "agents:\n"
            "  - {id: a, owner: bob}\n"
            "tools:\n"
            "  - {id: t, group: g, owner: bob, risk_tier: 9, methods: [], approval: {teams: [f], quorum: -1}}\n"
            "entities: [{type: agent, id: x}]\n"
            "channels: [{kind: pigeon}]\n"
            "what: 1\n"
        )
        lines = text.splitlines()
        marks = [
            (2, "0}"), (4, "Erin"), (5, "nowhere"), (5, "root"), (7, "{"), (9, "9,"), (9, "[]"), (9, "-1"), (10, "agent"),
            (11, "pigeon"), (12, "what"),
        ]  # fmt: skip
        expected = {f"b.yaml:{line}:{lines[line - 1].index(mark) + 1}" for line, mark in marks}
        assert expected == {problem.split(": ")[0] for problem in refused(text)}

    def test_refuses_what_is_not_yaml_without_a_stack_of_other_complaints(self) -> None:
        assert len(refused("tenant: [")) == 1

    def test_refuses_one_thing_twice(self) -> None:
        assert (
            "agent 'a' is there already"
            in refused("tenant: t\nagents:\n  - {id: a, owner: e, team: f}\n  - {id: a, owner: e, team: f}")[0]
        )

    def test_abuse_039_refuses_one_chat_identity_for_two_people(self) -> None:
        text = "tenant: t\npeople:\n  - {username: a, email: a@x.test, slack: T/U}\n  - {username: b, email: b@x.test, slack: T/U}"
        assert "slack identity 'T/U' is there already" in refused(text)[0]

    def test_refuses_numbers_that_evidence_cannot_keep(self) -> None:
        assert (
            "cannot be kept exactly"
            in refused("tenant: t\nentities: [{type: r, id: x, properties: {n: 9007199254740993}}]")[0]
        )

    @pytest.mark.parametrize("quorum", ["0", "-1", "null", "'2'", "1.5", "true"])
    def test_abuse_049_refuses_a_quorum_that_is_no_count_of_people(self, quorum: str) -> None:
        text = f"tenant: t\ntools: [{{id: a, group: g, owner: e, risk_tier: 1, methods: [m], approval: {{teams: [f], quorum: {quorum}}}}}]"
        place = text.splitlines()[1].index(f"{quorum}}}") + 1
        assert [problem.split(": ")[0] for problem in refused(text)] == [f"b.yaml:2:{place}"]

    def test_refuses_a_step_up_that_nobody_can_pass(self) -> None:
        text = "tenant: t\ntools: [{id: a, group: g, owner: e, risk_tier: 1, methods: [m], approval: {teams: [f], step_up: webauthn}}]"
        (problem,) = refused(text)
        assert problem.startswith(
            f"b.yaml:2:{text.splitlines()[1].index('webauthn') + 1}: nobody can meet 'webauthn' yet"
        )

    def test_the_quickstart_fits_the_schema(self) -> None:
        jsonschema_rs.validate(SCHEMA, yaml.safe_load(BLUEPRINT))
        assert parse(BLUEPRINT).tenant == "acme"

    def test_the_schema_the_reader_and_the_page_know_the_same_members(self) -> None:
        assert set(SCHEMA["properties"]) == set(source._TOP)
        assert set(SCHEMA["properties"]["tools"]["items"]["properties"]) == set(source._TOOL)
        for channel in SCHEMA["properties"]["channels"]["items"]["oneOf"]:
            kind = channel["properties"]["kind"]["const"]
            options = channels.OPTIONS.get(kind, ())
            place = channels.KEYS[kind]
            assert set(channel["properties"]) == {"kind", place, "teams", *channels.ROUTING, *options}
        kinds = {one["properties"]["kind"]["const"] for one in SCHEMA["properties"]["channels"]["items"]["oneOf"]}
        assert kinds == set(channels.KEYS)
        page = (ROOT / "docs" / "blueprint.md").read_text()
        sections = [
            SCHEMA,
            *(part["items"] for name, part in SCHEMA["properties"].items() if "items" in part and name != "channels"),
        ]
        missing = [name for part in sections for name in part["properties"] if f"`{name}`" not in page]
        assert not missing


class TestApply:
    def test_refuses_references_to_nobody_at_their_places(self, ours: World) -> None:
        before = state(ours)
        with pytest.raises(PolicyErrors) as errors:
            ours.apply(
                agents=[{"id": "a", "owner": "nobody", "team": "nowhere"}],
                tools=[tool(ours, approval={"teams": ["finanze"]})],
                channels=[{"kind": "slack", "channel": "C1", "teams": ["nowhere"]}],
            )
        text = str(errors.value)
        assert "no person 'nobody' exists" in text
        assert text.count("no team 'nowhere' exists") == 2
        assert "no team 'finanze' exists; did you mean 'finance'?" in text
        assert state(ours) == before

    def test_abuse_050_refuses_a_quorum_above_the_people_there_are(self, ours: World) -> None:
        with pytest.raises(PolicyErrors, match="needs 4 to agree but only 3 could"):
            ours.apply(tools=[tool(ours, approval={"teams": ["finance"], "quorum": 4})])
        assert Tool.objects.get(tenant=ours.tenant, tool_id="crm.lookup").approval == {}

    def test_abuse_050_counts_aliases_of_one_human_once(self, ours: World) -> None:
        alias = {"username": ours.username("erin2"), "email": f"erin-{ours.suffix}+2@acme.test", "teams": ["finance"]}
        with pytest.raises(PolicyErrors, match="needs 4 to agree but only 3 could"):
            ours.apply(people=[alias], tools=[tool(ours, approval={"teams": ["finance"], "quorum": 4})])

    def test_abuse_050_refuses_to_take_away_the_people_a_tool_needs(self, ours: World) -> None:
        gone = [
            {"username": ours.username(name), "email": ours.people[name].user.email, "teams": []}
            for name in ("erin", "frank")
        ]
        with pytest.raises(PolicyErrors, match=r"tool 'payments.refund' needs 2 to agree but only 1 could"):
            ours.apply(people=gone)

    def test_refuses_to_move_an_address(self, ours: World) -> None:
        with pytest.raises(PolicyErrors, match="cannot be changed here"):
            ours.apply(people=[{"username": ours.username("erin"), "email": "new@acme.test", "teams": ["finance"]}])

    def test_refuses_a_login_of_another_tenant_with_another_address(self, ours: World) -> None:
        theirs = world()
        with pytest.raises(PolicyErrors, match="exists with another e-mail address"):
            ours.apply(people=[{"username": theirs.username("erin"), "email": "mallory@acme.test"}])

    def test_a_mistake_in_the_policy_takes_the_whole_blueprint_back(self, ours: World) -> None:
        before = state(ours)
        text = yaml.safe_dump({"tenant": ours.slug, "teams": [{"name": "new"}], "policy": "p.yaml"})
        blueprint = blueprints.parse(text, file="b.yaml", read=lambda _: "version: 1\nrules: [{id: a}]\n")
        with pytest.raises(PolicyErrors, match=r"p\.yaml:2"):
            blueprints.apply(blueprint, actor=SETUP, now=clock.now())
        assert state(ours) == before
        assert not ours.tenant.teams.filter(name="new").exists()

    def test_names_the_policy_with_the_folder_of_the_blueprint(self, ours: World) -> None:
        text = yaml.safe_dump({"tenant": ours.slug, "policy": "p.yaml"})
        blueprint = blueprints.parse(text, file="mydir/b.yaml", read=lambda _: "version: 1\nrules: [{id: a}]\n")
        with pytest.raises(PolicyErrors, match=r"^mydir/p\.yaml:2"):
            blueprints.apply(blueprint, actor=SETUP, now=clock.now())

    def test_abuse_050_reports_quorums_and_the_mistakes_of_the_policy_at_once(self, ours: World) -> None:
        before = state(ours)
        needy = tool(ours, approval={"teams": ["finance"], "quorum": 4})
        text = yaml.safe_dump({"tenant": ours.slug, "tools": [needy], "policy": "p.yaml"})
        blueprint = blueprints.parse(text, file="b.yaml", read=lambda _: "version: 1\nrules: [{id: a}]\n")
        with pytest.raises(PolicyErrors) as errors:
            blueprints.apply(blueprint, actor=SETUP, now=clock.now())
        assert [problem.file for problem in errors.value.problems] == ["b.yaml", "p.yaml"]
        assert state(ours) == before

    def test_twice_is_once(self, database: None) -> None:
        suffix = world().suffix
        text = (
            BLUEPRINT.replace("acme", f"twice-{suffix}")
            .replace("username: ", f"username: {suffix}")
            .replace("owner: ", f"owner: {suffix}")
        )
        first = blueprints.apply(parse(text), actor=SETUP, now=clock.now())
        assert first.is_new
        tenant = Tenant.objects.get(slug=first.tenant)
        before = (tenant.epoch, tenant.registry_revision, Record.objects.filter(log=tenant.slug).count())
        second = blueprints.apply(parse(text), actor=SETUP, now=clock.now())
        assert (second.is_new, second.changes, second.release) == (False, (), None)
        tenant.refresh_from_db()
        assert before == (tenant.epoch, tenant.registry_revision, Record.objects.filter(log=tenant.slug).count())

    def test_records_each_difference_under_one_epoch(self, ours: World) -> None:
        epoch, revision, records = state(ours)
        ours.apply(
            teams=[{"name": "ops"}],
            tools=[tool(ours, risk_tier=2)],
            entities=[{"type": "record", "id": "record-1", "properties": {"status": "active"}}],
        )
        assert state(ours) == (epoch + 1, revision + 1, records + 3)
        predicate = ledger.history(ours.slug, "registry:tool:crm.lookup", limit=1)[0]["predicate"]
        assert predicate["event"] == Event.REGISTRY_CHANGED
        assert predicate["detail"]["changes"] == {"risk_tier": {"before": 1, "after": 2}}

    def test_publishes_a_policy_that_differs_and_only_then(self, ours: World) -> None:
        assert ours.apply(policy="p.yaml").release is None
        blueprint = source.with_policy(parse(f"tenant: {ours.slug}"), POLICY + "# another\n")
        applied = blueprints.apply(blueprint, actor=SETUP, now=clock.now())
        assert applied.release
        assert applied.release.revision == 2
        assert Release.objects.filter(tenant=ours.tenant).count() == 2

    def test_leaves_what_it_does_not_name_alone(self, ours: World) -> None:
        ours.apply(teams=[{"name": "ops"}])
        assert ours.tenant.tools.filter(active=True).count() == 3

    def test_does_not_revive_what_somebody_switched_off(self, ours: World) -> None:
        Agent.objects.filter(tenant=ours.tenant).update(active=False)
        agent = {"id": "support-bot", "owner": ours.username("dana"), "team": "support"}
        ours.apply(agents=[agent])
        assert not ours.tenant.agents.get().active
        ours.apply(agents=[agent | {"active": True}])
        assert ours.tenant.agents.get().active

    def test_prunes_only_when_told_to(self, ours: World) -> None:
        ours.apply(entities=[{"type": "record", "id": "r"}])
        keep = [
            {"username": ours.username(name), "email": ours.people[name].user.email, "teams": ["finance"]}
            for name in ("erin", "frank")
        ]
        refund = Tool.objects.get(tenant=ours.tenant, tool_id="payments.refund")
        named = tool(
            ours, id="payments.refund", group="payments", risk_tier=3, methods=["get"], approval=refund.approval
        )
        ours.apply(prune=True, people=keep, tools=[named | {"owner": ours.username("erin")}])
        assert not Entity.objects.filter(tenant=ours.tenant).exists()
        assert not ours.tenant.agents.get().active
        assert list(ours.tenant.tools.filter(active=True).values_list("tool_id", flat=True)) == ["payments.refund"]
        assert Membership.objects.filter(tenant=ours.tenant, active=True).count() == 2

    def test_leaves_identities_that_people_linked_themselves(self, ours: World) -> None:
        person = {"username": ours.username("erin"), "email": ours.erin.user.email, "teams": ["finance"]}
        Membership.objects.filter(pk=ours.erin.pk).update(identities={"slack": "T1/Ulinked"})
        for written, expected in (
            ({}, {"slack": "T1/Ulinked"}),
            ({"jira": "5b:1", "mail": True}, {"slack": "T1/Ulinked", "jira": "5b:1", "email": "always"}),
            ({"slack": "T1/Uother", "mail": False}, {"slack": "T1/Uother", "jira": "5b:1", "email": ""}),
        ):
            ours.apply(people=[person | written])
            assert Membership.objects.get(pk=ours.erin.pk).identities == expected

    def test_keeps_what_narrows_a_channel_down(self, ours: World) -> None:
        narrow = {"kind": "slack", "channel": "C1", "teams": ["finance"], "tool_groups": ["pay*"], "min_risk_tier": 3}
        ours.apply(channels=[narrow, {"kind": "jira", "project": "OPS", "tenant_wide": True}])
        rows = {row.kind: (row.teams, row.config) for row in Channel.objects.filter(tenant=ours.tenant)}
        assert rows == {
            "slack": (["finance"], {"channel": "C1", "tool_groups": ["pay*"], "min_risk_tier": 3}),
            "jira": ([], {"project": "OPS", "tenant_wide": True}),
        }

    def test_keeps_what_a_jira_project_calls_things(self, ours: World) -> None:
        named = {"issue_type": "Service Request", "transitions": {"approved": "Approve", "denied": "Decline"}}
        ours.apply(channels=[{"kind": "jira", "project": "OPS", "teams": ["finance"], **named}])
        assert Channel.objects.get(tenant=ours.tenant, kind="jira").config == {"project": "OPS", **named}

    def test_warns_of_a_channel_nobody_is_connected_to(self, ours: World) -> None:
        applied = ours.apply(channels=[{"kind": "slack", "channel": "C1", "teams": ["finance"]}])
        assert "the slack connector is not configured" in applied.warnings[0]

    def test_warns_of_an_agent_whose_owner_is_missed_in_a_quorum(self, database: None) -> None:
        ours = world(quorum=3)
        carol = ours.username("carol")
        handed = {"id": AGENT, "owner": carol, "team": "finance", "tool_groups": ["payments"]}
        applied = ours.apply(agents=[handed])
        word = f"{AGENT} is {carol}'s, who cannot answer for it: 2 of finance could, 3 must"
        of_tool, of_rule = [warning for warning in applied.warnings if "who cannot answer" in warning]
        assert of_tool == f"more.yaml:1:1: tool 'payments.refund': {word}"  # the text speaks of the agent alone
        assert of_rule.startswith("the policy in force:")
        assert of_rule.endswith(word)
        assert Agent.objects.get(tenant=ours.tenant).owner == ours.carol  # applied all the same

    def test_knows_an_owner_by_any_account(self, database: None) -> None:
        ours = world(quorum=3)
        local, domain = ours.carol.user.email.split("@")
        other = {"username": f"carol2-{ours.suffix}", "email": f"{local}+two@{domain}", "teams": ["support"]}
        handed = {"id": AGENT, "owner": other["username"], "team": "support", "tool_groups": ["payments"]}
        warnings = ours.apply(people=[other], agents=[handed]).warnings
        assert sum(f"{AGENT} is {other['username']}'s, who cannot answer for it" in one for one in warnings) == 2

    def test_says_what_the_compiler_would_of_the_policy_in_force(self, ours: World) -> None:
        ours.with_policy("version: 1\nrules: [{id: a, effect: escalate, approval: {teams: [support]}}]")
        gone = {"username": ours.username("dana"), "email": ours.dana.user.email, "active": False}
        assert "the policy in force:2:" in ours.apply(people=[gone]).warnings[-1]
        assert "1 must agree but only 0 could" in ours.apply(people=[gone]).warnings[-1]


class TestRehearse:
    def test_tells_the_difference_and_changes_nothing(self, ours: World) -> None:
        before = state(ours)
        text = yaml.safe_dump({"tenant": ours.slug, "tools": [tool(ours, risk_tier=2)], "teams": [{"name": "ops"}]})
        applied = blueprints.rehearse(parse(text), actor=SETUP, now=clock.now())
        assert state(ours) == before
        assert list(report.lines(applied)) == [
            "+ team ops",
            "~ tool crm.lookup",
            "    risk_tier: 1 → 2",
        ]

    def test_tells_of_new_rows_only_what_is_not_as_ever(self, ours: World) -> None:
        agents = [{"id": "new-bot", "owner": ours.username("dana"), "team": "support", "active": False}]
        new = tool(ours, id="crm.note", arguments_schema={"type": "object"}, approval={"teams": ["finance"]})
        text = yaml.safe_dump({"tenant": ours.slug, "agents": agents, "tools": [new]})
        applied = blueprints.rehearse(parse(text), actor=SETUP, now=clock.now())
        assert list(report.lines(applied)) == [
            "+ agent new-bot",
            "    active: false",
            f'    owner: "{ours.username("dana")}"',
            '    team: "support"',
            "+ tool crm.note",
            '    approval.teams: ["finance"]',
            '    arguments_schema: {"type": "object"}',
            '    group: "crm"',
            '    methods: ["get"]',
            f'    owner: "{ours.username("dana")}"',
            "    risk_tier: 1",
        ]

    def test_tells_what_becomes_empty_or_usual(self, ours: World) -> None:
        Tool.objects.filter(tenant=ours.tenant, tool_id="crm.lookup").update(active=False, data_classes=["pii"])
        text = yaml.safe_dump({"tenant": ours.slug, "tools": [tool(ours, active=True)]})
        applied = blueprints.rehearse(parse(text), actor=SETUP, now=clock.now())
        told = list(report.lines(applied))
        assert "    active: false → true" in told
        assert '    data_classes: ["pii"] → []' in told

    def test_makes_no_tenant(self, database: None) -> None:
        applied = blueprints.rehearse(parse("tenant: never-made\n"), actor=SETUP, now=clock.now())
        assert applied.is_new
        assert not Tenant.objects.filter(slug="never-made").exists()


class TestLoad:
    def test_reads_every_blueprint_of_a_directory_in_order_and_no_policy(self, tmp_path: Path) -> None:
        (tmp_path / "b.yaml").write_text("tenant: two\n")
        (tmp_path / "a.yaml").write_text("tenant: one\npolicy: policy.yaml\n")
        (tmp_path / "policy.yaml").write_text(POLICY)
        found = blueprints.load(tmp_path)
        assert [blueprint.tenant for blueprint in found] == ["one", "two"]
        assert found[0].policy
        assert found[0].policy.text == POLICY

    def test_reports_the_mistakes_of_all_files_and_a_policy_that_is_missing(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("tenant: one\npolicy: gone.yaml\n")
        (tmp_path / "b.yaml").write_text("tenant: TWO\n")
        with pytest.raises(PolicyErrors) as errors:
            blueprints.load(tmp_path)
        assert [Path(problem.file).name for problem in errors.value.problems] == ["a.yaml", "b.yaml"]
        assert "cannot read 'gone.yaml'" in errors.value.problems[0].message
