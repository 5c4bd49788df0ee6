"""Policy text to a policy, or every error at once."""

import random
from typing import Any

import pytest
import yaml

from countersign.policy.compile import compile_policy
from countersign.policy.values import EMPTY, Agent, Mode, Outcome, StepUp
from tests.countersign.policy.samples import agent, problems, registry, rules, tool

TEN_MISTAKES = """\
version: 2
nmae: acme
mode: enforced
risk: {auto_allow_below: 80, auto_block_from: 50}
rules:
  - id: one
    match: {agents: ["a[b]"]}
    when: |
      arguments.amount > 1 &&
        unknown_thing == 2
    effect: allow
  - id: one
    effect: escalate
    approval: {teams: [finance], quorum: 0, step_up: sms, expires_in: 15 minutes}
  - id: three
    effect: allow
    effect: deny
tests:
  - {name: t, call: {agent: a, tool: b}, expect: maybe, rule: tree}
"""


class TestTenMistakes:
    def test_all_are_told_at_once_each_at_its_place(self) -> None:
        found = problems(TEN_MISTAKES)

        expected = [
            ("1:10", "this language has version 1"),
            ("2:1", "unknown key 'nmae'; did you mean 'name'?"),
            ("3:7", "must be one of observe, enforce; did you mean 'enforce'?"),
            ("4:26", "must not be above 'auto_block_from'"),
            ("7:22", "'[' means nothing in a glob"),
            ("10:9", "condition: "),
            ("12:9", "duplicate rule id 'one', first used by rule 1"),
            ("14:42", "must be from 1 to 20"),
            ("14:54", "must be one of none, totp, webauthn"),
            ("14:71", "expected a duration such as 10s"),
            ("17:5", "duplicate key 'effect', first given in line 16"),
            ("19:21", "'method' is missing"),
            ("19:50", "must be one of allow, deny, escalate"),
            ("19:63", "no rule 'tree' in this policy; did you mean 'three'?"),
        ]
        assert len(found) == len(expected)
        for line, (place, words) in zip(found, expected, strict=True):
            assert line.startswith(f"{place} "), line
            assert words in line


class TestRefusals:
    @pytest.mark.parametrize(
        ("rule", "words"),
        [
            ("{id: a}", "'effect' is missing"),
            ("{effect: allow}", "'id' is missing"),
            ("{id: 'a,b', effect: allow}", "a rule id is letters"),
            ("{id: tool, effect: allow}", "is the name of the rule that a tool's"),
            ("{id: a, effect: permit}", "must be one of allow, deny, escalate"),
            ("{id: a, effect: allow, when: 1}", "expected text, found a whole number"),
            ("{id: a, effect: allow, when: ''}", "must not be empty"),
            ("{id: a, effect: allow, when: 'arguments.'}", "condition: "),
            ("{id: a, effect: allow, when: 'now'}", "condition: "),
            ("{id: a, effect: allow, match: []}", "expected a mapping, found a list"),
            ("{id: a, effect: allow, match: {agents: a}}", "expected a list, found text"),
            ("{id: a, effect: allow, match: {agents: []}}", "the list must not be empty"),
            ("{id: a, effect: allow, match: {agents: [x, x]}}", "'x' is listed twice"),
            ("{id: a, effect: allow, match: {tools: ['a***']}}", "`***` means nothing"),
            ("{id: a, effect: allow, match: {subjects: [bob]}}", "expected TYPE:GLOB"),
            ("{id: a, effect: allow, match: {subjects: ['*:bob']}}", "expected TYPE:GLOB"),
            ("{id: a, effect: allow, match: {agents: [x], subjects: ['user:x']}}", "say the same"),
            ("{id: a, effect: allow, match: {agent: [x]}}", "did you mean 'agents'?"),
            ("{id: a, effect: allow, approval: {teams: [f]}}", "only an escalate rule takes an approval"),
            ("{id: a, effect: escalate, approval: {teams: [f], always: true}}", "unknown key 'always'"),
            ("{id: a, effect: escalate, approval: {}}", "'teams' is missing"),
            ("{id: a, effect: escalate, approval: {teams: []}}", "the list must not be empty"),
            ("{id: a, effect: escalate, approval: {teams: [f], uses: 0}}", "must be from 1 to 1000"),
            ("{id: a, effect: escalate, approval: {teams: [f], expires_in: 0s}}", "expected a duration"),
            ("{id: a, effect: escalate, approval: {teams: [f], expires_in: 31d}}", "must not be longer than 30d"),
            ("{id: a, effect: allow, waivable: yes}", "expected true or false, found text"),
            ("{id: a, effect: allow, obligations: [{properties: {}}]}", "'type' is missing"),
            ("{id: a, effect: allow, reason: ''}", "must not be empty"),
            ("nothing", "expected a mapping, found text"),
        ],
    )
    def test_a_rule(self, rule: str, words: str) -> None:
        found = problems(rules(rule))

        assert any(words in line for line in found), found

    @pytest.mark.parametrize("quorum", ["0", "-1", "null", "1.5", "'2'", "true"])
    def test_abuse_049_a_quorum_that_is_none(self, quorum: str) -> None:
        found = problems(rules(f"{{id: a, effect: escalate, approval: {{teams: [f], quorum: {quorum}}}}}"))

        assert len(found) == 1
        assert found[0].startswith("4:62 ")

    def test_a_step_up_that_nobody_can_pass(self) -> None:
        (found,) = problems(rules("{id: a, effect: escalate, approval: {teams: [f], step_up: webauthn}}"))

        assert found.startswith("4:63 nobody can meet 'webauthn' yet")

    def test_abuse_050_fewer_eligible_people_than_the_quorum(self) -> None:
        text = rules("{id: a, effect: escalate, approval: {teams: [finance, support], quorum: 4}}")

        assert "4 must agree but only 3 could" in problems(text, people={"finance": "ab", "support": "c"})[0]
        assert problems(text, people={"finance": "ab", "support": "cd"}) == []

    def test_an_unknown_team(self) -> None:
        text = rules("{id: a, effect: escalate, approval: {teams: [finanse]}}")

        assert "no team 'finanse' exists; did you mean 'finance'?" in problems(text, people={"finance": "ab"})[0]

    def test_an_escalation_that_nobody_could_answer(self) -> None:
        text = rules("{id: a, match: {tools: ['payments.*']}, effect: escalate}")

        assert "nobody could answer" in problems(text, registry=registry(tools=[tool(approval=None)]))[0]
        assert problems(text, registry=registry()) == []
        assert problems(text) == []

    def test_a_rule_that_says_enforce_in_a_policy_that_observes(self) -> None:
        assert "no rule can enforce" in problems(rules("{id: a, effect: deny, mode: enforce}", head="mode: observe"))[0]

    @pytest.mark.parametrize(
        "risk",
        ["{auto_allow_below: 1}", "{auto_allow_below: -1, auto_block_from: 2}", "{auto_allow_below: 1.5, auto_block_from: 2}",
         "{auto_allow_below: 1, auto_block_from: 102}", "50"],
    )  # fmt: skip
    def test_bad_risk_thresholds(self, risk: str) -> None:
        assert len(problems(rules(head=f"risk: {risk}").replace("rules:\n", "rules: []\n"))) >= 1

    def test_a_file_without_rules(self) -> None:
        assert problems("version: 1\n") == ["1:1 'rules' is missing"]


class TestWarnings:
    def test_names_that_are_not_registered(self) -> None:
        text = rules("{id: a, match: {agents: [suport-bot], tools: ['payments.refund', 'crm.*']}, effect: deny}")

        warned = compile_policy(text, registry=registry()).warnings

        assert [one.message for one in warned] == ["no agent 'suport-bot' is registered; did you mean 'support-bot'?"]

    @pytest.mark.parametrize(
        ("condition", "said"),
        [
            ("arguments.amount < 5.0", "text < number"),
            ("intent == 'a' && 5 >= arguments.amount", "number >= text"),
            ("arguments.amount>-1", "text > number"),
        ],
    )
    def test_text_that_is_put_in_order_with_a_number(self, condition: str, said: str) -> None:
        text = rules(f"{{id: a, match: {{tools: ['payments.*']}}, effect: deny, when: \"{condition}\"}}")

        (warned,) = compile_policy(text, registry=registry()).warnings

        wanted = f"condition: an argument of 'payments.refund' is text: {said}; write double(arguments.amount)"
        assert warned.message == wanted
        assert text.splitlines()[warned.line - 1][warned.column - 1 :].startswith("amount")

    @pytest.mark.parametrize(
        ("condition", "glob"),
        [
            ("double(arguments.amount) < 5.0", "payments.*"),
            ("arguments.amount < '5'", "payments.*"),
            ("arguments.count < 5", "payments.*"),
            ("arguments.amount < 5.0", "crm.*"),
        ],
    )
    def test_leave_alone_what_may_have_an_answer(self, condition: str, glob: str) -> None:
        text = rules(f"{{id: a, match: {{tools: ['{glob}']}}, effect: deny, when: \"{condition}\"}}")

        assert compile_policy(text, registry=registry()).warnings == ()


class TestOwnersWhoAreMissed:
    """Nobody answers for their own agent, so a quorum may be out of reach for one agent and not for another."""

    PEOPLE = {"keepers": ["ann", "bob", "cyd"]}

    def warned(
        self, *agents: Agent, quorum: int = 3, match: str = "", people: Any = None, humans: Any = EMPTY
    ) -> list[str]:
        rule = f"{{id: a, {match} effect: escalate, approval: {{teams: [keepers], quorum: {quorum}}}}}"
        known = registry(agents=agents, tools=[tool(approval=None), tool("ops.stop", approval=None)])
        found = compile_policy(rules(rule), registry=known, people=people or self.PEOPLE, humans=humans).warnings
        return [one.message for one in found]

    def test_are_named_with_the_numbers_and_the_place(self) -> None:
        text = rules("{id: a, effect: escalate, approval: {teams: [keepers], quorum: 3}}")
        known = registry(agents=[agent("zoo-bot", owner="bob")])

        (warned,) = compile_policy(text, file="p.yaml", registry=known, people=self.PEOPLE).warnings

        assert warned.message == "zoo-bot is bob's, who cannot answer for it: 2 of keepers could, 3 must"
        assert (warned.file, warned.line) == ("p.yaml", 4)
        assert text.splitlines()[warned.line - 1][warned.column - 1 :].startswith("3}")

    def test_who_are_all_the_team_there_is(self) -> None:
        warned = self.warned(agent("zoo-bot", owner="bob"), quorum=1, people={"keepers": ["bob"]})

        assert warned == ["zoo-bot is bob's, who cannot answer for it: none of keepers could, 1 must"]

    def test_of_many_agents_a_few_are_named(self) -> None:
        agents = [agent(f"bot-{n}", owner=owner) for n, owner in enumerate(["bob", "ann", "eve", "cyd", "bob", "bob"])]

        (warned,) = self.warned(*agents)

        assert warned.startswith("bot-0 is bob's, who")
        assert warned.endswith("3 must (the same goes for bot-1 of ann, bot-3 of cyd, 2 more)")

    def test_under_whatever_name_the_people_know_them(self) -> None:
        people, humans = {"keepers": [1, 2, 3]}, {"bob.private": 2, "eve": 4}

        assert self.warned(agent("zoo-bot", owner="bob.private"), people=people, humans=humans)
        assert not self.warned(agent("zoo-bot", owner="eve"), people=people, humans=humans)

    @pytest.mark.parametrize(
        ("one", "changed"),
        [
            (agent("zoo-bot", owner="bob"), {"quorum": 2}),
            (agent("zoo-bot", owner="eve"), {}),
            (agent("zoo-bot", owner="bob", active=False), {}),
            (agent("zoo-bot", owner="bob"), {"match": "match: {agents: ['ape.*']},"}),
            (agent("zoo-bot", owner="bob"), {"match": "match: {subjects: ['user:*']},"}),
            (agent("zoo-bot", owner="bob"), {"match": "match: {tools: ['ops.*']},"}),
        ],
        ids=[
            "enough are left",
            "not of the team",
            "switched off",
            "another's rule",
            "not of agents",
            "may not call it",
        ],
    )
    def test_are_not_missed(self, one: Agent, changed: dict[str, Any]) -> None:
        assert self.warned(one, **changed) == []

    def test_are_missed_where_the_agent_may_call_what_the_rule_speaks_of(self) -> None:
        for match in ("match: {tools: ['payments.*', 'ops.*']},", "match: {resources: ['document:*']},"):
            assert self.warned(agent("zoo-bot", owner="bob"), match=match)


class TestCompiled:
    def test_defaults(self) -> None:
        policy = compile_policy(rules("{id: a, effect: escalate, approval: {teams: [f]}}", "{id: b, effect: deny}"))

        escalate, deny = policy.rules
        assert policy.mode is Mode.ENFORCE
        assert escalate.waivable
        assert not deny.waivable
        assert escalate.requirement is not None
        assert escalate.requirement.step_up is StepUp.NONE
        assert escalate.default_step_up
        assert escalate.requirement.source == "rule:a"
        assert deny.effect is Outcome.DENY

    def test_rules_are_sorted_whatever_their_order_in_the_file(self) -> None:
        lines = [f"{{id: r{n}, effect: allow}}" for n in range(20)]
        shuffled = random.Random(3).sample(lines, 20)

        assert compile_policy(rules(*lines)).rules == compile_policy(rules(*shuffled)).rules

    def test_many_rules_compile(self) -> None:
        made = [{"id": f"r{n}", "effect": "allow", "when": "intent == 'x'"} for n in range(2000)]

        assert len(compile_policy(yaml.safe_dump({"version": 1, "rules": made})).rules) == 2000
