"""What must hold for every policy and every call."""

import json
import random
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.policy import bundle, cel, globs
from countersign.policy.compile import compile_policy
from countersign.policy.evaluate import Facts, evaluate
from countersign.policy.lanes import Lane
from countersign.policy.rules import Rule
from countersign.policy.values import Call, Outcome
from tests.countersign.policy.samples import NOW, agent, call, registry, tool

AGENTS = ["a", "a.b", "a.c", "b"]
TOOLS = ["p.x", "p.y", "q.x"]
METHODS = ["get", "put"]
INTENTS = [None, "i", "i.j"]
KNOWN = registry(
    agents=[agent(name, intents=("**",), tool_groups=("**",)) for name in AGENTS],
    tools=[tool(name, methods=tuple(METHODS), arguments_schema=None) for name in TOOLS],
)
OBLIGATIONS = [{"type": "log"}, {"type": "redact"}, {"type": "custom", "properties": {"o": 2}}]
CONDITIONS = [None, "arguments.n > 1", "arguments.n < 2", "intent == 'i'", "arguments.missing == 1", "true", "false"]

names = st.sampled_from(
    ["a", "a.*", "*", "**", "b", "a.b", "*.b", "p.*", "q.x", "p.x", "get", "put", "i", "i.*", "*.x", "i**"]
)
matches = st.fixed_dictionaries(
    {},
    optional={
        member: st.lists(names, min_size=1, max_size=3, unique=True)
        for member in ("agents", "tools", "methods", "intents")
    },
)


@st.composite
def policies(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for n in range(draw(st.integers(0, 8))):
        rule: dict[str, Any] = {
            "id": f"r{n}",
            "effect": draw(st.sampled_from(["allow", "deny", "escalate"])),
            "match": draw(matches),
        }
        if condition := draw(st.sampled_from(CONDITIONS)):
            rule["when"] = condition
        if draw(st.integers(0, 4)) == 0:
            rule["mode"] = "observe"
        if draw(st.booleans()):
            rule["obligations"] = [OBLIGATIONS[n % 3]]
        made.append(rule)
    return made


calls = st.builds(
    lambda who, what, how, why, n: call(subject_id=who, resource_id=what, action_name=how, intent=why, arguments={"n": n}),
    st.sampled_from(AGENTS), st.sampled_from(TOOLS), st.sampled_from(METHODS), st.sampled_from(INTENTS), st.integers(0, 3),
)  # fmt: skip


def text(rules: list[dict[str, Any]]) -> str:
    return json.dumps({"version": 1, "rules": rules})  # JSON is YAML


def naive_glob(glob: str, name: str) -> bool:
    pattern = re.escape(glob).replace(r"\*\*", ".*").replace(r"\*", "[^.]*")
    return re.fullmatch(pattern, name, re.DOTALL) is not None


def naive_speaks(rule: Rule, asked: Call) -> bool:
    match = rule.match
    words = {"subjects": asked.subject_id, "resources": asked.resource_id}
    fits = all(
        getattr(match, member) is None or any(naive_glob(glob, name) for _, glob in getattr(match, member))
        for member, name in words.items()
    )
    fits = fits and (match.actions is None or any(naive_glob(glob, asked.action_name) for glob in match.actions))
    fits = fits and (match.intents is None or any(naive_glob(glob, asked.intent or "") for glob in match.intents))
    if not fits or rule.condition is None:
        return fits
    facts = Facts.__new__(Facts)
    facts.given = (asked, Lane(), NOW, 0)
    facts.arguments, facts.intent = asked.arguments, asked.intent or ""
    try:
        return rule.condition(facts)
    except cel.EvaluationError:
        return rule.effect is not Outcome.ALLOW


def naive(rules: tuple[Rule, ...], asked: Call) -> tuple[Outcome, set[str], set[str]]:
    """Outcome, the rules of its effect and the obligations, by looking at every rule."""
    speaking = [rule for rule in rules if rule.binds and naive_speaks(rule, asked)]
    for effect in (Outcome.DENY, Outcome.ESCALATE, Outcome.ALLOW):
        told = [rule for rule in speaking if rule.effect is effect]
        if told:
            obliging = [rule for rule in speaking if rule.effect is Outcome.ALLOW] if effect is Outcome.ESCALATE else []
            return (
                effect,
                {rule.id for rule in told},
                {one["type"] for rule in told + obliging for one in rule.obligations},
            )
    return Outcome.DENY, set(), set()


class TestIndex:
    @given(policies(), st.lists(calls, min_size=1, max_size=5))
    @settings(max_examples=150, deadline=None)
    def test_says_what_looking_at_every_rule_says(self, rules: list[dict[str, Any]], asked: list[Call]) -> None:
        policy = compile_policy(text(rules))
        judged = bundle.build(policy, KNOWN)

        for one in [*asked, *asked]:  # the second time from memory
            verdict = evaluate(judged, one, now=NOW)
            outcome, told, obligations = naive(policy.rules, one)
            assert verdict.outcome is outcome
            assert {item["type"] for item in verdict.obligations} == obligations
            spoke = {
                because.rule for because in verdict.reasons if because.rule and "Only observed" not in because.message
            }
            assert spoke <= told if outcome is Outcome.ALLOW else spoke == told
            assert bool(spoke) == bool(told)

    @given(policies(), calls, st.randoms(use_true_random=False))
    @settings(max_examples=60, deadline=None)
    def test_the_order_of_rules_means_nothing(
        self, rules: list[dict[str, Any]], asked: Call, chance: random.Random
    ) -> None:
        shuffled = chance.sample(rules, len(rules))
        first, second = (bundle.build(compile_policy(text(one)), KNOWN) for one in (rules, shuffled))

        assert evaluate(first, asked, now=NOW) == evaluate(second, asked, now=NOW)

    @given(policies(), matches, st.sampled_from(CONDITIONS), calls)
    @settings(max_examples=100, deadline=None)
    def test_one_more_deny_never_lets_more_through(
        self, rules: list[dict[str, Any]], match: dict[str, Any], condition: str | None, asked: Call
    ) -> None:
        deny = {"id": "deny", "effect": "deny", "match": match} | ({"when": condition} if condition else {})
        before = evaluate(bundle.build(compile_policy(text(rules)), KNOWN), asked, now=NOW).outcome
        after = evaluate(bundle.build(compile_policy(text([*rules, deny])), KNOWN), asked, now=NOW).outcome

        assert after in (before, Outcome.DENY)


class TestGlobs:
    @given(st.text("ab.*", min_size=1, max_size=8), st.text("ab.", max_size=10))
    @settings(max_examples=300, deadline=None)
    def test_match_as_a_plain_pattern_does(self, glob: str, name: str) -> None:
        if globs.unusable(glob):
            return
        assert bool(globs.Names([(glob, 1)]).mask(name)) == naive_glob(glob, name)

    def test_names_are_compared_character_by_character(self) -> None:
        names = globs.Names([("pay.*", 1), ("x**", 2)])

        assert names.mask("Pay.x") == 0
        assert names.mask("x\n.\ud800é") == 2
        assert names.mask("pay.\udfff") == 1

    def test_many_stars_do_not_stall(self) -> None:
        assert globs.Names([("**a" * 20, 1)]).mask("a" * 50_000 + "b") == 0


class TestMemo:
    def test_forgets_the_oldest_and_stays_small(self) -> None:
        memo: globs.Memo[int] = globs.Memo(10)

        for n in range(1000):
            memo.put(n, n + 1)
            assert memo.get(n) == n + 1

        assert len(memo) <= 20
        assert memo.get(0) is None
