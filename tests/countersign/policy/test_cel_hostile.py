"""Conditions and calls meant to stall the judge, to reach Python, or to break the compiler."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.policy import cel, cel_compile
from countersign.policy.cel_syntax import MAX_DEPTH, MAX_NODES, MAX_TEXT
from tests.countersign.policy.cel_calls import call

OURS = ("e", "b", "v0", "k0", "truth", "equal", "errors", "again", "check", "all", "len", "__builtins__", "__class__")


def chained(first: str, step: str, times: int) -> str:
    return first + "".join(f".map(x{turn}, {step.format(x=f'x{turn}')})" for turn in range(times))


class TestWork:
    @pytest.mark.parametrize(
        "text",
        [
            "arguments.l.all(x, true)",
            "arguments.l.exists(x, x == 0)",
            "arguments.short.all(x, arguments.short.all(y, arguments.short.all(z, x + y + z >= 0)))",
            "arguments.short.all(x, !arguments.half.exists(y, y > x))",
            "arguments.half.all(x, x in arguments.half)",
            "arguments.half.all(x, arguments.half == arguments.half)",
            "arguments.half.all(x, {'a': arguments.half} != {'a': [x]})",
            "arguments.half.all(x, !arguments.text.contains('b'))",
            "arguments.half.all(x, arguments.text.endsWith(arguments.text))",
            "arguments.half.all(x, arguments.text <= arguments.text)",
            "arguments.half.all(x, arguments.text == arguments.other)",
            "arguments.half.all(x, !arguments.text.matches('b'))",
            "arguments.half.all(x, arguments.text + 'a' != '')",
            "arguments.half.all(x, (arguments.half + arguments.half)[0] == 0)",
            "arguments.half.all(x, double(arguments.digits) == 0.0)",
            chained("[arguments.text]", "{x} + {x}", 9) + " != []",
            chained("[1]", "[{x}, {x}]", 18) + " == " + chained("[1]", "[{x}, {x}]", 18),
            chained("[1]", "[{x}, {x}]", 18) + " in [[1]]",
            chained("[arguments.half]", "{x} + {x}", 11) + "[0].size() == 0",
        ],
    )
    def test_abuse_147_has_its_limit(self, text: str) -> None:
        arguments = {"l": [0] * (cel.BUDGET + 1), "short": list(range(60)), "half": [0] * 1_000,
                     "text": "a" * 100_000, "other": "a" * 100_000, "digits": "0" * 100_000}  # fmt: skip

        with pytest.raises(cel.EvaluationError, match=f"more work than {cel.BUDGET} steps"):
            cel.compile_condition(text)(call(arguments=arguments))

    def test_abuse_147_charges_a_turn_by_what_it_does(self) -> None:
        arguments = {"l": [0] * (cel.BUDGET // 2)}
        long = " && ".join(f"x != {number}" for number in range(1, 20))

        assert cel.compile_condition("arguments.l.all(x, x == 0)")(call(arguments=arguments))
        with pytest.raises(cel.EvaluationError, match="more work"):
            cel.compile_condition(f"arguments.l.all(x, {long})")(call(arguments=arguments))

    def test_abuse_147_leaves_room_for_an_honest_condition(self) -> None:
        arguments = {"to": [f"person{n}@acme.test" for n in range(500)]}
        inside = cel.compile_condition("arguments.to.all(x, x.endsWith('@acme.test') && !(x in ['ceo@acme.test']))")

        assert inside(call(arguments=arguments))

    def test_abuse_147_one_answer_costs_the_next_nothing(self) -> None:
        condition = cel.compile_condition("arguments.l.all(x, x == 0)")
        environment = call(arguments={"l": [0] * (cel.BUDGET * 3 // 4)})

        assert [condition(environment), condition(environment)] == [True, True]

    def test_abuse_147_a_pattern_answers_in_linear_time(self) -> None:
        evil = cel.compile_condition(r"arguments.a.matches('^(a+)+$') || arguments.a.matches('(.*a){20}$')")

        assert not evil(call(arguments={"a": "a" * 100_000 + "!"}))

    @pytest.mark.parametrize("pattern", ["((a{1,100}){1,100}){1,100}", "(?=a)", r"(a)\\1", "((((", r"\\pL{200}"])
    def test_abuse_147_refuses_a_pattern_that_is_none_or_is_too_large(self, pattern: str) -> None:
        with pytest.raises(cel.ConditionError, match="bad pattern"):
            cel.compile_condition(f"method.matches('{pattern}')")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("true" + " " * MAX_TEXT, f"longer than {MAX_TEXT} characters"),
            ("true" + " || true" * MAX_NODES, "longer than"),
            ("0" + "+ 0" * 40 + "== 0", "nested deeper"),
            ("[" + "1," * MAX_NODES + "1].size() == 1", f"more than {MAX_NODES} terms"),
            ("!" * 40 + "true", "nested deeper"),
            ("[" * 2_000, "syntax error"),
            ("[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))", "comprehensions nested deeper than 3"),
        ],
    )
    def test_abuse_147_refuses_a_condition_that_is_too_large(self, text: str, words: str) -> None:
        with pytest.raises(cel.ConditionError, match=words):
            cel.compile_condition(text)

    @pytest.mark.parametrize(
        "text", ['"' + r"\x41" * 1_000, '"""' + "\r\n" * 2_000, "'" + "\\\\" * 2_000, '"""' * 1_001]
    )
    def test_abuse_147_refuses_an_endless_literal_in_linear_time(self, text: str) -> None:
        with pytest.raises(cel.ConditionError):
            cel.compile_condition(text)

    @pytest.mark.parametrize("deep", [[], {}])
    def test_abuse_009_has_no_answer_for_a_bottomless_value(self, deep: Any) -> None:
        left = right = deep
        for _ in range(5_000):
            left, right = ([left], [right]) if isinstance(deep, list) else ({"a": left}, {"a": right})

        for text in (
            "arguments.a == arguments.b",
            "arguments.a in [arguments.b]",
            "[1].all(x, arguments.a == arguments.b)",
        ):
            with pytest.raises(cel.EvaluationError):
                cel.compile_condition(text)(call(arguments={"a": left, "b": right}))


class TestInjection:
    @pytest.mark.parametrize("name", OURS)
    def test_knows_no_name_of_ours(self, name: str) -> None:
        for text in (
            f"{name} == 1",
            f"{name}(1) == 1",
            f"{name}.agent == 1",
            f"method.{name}() == 1",
            f"has({name}.a)",
        ):
            with pytest.raises(cel.ConditionError):
                cel.compile_condition(text)

    @pytest.mark.parametrize("name", OURS)
    def test_a_variable_with_a_name_of_ours_is_only_a_variable(self, name: str) -> None:
        condition = cel.compile_condition(
            f"[1].all({name}, {name} == 1 && [2].exists(y, y > {name}) && method == 'create' && method.matches('c'))"
        )

        assert condition(call())

    @pytest.mark.parametrize("name", ["__class__", "__dict__", "__mro__", "get", "items", "keys", "clear", "mro"])
    def test_a_field_is_data_and_never_an_attribute(self, name: str) -> None:
        condition = cel.compile_condition(f"arguments.{name} == 'data'")

        assert condition(call(arguments={name: "data"}))
        with pytest.raises(cel.EvaluationError):
            condition(call(arguments={}))
        with pytest.raises(cel.EvaluationError):
            cel.compile_condition(f"arguments.a.{name} == 'data'")(call(arguments={"a": "text"}))

    @settings(max_examples=200, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=10) | st.sampled_from(
        ["'", '"', "\\", "\n", "\r\n", "{}", "{0}", "%s", "'''", '"""', "\u2028", "\x00", "' or True or '", "#", "\N{BOM}"]
    ))  # fmt: skip
    def test_text_stays_text_wherever_it_stands(self, text: str) -> None:
        literal = '"' + "".join(f"\\U{ord(letter):08x}" for letter in text) + '"'
        condition = cel.compile_condition(
            f"arguments[{literal}] == {literal} && {literal} in arguments && {literal} in [{literal}, 'x']"
            f" && {{{literal}: {literal}}}[{literal}] == {literal} && [{literal}].all(x, x == {literal})"
        )

        assert condition(call(arguments={text: text}))

    @pytest.mark.parametrize(
        "source",
        [
            "__import__('os')",
            "open('/etc/passwd')",
            "e.__class__",
            "e.agent.clear()",
            "e.agent.clear",
            "truth.__globals__",
            "truth(value=1)",
            "truth(*e.agent)",
            "truth(**e.agent)",
            "(lambda x: x)",
            "(lambda x=1: truth)",
            "(lambda: truth)()",
            "[x for x in e.agent]",
            "k0",
            "v3",
            "(x := 1)",
            "f'{e}'",
            "{1, 2}",
            "e.agent['a':'b']",
            "{**e.agent}",
            "[*e.agent]",
            "e ** e",
            "1 << 99",
            "'%s' % 1",
            "{a: a for a in e.agent}",
            "not_ours",
        ],
    )
    def test_the_second_lock_refuses_what_the_checker_would_never_write(self, source: str) -> None:
        with pytest.raises(AssertionError):
            cel_compile._verify(source, variables=cel.VARIABLES, constants={})

    def test_runs_without_builtins(self) -> None:
        scope = cel.compile_condition("method == 'scope'").check.__globals__

        assert scope["__builtins__"] == {}
        assert not {"open", "eval", "exec", "getattr", "__import__"} & scope.keys()


class TestDepth:
    @pytest.mark.parametrize(
        ("start", "before", "after"),
        [
            ("arguments.t", "!(", ")"),
            ("arguments.t", "(arguments.t && arguments.t && ", ")"),
            ("arguments.t", "(arguments.f || ", ")"),
            ("arguments.t", "(arguments.t ? ", " : arguments.f)"),
            ("arguments.t", "(arguments.f ? arguments.f : ", ")"),
            ("arguments.t", "dyn([", "][0])"),
            ("arguments.t", "({'a': ", "}.a)"),
            ("arguments.t", "(", " == true)"),
            ("arguments.t", "(1 + ", " == 2)"),
            ("arguments.t", "(dyn(", ") in [arguments.t])"),
            ("arguments.t", "has({'a': ", "}.a)"),
            ("arguments.t", "[1].map(x, ", ")[0]"),
        ],
    )
    def test_compiles_or_refuses_at_every_depth(self, start: str, before: str, after: str) -> None:
        refused = 0
        for depth in range(MAX_DEPTH + 3):
            try:
                condition = cel.compile_condition(before * depth + start + after * depth)
                condition(call(arguments={"t": True, "f": False}))
            except cel.ConditionError:
                refused += 1
            except cel.EvaluationError:
                continue

        assert refused >= 1

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                ["agent", ".", "team", "method", "(", ")", "[", "]", "{", "}", ",", ":", "?", "&&", "||", "!", "-", "+", "==",
                 "<", "in", "1", "1.5", "1u", '"a"', "'", "b'x'", "true", "null", "has", "size", "all", "x", "\n", "//", "\\",
                 "int", "timestamp", "type", "é", "\x00", 'r"\\"', "arguments.l", ".all(x,", ".map(x,"]
            ),
            max_size=14,
        )
    )  # fmt: skip
    def test_any_text_is_compiled_or_refused_and_nothing_else(self, pieces: list[str]) -> None:
        with suppress(cel.ConditionError, cel.EvaluationError):
            assert cel.compile_condition(" ".join(pieces))(call(arguments={"l": [1]})) in {True, False}
