"""The shipped JSON Schema and the compiler accept and refuse the same files; the page names every key."""

from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from countersign.policy import cases, cel, risk, rules, schema, testing, tools
from countersign.policy.compile import POLICY_KEYS, compile_policy
from tests.countersign.policy.samples import problems

GOOD = [
    "rules: []",
    "name: acme\nmode: observe\nrules: [{id: a, effect: allow, mode: observe}]",
    "risk: {auto_allow_below: 0, auto_block_from: 101}\nrules: []",
    "rules: [{id: a, match: {agents: ['x.*'], tools: ['**'], methods: [get], intents: ['*']}, effect: deny, waivable: true}]",
    "rules: [{id: a, match: {subjects: ['user:*'], resources: ['record:a b'], actions: [read]}, effect: deny, reason: No.}]",
    "rules: [{id: a, effect: escalate, approval: {teams: [f], quorum: 20, step_up: totp, expires_in: 7d, approved_for: 1s, uses: 9}}]",
    "rules: [{id: a, effect: allow, when: 'intent == \"x\"', obligations: [{type: log, properties: {a: 1}}]}]",
    "rules: []\ntests: [{name: n, call: {agent: a, tool: b, method: c, arguments: {}}, expect: deny, reason: no_rule, now: '2026-01-01T12:00:00Z'}]",
    "rules: []\ntests: [{name: n, call: {subject: {type: a, id: b}, resource: {type: c, id: d, properties: {}}, action: {name: e}, principal: {type: u, id: v, verified: true}}, expect: deny}]",
]
BAD = [
    "",
    "rulez: []",
    "rules: {}",
    "rules: []\nmode: enforced",
    "rules: []\nname: ''",
    "rules: []\nrisk: {auto_allow_below: 5}",
    "rules: []\nrisk: {auto_allow_below: 5, auto_block_from: 102}",
    "rules: [{id: a}]",
    "rules: [{effect: allow}]",
    "rules: [{id: 'a b', effect: allow}]",
    "rules: [{id: tool, effect: allow}]",
    "rules: [{id: a, effect: allowed}]",
    "rules: [{id: a, effect: escalate, approval: {teams: [f], step_up: webauthn}}]",
    "rules: [{id: a, effect: allow, when: ''}]",
    "rules: [{id: a, effect: allow, when: 5}]",
    "rules: [{id: a, effect: allow, match: {agents: []}}]",
    "rules: [{id: a, effect: allow, match: {agents: ['a?']}}]",
    "rules: [{id: a, effect: allow, match: {agents: ['***']}}]",
    "rules: [{id: a, effect: allow, match: {agents: [x, x]}}]",
    "rules: [{id: a, effect: allow, match: {subjects: [x]}}]",
    "rules: [{id: a, effect: allow, match: {subjects: ['u:x'], agents: [x]}}]",
    "rules: [{id: a, effect: allow, match: {roles: [x]}}]",
    "rules: [{id: a, effect: allow, approval: {teams: [f]}}]",
    "rules: [{id: a, effect: escalate, approval: {}}]",
    "rules: [{id: a, effect: escalate, approval: {teams: []}}]",
    "rules: [{id: a, effect: escalate, approval: {teams: [f], quorum: 0}}]",
    "rules: [{id: a, effect: escalate, approval: {teams: [f], step_up: sms}}]",
    "rules: [{id: a, effect: escalate, approval: {teams: [f], expires_in: 15}}]",
    "rules: [{id: a, effect: escalate, approval: {teams: [f], always: true}}]",
    "rules: [{id: a, effect: allow, waivable: 1}]",
    "rules: [{id: a, effect: allow, obligations: [{}]}]",
    "rules: [{id: a, effect: allow, reason: ''}]",
    "rules: []\ntests: [{name: n, call: {agent: a, tool: b}, expect: deny}]",
    "rules: []\ntests: [{name: n, call: {agent: a, tool: b, method: c, subject: {}}, expect: deny}]",
    "rules: []\ntests: [{name: n, call: {agent: a, tool: b, method: c}, expect: no}]",
    "rules: []\ntests: [{name: n, call: {agent: a, tool: b, method: c}, expect: deny, reason: because}]",
    "rules: []\ntests: [{name: n, call: {agent: a, tool: b, method: c}, expect: deny, now: today}]",
    "rules: []\ntests: [{name: n, call: {agent: a, tool: b, method: c, principal: dana}, expect: deny}]",
]
VALIDATOR = jsonschema_rs.Draft202012Validator(schema.load(), pattern_options=jsonschema_rs.RegexOptions())


class TestSchema:
    @pytest.mark.parametrize("text", BAD)
    def test_refuses_what_the_compiler_refuses(self, text: str) -> None:
        document = f"version: 1\n{text}\n"

        assert problems(document)
        assert not VALIDATOR.is_valid(yaml.safe_load(document))

    @pytest.mark.parametrize("text", GOOD)
    def test_accepts_what_the_compiler_accepts(self, text: str) -> None:
        document = f"version: 1\n{text}\n"

        assert problems(document) == []
        assert VALIDATOR.is_valid(yaml.safe_load(document))


class TestDocs:
    def test_every_key_and_variable_has_its_word(self) -> None:
        page = Path("docs/policy.md").read_text(encoding="utf-8")
        keys = {*POLICY_KEYS, *rules.RULE_KEYS, *rules.MATCH_KEYS, *tools.APPROVAL_KEYS, *cases.CASE_KEYS, *cases.SHORT}
        keys |= {*cases.GENERAL, *cases.CONTEXT, *cel.VARIABLES, "auto_allow_below", "auto_block_from", "always"}
        keys |= {"rate", "spend", "tokens", "per", "per_call", "per_day", "sql", "endpoints", "allow", "deny"}

        assert sorted(key for key in keys if f"`{key}`" not in page and f"`{key}: " not in page) == []

    def test_the_risk_table_is_the_code_s(self) -> None:
        page = Path("docs/policy.md").read_text(encoding="utf-8")

        assert all(f"tier {tier.value}: {points}" in page for tier, points in risk.TIER_POINTS.items())
        assert all(f"{name} {floor}" in page for name, floor in risk.DATA_CLASS_FLOOR.items())

    def test_the_page_s_policy_compiles_and_passes_its_tests(self) -> None:
        page = Path("docs/policy.md").read_text(encoding="utf-8")

        policy = compile_policy(page.split("```yaml\n")[1].split("```")[0])

        assert [one.differences for one in testing.run(policy, testing.assumed_registry(policy))] == [()]
