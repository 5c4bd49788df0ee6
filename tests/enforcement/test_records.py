"""What is written quickly is what would be written slowly, byte for byte."""

import json
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.proof import canonical, digests, receipt, statement
from countersign.proof.events import Event
from enforcement import authn, batch, budgets, checks, decide, memory, parse, shape, telling
from enforcement.clock import clock
from enforcement.problems import Problem
from evidence import journal, keys
from evidence.keys import Purpose
from tests.enforcement.machine import big, question
from tests.worlds import POLICY, World, world

CAPS = {
    "rate": ["30/minute", "500/day"],
    "spend": {"argument": "amount", "per_call": "90.00", "per_day": "100.00", "currency": "EUR"},
}
BODIES = [
    question(),
    question(
        session="s", transaction="t", principal={"type": "user", "id": "ann"}, environment={"a": {"b": [1, None, True]}}
    ),
    question(arguments={"order": "A", "amount": "95.00"}),
    question(resource={"type": "tool", "id": "nope"}),
    question(
        subject={"type": "user", "id": "ann", "properties": {"team": "x"}}, resource={"type": "record", "id": "r-1"}
    ),
    question(action={"name": "create", "properties": {"dry": True}}),
]


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(caps=CAPS)


@pytest.fixture(scope="module")
def watched(database: None) -> World:
    return world(caps=CAPS, policy=POLICY.replace("mode: enforce", "mode: observe").split("tests:")[0])


def caller(own: World) -> authn.Caller:
    found = memory.learn(own.key("pep", agents=["**"], subjects=["user:*"]).split("_")[2])
    assert found
    return authn.Caller(*found)


class TestRecord:
    @pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
    @pytest.mark.parametrize("mode", ["acme", "watched"])
    def test_equals_the_journals_own(self, request, body, mode):
        who = caller(request.getfixturevalue(mode))
        one = decide.plain(decide.judge(who, json.dumps(body).encode()))
        now = clock.now()
        used = dict.fromkeys(budgets.places([one.claim]), 0)
        refused = budgets.share_out([one.claim], used)
        (built,) = batch.build([one], refused, now=now, signer=keys.signer(Purpose.PDP))
        said = batch.told_of(one, refused[0]).said
        members = {"action": telling.action(one.asked), "decision": telling.decision(said, who.world)}
        if one.claim.demands:
            members["budget"] = telling.budget(budgets.charges(one.claim.demands, int(now.timestamp())))
        slow = journal.entry(
            Event.DECISION_MADE, event_id=one.evaluation_id, tenant=who.world.tenant, thread=one.evaluation_id, n=0,
            prev_leaf=None, recorded_at=now, actor=telling.actor(who.key), commitment=one.asked.commitment, members=members,
            session=one.asked.call.session or "", transaction=one.asked.call.transaction or "",
        )  # fmt: skip
        assert built.entry == slow
        assert statement.parse(built.entry.body).event_id == one.evaluation_id

    @pytest.mark.parametrize("brief", [True, False])
    @pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
    def test_goes_with_an_answer_in_its_canonical_form(self, acme, body, brief):
        who = caller(acme)
        one = decide.plain(decide.judge(who, json.dumps(body).encode()))
        now = clock.now()
        quick = telling.plain_answer(
            one.asked, one.told.tail(brief=brief), evaluation_id="eva_1", at=journal.timestamp(now)
        )
        slow = telling.answer(
            one.told.said, asked=one.asked, world=who.world, brief=brief, evaluation_id="eva_1", at=now, more={}
        )
        assert quick == slow
        assert batch.answer_digest(quick) == receipt.answer_digest(json.loads(quick))


class TestQuestion:
    @pytest.mark.parametrize("body", [*BODIES, big(), question(usage={"tokens": 3}, attempt="a", approval={"id": "apr_1"}, open_request=True, justification="")], ids=str)  # fmt: skip
    def test_is_the_same_quickly_and_slowly(self, acme, body):
        own = caller(acme).world
        text = json.dumps(body).encode()
        quick, slow = parse.evaluation(text, own), parse.question(parse.document(text), text, own)
        slow.salt, slow.commitment = quick.salt, digests.commitment(quick.salt, quick.call.action_digest)
        assert quick == slow

    @given(st.dictionaries(
        st.sampled_from(["arguments", "intent", "session", "usage", "attempt", "environment", "open_request", "principal", "x"]),
        st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text("aé\\", max_size=3)
        | st.dictionaries(st.sampled_from(["type", "id", "tokens", "é"]), st.text("ab", max_size=2) | st.integers(-1, 2), max_size=2),
        max_size=5,
    ))  # fmt: skip
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
    def test_is_the_same_or_refused_the_same(self, acme, context):
        own = _world_of(acme)
        text = json.dumps({**question(), "context": context}).encode()
        assert _outcome(lambda: parse.evaluation(text, own)) == _outcome(
            lambda: parse.question(parse.document(text), text, own)
        )

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500, deadline=None)
    def test_has_words_for_all_that_has_another_shape(self, data):
        """And takes nothing that would have none; what is right in shape may be wrong in what it says."""
        members = deepcopy(question(**FULL))
        paths = st.lists(st.sampled_from(_paths(members)), min_size=1, max_size=3)
        for path, value in ((path, data.draw(OTHERWISE)) for path in data.draw(paths)):
            _put(members, path, value)
        words = _words_for(members)
        if shape.read(members) is None:
            assert words
        else:
            assert not words or "tokens" in words or "origin" in words


FULL = {
    "usage": {"tokens": 3}, "attempt": "a", "approval": {"id": "apr_1", "state": "s"}, "open_request": True,
    "justification": "Please.", "session": "s", "transaction": "t", "principal": {"type": "user", "id": "dana"},
    "environment": {"cwd": "/"}, "supported_obligations": ["log"], "origin": {"kind": "jira", "issue": "OPS-1"},
}  # fmt: skip
ABSENT = object()
OTHERWISE = st.sampled_from(
    [ABSENT, None, True, 0, -1, 1.5, "", "x", "é" * 200, "x" * 201, "x" * 301, "x" * 4001, [], [""], ["x"], ["x" * 201],
     [1], ["x"] * 101, {}, {"id": "x"}, {"type": "x"}, {"type": "x", "id": "x"}, {"name": "x"}, {"tokens": -1}]
)  # fmt: skip


def _paths(value, path=()):
    found = [path] if path else []
    for name, child in value.items() if isinstance(value, dict) else ():
        found += _paths(child, (*path, name))
    return found


def _put(members, path, value):
    """Where there is such a place still."""
    *above, last = path
    for name in above:
        members = members.get(name) if isinstance(members, dict) else None
    if isinstance(members, dict):
        members.pop(last, None)
        members |= {} if value is ABSENT else {last: deepcopy(value)}


def _words_for(members):
    try:
        checks.check(members)
    except Problem as problem:
        return problem.detail
    return ""


_remembered: dict[str, memory.World] = {}


def _world_of(own: World) -> memory.World:
    if own.slug not in _remembered:
        _remembered[own.slug] = caller(own).world
    return _remembered[own.slug]


def _outcome(work):
    try:
        asked = work()
    except parse.Problem as problem:
        return problem.kind, problem.detail
    return asked.call, asked.attempt, asked.approval, asked.open_request, asked.justification


class TestAmount:
    @given(
        st.from_regex(r"\A[0-9]{1,12}(\.[0-9]{1,8})?\Z")
        | st.text("0123456789.-+e ٠", max_size=8)
        | st.integers(-5, 10**6)
        | st.floats(allow_nan=False)
    )
    def test_is_the_same_quickly_and_by_decimal(self, value):
        exact = budgets.parse_amount(value)
        wanted = None if exact is None else min(budgets.millionths(exact), budgets._MOST + 1)
        assert budgets.amount_of(value) == wanted

    def test_is_canonical_in_the_record(self):
        demand = budgets.Demand((1, "k"), budgets.Reason.SPEND_CAP, 60, 10, 10**18, "")
        assert (
            canonical.dumps(budgets.charge(demand, 61))
            == b'{"amount":"1000000000000000000","cap":"spend_cap","key":"k","window":"60"}'
        )
