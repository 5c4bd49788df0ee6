"""No value an agent chose can say anything in a condition but itself: true of those arguments, and of no others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.waivers import conditions
from approvals.waivers.conditions import Bound, How
from countersign.policy import cel
from countersign.policy.waiver_terms import CONDITION_SEES
from countersign.proof import canonical

ATTACKS = (
    '"', "\\", '\\"', '" || true || "', '"] == "" || true', "' || true || '", '\\" || true //', "\n|| true", "\r", "\u2028",
    '"""', "${now}", "\\u0022", "\\U00000022", "\u0022 && true", "😀", "\ufeff", "\u202e", 'r"', " && ", "arguments.all(k, true)",
    '"; //', "/* */", "`", "\x7f",
)  # fmt: skip
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")  # the others no call can hold
TEXTS = st.one_of(
    st.sampled_from(ATTACKS), st.text(CHARACTERS, max_size=12), st.text(alphabet='"\\&|/ truek()[]', max_size=16)
)
NUMBERS = st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), st.floats(-1e6, 1e6))
LEAVES = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
VALUES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXTS, part, max_size=3), max_leaves=5
)
ARGUMENTS = st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3)


def holds(text: str, arguments: dict[str, Any]) -> bool:
    """As a waiver looks at it: one that errors is not true."""
    told = {name: {} for name in cel.VARIABLES} | dict.fromkeys(("method", "intent", "session", "transaction"), "")
    seen = cel.Environment(**{**told, "arguments": arguments, "now": datetime(2026, 11, 21, tzinfo=UTC)})  # type: ignore[arg-type]  # by name
    try:
        return cel.compile_condition(text, variables=CONDITION_SEES)(seen)
    except cel.EvaluationError:
        return False


def same(one: Any, other: Any) -> bool:
    return canonical.dumps(one) == canonical.dumps(other)


class TestEquals:
    @settings(max_examples=300, deadline=None)
    @given(arguments=ARGUMENTS, other=VALUES, stranger=TEXTS)
    def test_is_true_of_these_arguments_and_of_no_others(
        self, arguments: dict[str, Any], other: Any, stranger: str
    ) -> None:
        arguments = canonical.loads(canonical.dumps(arguments))
        text = conditions.condition(list(arguments), [Bound(name, How.EQUALS, arguments[name]) for name in arguments])
        assert holds(text, arguments)
        first = next(iter(arguments))
        assert holds(text, {**arguments, first: other}) == same(other, arguments[first])
        assert holds(text, {**arguments, stranger: 1}) == (stranger in arguments and same(arguments[stranger], 1))
        assert not holds(text, {name: value for name, value in arguments.items() if name != first})

    @settings(max_examples=200, deadline=None)
    @given(arguments=ARGUMENTS)
    def test_is_told_in_words_that_are_made_of_the_very_text(self, arguments: dict[str, Any]) -> None:
        arguments = canonical.loads(canonical.dumps(arguments))
        text = conditions.condition(list(arguments), [Bound(name, How.EQUALS, arguments[name]) for name in arguments])
        told = conditions.words(text)
        assert told is not None
        assert len(told) == len(arguments) + 1

    @pytest.mark.parametrize("value", ATTACKS)
    def test_writes_a_text_in_a_small_alphabet(self, value: str) -> None:
        inside = conditions.literal(value)[1:-1]
        assert '"' not in inside
        assert inside.isascii()
        assert "&" not in inside
        assert "\\\\" not in inside

    def test_tells_a_number_from_its_text_and_true_from_one(self) -> None:
        text = conditions.condition(["a"], [Bound("a", How.EQUALS, {"x": [1]})])
        assert not holds(text, {"a": {"x": ["1"]}})
        assert not holds(text, {"a": {"x": [True]}})


class TestAtMost:
    @settings(max_examples=300, deadline=None)
    @given(limit=st.decimals(0, 99_999_999_999, places=2), other=st.decimals(0, 99_999_999_999, places=2))
    def test_compares_money_without_rounding(self, limit: Any, other: Any) -> None:
        text = conditions.condition(["a"], [Bound("a", How.AT_MOST, str(limit))])
        assert holds(text, {"a": str(other)}) == (other <= limit)

    @pytest.mark.parametrize(
        "value", ["-1", "1e1", " 1", "1 ", "1\n", "0x1", "NaN", "", "1.", ".5", 1, None, True, ["1"]]
    )
    def test_is_not_true_of_what_is_written_otherwise(self, value: Any) -> None:
        assert not holds(conditions.condition(["a"], [Bound("a", How.AT_MOST, "250.00")]), {"a": value})

    @pytest.mark.parametrize(("value", "is_true"), [(250, True), (250.5, False), (0, True), (-1, False), ("1", False)])
    def test_takes_numbers_for_a_number(self, value: Any, is_true: bool) -> None:
        assert holds(conditions.condition(["a"], [Bound("a", How.AT_MOST, 250)]), {"a": value}) is is_true

    @pytest.mark.parametrize("value", ["-1", "1e3", "", "100000000000", "0.00001", True, None, [1], -1, 1e300, "१"])
    def test_is_not_offered_for_what_is_no_amount(self, value: Any) -> None:
        assert not conditions.may_be_at_most(value)
        with pytest.raises(ValueError, match="no amount"):
            conditions.condition(["a"], [Bound("a", How.AT_MOST, value)])


class TestWords:
    def test_say_what_is_bound(self) -> None:
        bounds = [Bound("order", How.EQUALS, 'A-1 " || true'), Bound("amount", How.AT_MOST, "250.00")]
        assert conditions.words(conditions.condition(["order", "amount"], bounds)) == [
            'order is exactly "A-1 \\" || true"', "amount is at most 250.00", "no arguments but amount, order",
        ]  # fmt: skip

    def test_make_hidden_characters_visible(self) -> None:
        told = conditions.words(conditions.condition(["a"], [Bound("a", How.EQUALS, "x\u202ey")]))
        assert told is not None
        assert told[0] == 'a is exactly "x⟨U+202E⟩y"'

    @pytest.mark.parametrize(
        "text",
        [
            "true", "arguments.a == 1", 'arguments.all(k, k in ["a"]) || true', "arguments.all(k, k in {})",
            'arguments.all(k, k in ["a"]) && arguments["a"] == 1 || true', 'arguments.all(k, k in ["b", "a"])',
            'arguments.all(k, k in ["a"]) && arguments["a"] >= 0.0', 'arguments.all(k, k in ["a"]) && true',
            'arguments.all(k, k in ["a"]) && arguments["a"] >= 0.0 && arguments["b"] <= 9.0',
            'arguments.all(k, k in ["a"]) && arguments["a"].matches(".*") && double(arguments["a"]) <= 9.0',
            'arguments.all(k, k in ["a"]) && arguments["a"] == {"x": 1, "x": 2}', "",
        ],
    )  # fmt: skip
    def test_are_given_to_no_condition_that_was_not_made_here(self, text: str) -> None:
        assert conditions.words(text) is None
