"""What could be found is everything that evaluation allows, in order, and little else."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.policy import bundle, globs, search
from countersign.policy.bundle import Bundle
from countersign.policy.compile import compile_policy
from countersign.policy.evaluate import evaluate
from countersign.policy.index import Part
from countersign.policy.rules import Match
from countersign.policy.values import Call, Entity, Mode, Outcome, Registry, Tier
from countersign.policy.waivers import Category, Pin, Waiver, Waivers, lift
from tests.countersign.policy.samples import APPROVAL, NOW, agent, build, call, record, registry, rules, tool
from tests.countersign.policy.test_properties import naive_glob

AGENTS = ["a", "a.b", "a.c", "b", "b.b"]
TOOLS = ["p.x", "p.y", "q", "q.x"]
METHODS = ["get", "put", "run"]
PEOPLE = ["ann", "bob"]
TYPES = ["agent", "tool", "user", "record"]
INTENTS = [None, "i", "i.j"]
SCHEMA = {"type": "object", "required": ["n"]}

words = {
    "agents": st.sampled_from(["a", "a.*", "*", "**", "*.b", "b", "gone"]),
    "tools": st.sampled_from(["p.*", "q", "q.x", "**", "*.x", "gone"]),
    "methods": st.sampled_from(["get", "put", "p*", "**", "odd"]),
    "intents": st.sampled_from(["i", "i.*", "**"]),
    "subjects": st.sampled_from(["agent:a.*", "user:*", "user:a*", "user:bob", "record:r-1", "agent:**"]),
    "resources": st.sampled_from(["tool:p.*", "record:*", "record:r-2", "user:ann", "tool:q", "record:r*"]),
}


def some(draw: st.DrawFn, *members: str) -> dict[str, list[str]]:
    optional = {name: st.lists(words[name], min_size=1, max_size=2, unique=True) for name in members}
    return draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    def subset(names: list[str]) -> list[str]:
        return draw(st.lists(st.sampled_from(names), unique=True))

    agents = [
        agent(name, intents=draw(st.sampled_from([(), ("i",), ("**",)])), active=draw(st.integers(0, 4)) > 0,
              tool_groups=draw(st.sampled_from([("p",), ("**",)])))
        for name in subset(AGENTS)
    ]  # fmt: skip
    tools = [
        tool(name, methods=tuple(subset(METHODS)), active=draw(st.integers(0, 4)) > 0,
             arguments_schema=draw(st.sampled_from([None, None, SCHEMA])), risk_tier=draw(st.sampled_from(list(Tier))),
             approval=draw(st.sampled_from([None, APPROVAL])), always_escalates=draw(st.integers(0, 4)) == 0)
        for name in subset(TOOLS)
    ]  # fmt: skip
    kinds = st.tuples(st.sampled_from(["user", "record", "agent"]), st.sampled_from(["ann", "cy", "r-1", "r-2", "a"]))
    entities = draw(st.lists(kinds, unique=True))
    return Registry(
        tenant="acme", revision=1, agents={one.id: one for one in agents}, tools={one.id: one for one in tools},
        entities={place: Entity(*place) for place in entities}, people=tuple(subset(PEOPLE)),
    )  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> str:
    made = []
    for n in range(draw(st.integers(0, 6))):
        who, what, how = (draw(st.sampled_from(pair)) for pair in (("agents", "subjects"), ("tools", "resources"), ("methods", "methods")))  # fmt: skip
        rule: dict[str, Any] = {
            "id": f"r{n}",
            "effect": draw(st.sampled_from(["allow", "allow", "deny", "escalate"])),
            "match": some(draw, who, what, how, "intents"),
        }
        if when := draw(st.sampled_from([None, None, "arguments.n > 1", "arguments.missing == 1"])):
            rule["when"] = when
        if draw(st.integers(0, 5)) == 0:
            rule["mode"] = "observe"
        if draw(st.booleans()):
            rule["waivable"] = True
        made.append(rule)
    head: dict[str, Any] = {"version": 1, "rules": made}
    if draw(st.integers(0, 5)) == 0:
        head["mode"] = "observe"
    if draw(st.integers(0, 4)) == 0:
        head["risk"] = {"auto_allow_below": 30, "auto_block_from": 60}
    return json.dumps(head)


@st.composite
def exceptions(draw: st.DrawFn, judged: Bundle) -> Waivers:
    made = []
    for n in range(draw(st.integers(0, 2))):
        match = draw(st.sampled_from([
            Match(), Match(subjects=(("agent", "a.*"),)), Match(resources=(("tool", "q"),)), Match(actions=("get",)),
            Match(subjects=(("user", "*"),), resources=(("record", "r-1"),)),
        ]))  # fmt: skip
        pins = {name: Pin(one.schema_digest, one.tool.risk_tier) for name, one in judged.tools.items()}
        made.append(Waiver(
            f"w{n}", 1, Category.WAIVER, {rule.id: rule.digest for rule in judged.policy.rules}, match,
            frozenset(judged.agents), pins, NOW - timedelta(days=1), NOW + timedelta(days=draw(st.integers(0, 1))),
        ))  # fmt: skip
    return Waivers(made)


calls = st.builds(
    lambda who, what, how, why, arguments: call(
        subject_type=who[0], subject_id=who[1], resource_type=what[0], resource_id=what[1], action_name=how,
        intent=why, arguments=arguments,
    ),
    st.tuples(st.sampled_from(TYPES), st.sampled_from([*AGENTS, "ann", "r-1"])),
    st.tuples(st.sampled_from(TYPES), st.sampled_from([*TOOLS, "ann", "r-1", "r-2"])),
    st.sampled_from([*METHODS, "odd"]), st.sampled_from(INTENTS), st.sampled_from([{}, {"n": 1}, {"n": 2}]),
)  # fmt: skip


def allows(judged: Bundle, held: Waivers, one: Call) -> bool:
    """What evaluation answers in the end, caps and the uses of waivers aside."""
    verdict = evaluate(judged, one, now=NOW)
    if verdict.outcome is Outcome.ALLOW or (verdict.mode is Mode.OBSERVE and not verdict.registry_denied):
        return True
    return verdict.rule is not None and lift(held, judged, one, verdict, now=NOW) is not None


def everything(judged: Bundle, part: Part, one: Call) -> set[str]:
    """Every name that there is, worked out without the shelves."""
    known = judged.registry
    match part:
        case Part.ACTION:
            spoken = {word for rule in judged.policy.rules for word in rule.match.actions or () if "*" not in word}
            return spoken | {method for tool in known.tools.values() for method in tool.methods}
        case Part.SUBJECT:
            more = {"agent": set(known.agents), "user": set(known.people)}.get(one.subject_type, set())
            return more | {name for kind, name in known.entities if kind == one.subject_type}
        case Part.RESOURCE:
            more = set(known.tools) if one.resource_type == "tool" else set()
            return more | {name for kind, name in known.entities if kind == one.resource_type}


def found(judged: Bundle, held: Waivers, part: Part, one: Call, *, after: str = "") -> list[str]:
    return [
        name
        for name, likely in search.names(judged, held, part, one, after=after)
        if likely and allows(judged, held, search.filled(one, part, name))
    ]


class TestNames:
    @given(registries(), policies(), calls, st.sampled_from(Part), st.data())
    @settings(max_examples=200, deadline=None)
    def test_are_those_that_judging_every_one_would_allow(
        self, known: Registry, policy: str, one: Call, part: Part, data: st.DataObject
    ) -> None:
        judged = bundle.build(compile_policy(policy), known)
        held = data.draw(exceptions(judged))
        wanted = sorted(
            name
            for name in everything(judged, part, one)
            if allows(judged, held, search.filled(one, part, name))
        )  # fmt: skip

        assert found(judged, held, part, one) == wanted
        after = data.draw(st.sampled_from(["", *wanted, "b", "zz"]))
        assert found(judged, held, part, one, after=after) == [name for name in wanted if name > after]

    def test_are_not_even_looked_at_where_no_rule_could_allow_them(self) -> None:
        crowd = registry(
            agents=[agent(f"team-{team}.bot-{n}") for team in range(10) for n in range(10)],
            tools=[tool(f"svc.tool-{n:02}") for n in range(50)],
        )
        judged = build(
            rules(
                "{id: a, effect: allow, match: {agents: [team-3.*], tools: [svc.tool-07]}}",
                "{id: b, effect: allow, match: {agents: [team-5.bot-1], tools: [svc.*]}}",
                "{id: c, effect: allow, match: {agents: ['**'], tools: [svc.tool-08]}}",
                "{id: d, effect: deny}",
                "{id: e, effect: allow, mode: observe}",
            ),
            crowd,
        )
        one = call(resource_id="svc.tool-07", subject_id="team-5.bot-1")

        looked = [name for name, _ in search.names(judged, Waivers(), Part.SUBJECT, one)]
        assert looked == [f"team-3.bot-{n}" for n in range(10)] + ["team-5.bot-1"]

    @pytest.mark.parametrize("kind", ["user", "agent"])
    def test_of_people_are_given_where_they_act_and_nowhere_else(self, kind: str) -> None:
        entities = {("user", "cy"): Entity("user", "cy")}
        judged = build(known=Registry("acme", 1, {"a": agent("a")}, {}, entities, people=("dan", "ann")))
        one = call(subject_type=kind, resource_type=kind)
        looked = [[name for name, _ in search.names(judged, Waivers(), part, one)] for part in Part][:2]
        assert looked == {"user": [["ann", "cy", "dan"], ["cy"]], "agent": [["a"], []]}[kind]

    def test_follow_the_registry_and_the_policy_of_their_bundle(self) -> None:
        before = build(rules("{id: a, effect: allow, match: {actions: [read]}}"))
        one = call(resource_type="record", subject_type="record")
        assert found(before, Waivers(), Part.RESOURCE, one) == found(before, Waivers(), Part.SUBJECT, one) == []
        assert found(before, Waivers(), Part.ACTION, one) == ["read"]

        more = bundle.with_registry(before, registry(entities=[record("r-1")]))
        one.action_name = "read"
        assert found(more, Waivers(), Part.RESOURCE, one) == ["r-1"]
        others = compile_policy(rules("{id: a, effect: allow, match: {actions: [write, create]}}"))
        assert found(bundle.with_policy(more, others), Waivers(), Part.ACTION, one) == ["create", "write"]


class TestPatterns:
    @given(
        st.lists(st.text("ab.*", min_size=1, max_size=5).filter(lambda glob: not globs.unusable(glob)), max_size=5),
        st.lists(st.text("ab.", min_size=1, max_size=4), max_size=12),
        st.text("ab.", max_size=3),
    )
    @settings(max_examples=150, deadline=None)
    def test_find_in_order_what_their_globs_match(self, written: list[str], known: list[str], after: str) -> None:
        sorted_names = sorted(set(known))
        patterns = globs.Names([(glob, 1) for glob in written]).patterns(1)
        looked = list(patterns.among(sorted_names, after=after))

        beyond = [name for name in sorted_names if name > after]
        wanted = [name for name in beyond if any(naive_glob(glob, name) for glob in written)]
        assert [name for name, matches in looked if matches] == wanted
        assert [name for name, _ in looked] == [name for name in beyond if name in dict(looked)]

    def test_leave_out_globs_of_other_masks(self) -> None:
        patterns = globs.Names([("a", 1), ("b*", 2), ("**", 4)]).patterns(2)
        assert list(patterns.among(["a", "b", "bb", "c"])) == [("b", True), ("bb", True)]
