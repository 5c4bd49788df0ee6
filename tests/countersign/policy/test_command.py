"""`countersign policy check` and `test`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from countersign.policy.command import NO_REGISTRY, app

POLICY = """\
version: 1
rules:
  - {id: big, match: {tools: [payments.refund]}, when: 'double(arguments.amount) >= 100.0', effect: escalate}
  - {id: all, effect: allow}
tests:
  - {name: a big refund waits, call: {agent: bot, tool: payments.refund, method: create, intent: r, arguments: {amount: "250.00"}}, expect: escalate, rule: big}
  - {name: a small one passes, call: {agent: bot, tool: payments.refund, method: create, intent: r, arguments: {amount: "5.00"}}, expect: allow, rule: all}
"""
BLUEPRINT = """\
tenant: acme
people: [{username: erin, teams: [finance]}, {username: frank, teams: [finance]}]
teams: [{name: finance}]
agents: [{id: bot, owner: dana, team: support, intents: [r], tool_groups: [payments]}]
tools:
  - {id: payments.refund, group: payments, owner: carol, risk_tier: 3, methods: [create], approval: {teams: [finance], quorum: 2}}
policy: policy.yaml
"""


class World:
    def __init__(self, folder: Path) -> None:
        self.policy = folder / "policy.yaml"
        self.blueprint = folder / "acme.yaml"
        self.policy.write_text(POLICY)
        self.blueprint.write_text(BLUEPRINT)

    def run(self, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(words))
        return result.exit_code, result.output


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class TestCheck:
    def test_prints_all_problems_of_all_files(self, world: World) -> None:
        bad = world.policy.with_name("bad.yaml")
        bad.write_text("version: 1\nrules:\n  - {id: a, effect: allows}\n  - {id: a, effect: deny}\n")

        code, output = world.run("check", str(bad), str(world.policy))

        assert code == 1
        assert f"{bad}:3:21: must be one of allow, deny, escalate; did you mean 'allow'?" in output
        assert f"{bad}:4:10: duplicate rule id 'a'" in output
        assert f"{world.policy}: fine, 2 rules" in output

    def test_a_file_that_is_no_text(self, world: World) -> None:
        world.policy.write_bytes(b"\xff\xfe")

        assert world.run("check", str(world.policy))[0] == 1

    def test_checks_against_a_blueprint(self, world: World) -> None:
        world.blueprint.write_text(BLUEPRINT.replace(", approval: {teams: [finance], quorum: 2}", ""))

        code, output = world.run("check", str(world.policy), "--registry", str(world.blueprint))

        assert code == 1
        assert "nobody could answer" in output

    def test_abuse_050_a_blueprint_with_too_few_approvers(self, world: World) -> None:
        world.blueprint.write_text(BLUEPRINT.replace("quorum: 2", "quorum: 3"))

        code, output = world.run("check", str(world.policy), "--registry", str(world.blueprint))

        assert code == 1
        assert f"{world.blueprint}:6:" in output
        assert "3 must agree but only 2 could" in output

    @pytest.mark.parametrize(
        "people",
        [
            "{username: frank, teams: [finance, support]}",
            "{username: frank, teams: [finance]}, {username: eve, teams: [finance], active: false}",
        ],
    )
    def test_abuse_050_counts_active_people_once_whatever_their_teams(self, world: World, people: str) -> None:
        text = BLUEPRINT.replace("{username: frank, teams: [finance]}", people)
        world.blueprint.write_text(text.replace("{name: finance}", "{name: finance}, {name: support}"))
        approval = "effect: escalate, approval: {teams: [finance, support], quorum: 3}"
        world.policy.write_text(POLICY.replace("effect: escalate", approval))

        code, output = world.run("check", str(world.policy), "--registry", str(world.blueprint))

        assert code == 1
        assert "3 must agree but only 2 could" in output

    def test_warns_of_an_owner_whom_a_tools_quorum_misses(self, world: World) -> None:
        world.blueprint.write_text(BLUEPRINT.replace("owner: dana", "owner: frank"))

        code, output = world.run("check", str(world.policy), "--registry", str(world.blueprint))

        said = "bot is frank's, who cannot answer for it: 1 of finance could, 2 must"
        assert code == 0
        assert f"warning: {world.blueprint}:6:" in output
        assert said in output
        world.blueprint.write_text(BLUEPRINT)
        assert "warning" not in world.run("check", str(world.policy), "--registry", str(world.blueprint))[1]

    @pytest.mark.parametrize("changed", ["tool_groups: [crm]", "tool_groups: [payments], active: false"])
    def test_warns_of_no_agent_that_cannot_call_the_tool(self, world: World, changed: str) -> None:
        text = BLUEPRINT.replace("owner: dana", "owner: frank").replace("tool_groups: [payments]", changed)
        world.blueprint.write_text(text)

        assert "warning" not in world.run("check", str(world.policy), "--registry", str(world.blueprint))[1]


class TestTest:
    def test_tells_the_difference_in_words(self, world: World) -> None:
        world.policy.write_text(POLICY.replace(">= 100.0", ">= 1000.0"))

        code, output = world.run("test", str(world.policy))

        assert code == 1
        assert NO_REGISTRY in output
        assert "FAIL  a big refund waits" in output
        assert "expected escalate, got allow (Rule all allows this.)" in output
        assert "expected rule 'big' to speak, but 'all' did" in output
        assert "pass  a small one passes" in output
        assert "2 tests, 1 failed" in output

    def test_says_which_condition_failed_and_what_to_write_and_no_argument(self, world: World) -> None:
        world.policy.write_text(POLICY.replace("'double(arguments.amount) >= 100.0'", "'arguments.amount >= 100.0'"))

        code, output = world.run("test", str(world.policy))

        assert code == 1
        assert "condition of big failed: text >= number; write double(arguments.amount)" in output
        assert "250.00" not in output

    @pytest.mark.parametrize(
        ("condition", "why"),
        [
            ("double(arguments.cost) >= 100.0", "no such key: cost"),
            ("double(arguments.amount + 'x') >= 100.0", "no answer: overflow, or text that does not convert"),
        ],
    )
    def test_says_why_a_condition_failed_otherwise(self, world: World, condition: str, why: str) -> None:
        world.policy.write_text(POLICY.replace("'double(arguments.amount) >= 100.0'", f'"{condition}"'))

        assert f"condition of big failed: {why}" in world.run("test", str(world.policy))[1]

    def test_says_nothing_of_conditions_where_the_registry_refuses(self, world: World) -> None:
        world.policy.write_text(POLICY.replace("'double(arguments.amount) >= 100.0'", "'arguments.amount >= 100.0'"))
        schema = "methods: [create], arguments_schema: {type: object, properties: {amount: {type: integer}}}"
        world.blueprint.write_text(BLUEPRINT.replace("methods: [create]", schema))

        output = world.run("test", str(world.policy), "--registry", str(world.blueprint))[1]

        assert "got deny" in output
        assert "condition of" not in output

    def test_registry_checks_need_the_registry(self, world: World) -> None:
        world.blueprint.write_text(BLUEPRINT.replace("methods: [create]", "methods: [get]"))

        assert world.run("test", str(world.policy))[0] == 0
        code, output = world.run("test", str(world.policy), "--registry", str(world.blueprint))
        assert code == 1
        assert "This method is not registered for the tool." in output

    def test_passes(self, world: World) -> None:
        code, output = world.run("test", str(world.policy), "--registry", str(world.blueprint))

        assert code == 0
        assert "2 tests, 0 failed" in output
        assert NO_REGISTRY not in output
