"""Golden conditions: what each answers, where each is refused."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from types import MappingProxyType

import pytest

from countersign.policy import cel, cel_nodes, cel_syntax
from tests.countersign.policy.cel_calls import call

SYNTAX = [
    ("", "syntax error", 1, 1),
    ("agent.team ==", "syntax error", 1, 12),
    ('method == "create', "does not end", 1, 11),
    ("method ==\n  'a", "does not end", 2, 3),
    ('method == "a" "b"', 'syntax error at or after `"b"`', 1, 15),
    (r'method == "a\q"', r"unknown escape `\q`", 1, 13),
    (r'method == "\ud800"', "surrogate", 1, 11),
    ("arguments.count > 9223372036854775808", "beyond 64 bits", 1, 19),
    ("arguments.rate > 1e999", "beyond what a double", 1, 18),
    ("arguments.rate > 1.", "digits after its point", 1, 18),
    ("if == 1", "reserved word", 1, 1),
    ("[1].all(for, true)", "reserved word", 1, 9),
    (".method == 'a'", "begin with a dot", 1, 1),
    ("Thing{a: 1} == 1", "messages", 1, 1),
    ("method § 1", "syntax error at or after `§`", 1, 8),
    ("true and false", "at or after `and`; write &&", 1, 6),
    ("true or false", "at or after `or`; write ||", 1, 6),
    ("not true", "at or after `not`; write !", 1, 1),
    ("not method == 'a'", "at or after `method`; write !", 1, 5),
]

UNKNOWN = [
    ('agnet.team == "support"', "undeclared variable `agnet`", 1, 1),
    ("true &&\n  missing", "undeclared variable `missing`", 2, 3),
    ("[1].all(x, x == 1) && x == 1", "undeclared variable `x`", 1, 23),
    ("lower(method) == 'a'", "unknown function `lower`", 1, 1),
    ("not (method == 'a')", "unknown function `not`; write !", 1, 1),
    ("not intent.startsWith('a')", "undeclared variable `not`; write !", 1, 1),
    ("method.lower() == 'a'", "unknown method `lower`", 1, 8),
    ("startsWith(method, 'a')", "it is a method", 1, 1),
    ("size() == 1", "`size` takes 1 argument", 1, 1),
    ("size(method, method) == 1", "`size` takes 1 argument", 1, 1),
    ("method.size(1) == 1", "`size` takes 0 arguments", 1, 8),
    ("method.startsWith()", "`startsWith` takes 1 argument", 1, 8),
    ("now.getHours('UTC') == 1", "`getHours` takes 0 arguments", 1, 5),
    ("[1].all(x)", "`all` takes 2 arguments", 1, 5),
    ("[1].exists(x, true, true)", "`exists` takes 2 arguments", 1, 5),
    ("[1].all(agent.id, true)", "the name of its variable", 1, 15),
    ("has(agent)", "has() asks for a field", 1, 1),
    ("has(agent['a'])", "has() asks for a field", 1, 1),
]

ILL_TYPED = [
    ("1", "a condition is true or false; this is int", 1, 1),
    ("method", "this is string", 1, 1),
    ("arguments", "this is map", 1, 1),
    ("[true]", "this is list", 1, 1),
    ("1 && true", "must be true or false; it is int", 1, 1),
    ("true || method", "must be true or false; it is string", 1, 9),
    ("!1 == true", "it is int", 1, 1),
    ("method ? true : false", "it is string", 1, 1),
    ('"a" + 1 == "a1"', "no such overload: + on string, int", 1, 1),
    ("1 + 1.0 == 2.0", "no such overload: + on int, double", 1, 1),
    ("now + now == now", "no such overload: + on timestamp, timestamp", 1, 1),
    ('duration("1h") + now > now', "no such overload: + on duration, timestamp", 1, 1),
    ("-true", "no such overload: unary - on bool", 1, 1),
    ("-method == 'a'", "no such overload: unary - on string", 1, 1),
    ("1 == 'a'", "comparing int with string: never equal", 1, 1),
    ("method == 1", "comparing string with int: never equal", 1, 1),
    ("method == null", "comparing string with null: never equal", 1, 1),
    ("now > 1", "no such overload: > on timestamp, int", 1, 1),
    ("null < null", "no such overload: < on null, null", 1, 1),
    ("[1] < arguments", "no such overload: < on list, map", 1, 1),
    ("arguments.items > [1]", "no such overload: > on dyn, list", 1, 1),
    ("1.0 % 2.0 == 1.0", "no such overload: % on double, double", 1, 1),
    ("'a' in 'abc'", "no such overload: in on string, string", 1, 1),
    ("method.team == 'a'", "a string has no field `team`", 1, 8),
    ("has(method.team)", "a string has no field `team`", 1, 12),
    ("method[0] == 'a'", "no such overload: [] on string, int", 1, 1),
    ("[1]['a'] == 1", "no such overload: [] on list, string", 1, 1),
    ("arguments[1.5] == 1", "no such overload: [] on map, double", 1, 1),
    ("size(1) == 1", "no such overload: size on int", 1, 1),
    ("int(true) == 1", "no such overload: int on bool", 1, 1),
    ("string(true) == 'true'", "no such overload: string on bool", 1, 1),
    ("int('x') == 1", "int('x'): not an int", 1, 1),
    ("double('NaN') > 1.0", "not a double", 1, 1),
    ("timestamp('2026-01-01') < now", "not an RFC 3339 timestamp", 1, 1),
    ("now > now - duration('1d')", "not a duration", 1, 13),
    ("1.startsWith('a')", "syntax error", 1, 3),
    ("method.startsWith(1)", "no such overload: startsWith on string, int", 1, 8),
    ("now.matches('a')", "no such overload: matches on timestamp, string", 1, 5),
    ("method.matches('(')", "bad pattern", 1, 16),
    ("method.matches(intent)", "must be a string literal", 1, 16),
    ("method.all(c, true)", "no such overload: all on string", 1, 8),
    ("[1].all(x, 1)", "it is int", 1, 12),
    ("method.getHours() == 1", "no such overload: getHours on string", 1, 8),
    ("duration('1h').getFullYear() == 1", "no such overload: getFullYear on duration", 1, 16),
    ("{'a': 1, 'a': 2} == {}", "the key 'a' stands twice", 1, 10),
    ("{1.5: 1} == {}", "a double cannot be a key", 1, 2),
]

TRUE = [
    'double(arguments.amount) >= 100.0 && agent.team == "support"',
    "double(arguments.amount) >= 100",
    "arguments.count == 3 && arguments.count == 3.0 && arguments.count != 4 && arguments.count < 3.5",
    "arguments.urgent",
    "arguments.urgent == true && !(arguments.urgent == false)",
    "arguments.note == null && arguments.count != null",
    "arguments.urgent != 1",
    "arguments.order != arguments.count",
    "1 == 1.0 && 1 != 2.0 && 2 > 1.5 && 1.5 < 2",
    '"a" < "b" && "B" < "a" && "é" > "z" && false < true',
    "arguments == arguments && arguments.to == {'name': 'Zoë', 'tags': ['a', 'b']}",
    "arguments.items == [1.0, 2.0, 3.0] && arguments.items != [1, 2] && arguments.items != [1, 2, 4]",
    "arguments.to != {'name': 'Zoë'} && arguments.to != {'name': 'Zoë', 'other': []}",
    "method in ['create', 'update'] && !(method in ['get']) && !(arguments.items in ['a'])",
    "2 in arguments.items && 2.0 in arguments.items && !('2' in arguments.items)",
    "'name' in arguments.to && !('x' in arguments) && !(1 in arguments)",
    "has(arguments.to) && has(arguments.to.name) && !has(arguments.to.street) && !has(context.a)",
    "arguments['order'] == 'A-1' && arguments.to['tags'][1] == 'b' && arguments.items[0] == 1",
    "arguments[['order', 'x'][0]] == 'A-1'",
    "size('Zoë') == 3 && arguments.to.name.size() == 3 && size(arguments.items) == 3 && size({'a': 1}) == 1",
    "arguments.order.startsWith('A') && arguments.order.endsWith('1') && arguments.order.contains('-')",
    "arguments.order.matches('^[A-Z]-[0-9]+$') && !arguments.order.matches('B') && 'ab'.matches('b')",
    "int('12') == 12 && int('-0') == 0 && int('+3') == 3 && int(1.9) == 1 && int(-1.9) == -1",
    "double('1.5') == 1.5 && double('1.') == 1.0 && double('.5') == 0.5 && double(1) == 1.0 && double('1e3') == 1000.0",
    "string(1) == '1' && string(1.0) == '1' && string(1.5) == '1.5' && string(1e21) == '1000000000000000000000'",
    "string(1e-7) == '0.0000001' && string(-0.0) == '-0' && string(1e308 * 10.0) == 'inf' && string('a') == 'a'",
    "7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1 && 7 % -3 == 1 && 1.0 / 0.0 > 1e308 && -1.0 / 0.0 < -1e308",
    "1 + 2 * 3 - 4 == 3 && -(-3) == 3 && - 1 == -1 && 1--1 == 2 && 0x1F == 31 && -0x10 == -16",
    "-9223372036854775808 < 9223372036854775807",
    "'a' + 'b' == 'ab' && [1] + [2] == [1, 2] && arguments.items + [4] == [1, 2, 3, 4]",
    "-arguments.count == -3 && -arguments.rate == -1.5 && arguments.count + 1 == 4 && arguments.rate * 2.0 == 3.0",
    r"'\x41\u0042\103\t\"' == 'ABC' + '	\"' && r'\d' == '\\d' && '''a" + "\n" + r"b''' != 'ab'",
    "true ? true : arguments.missing",
    "(arguments.urgent ? 1 : 'a') == 1",
    "false && arguments.missing == 1 || true",
    "!(arguments.missing == 1 && false) && (arguments.missing == 1 || true)",
    "!(arguments.missing == 1 && arguments.urgent && false)",
    "!(arguments.count && false) && (arguments.count || true)",
    "arguments.items.all(x, x > 0) && arguments.items.exists(x, x == 2) && arguments.items.exists_one(x, x > 2)",
    "!arguments.items.all(x, x > 1) && !arguments.items.exists(x, x > 3) && !arguments.items.exists_one(x, x > 1)",
    "[].all(x, x.y) && ![].exists(x, x.y)",
    "arguments.items.map(x, x * 2) == [2, 4, 6] && arguments.items.filter(x, x > 1) == [2, 3]",
    "arguments.items.map(x, x > 1, x * 2) == [4, 6]",
    "arguments.to.all(k, k in ['name', 'tags']) && arguments.exists(k, k == 'order')",
    "[[1, 2], [3]].all(l, l.all(x, x < 4 && size(l) > 0))",
    "[1].all(agent, agent == 1) && agent.id == 'support-bot'",
    "[0, 'a'].exists(x, x == 0) && ![0, 'a'].all(x, x > 0)",
    "now > timestamp('2026-11-21T00:00:00Z') && now == timestamp('2026-11-21T12:11:12.123456+02:00')",
    "now - duration('1h') < now && now - timestamp('2026-11-21T09:11:12.123456Z') == duration('60m')",
    "now + duration('1h') > now && duration('1h') - duration('30m') == duration('0.5h')",
    "duration('-1h30m') == duration('-90m') && duration('0') < duration('1us') && duration('1m') < duration('1h1ms')",
    "duration('1.5s') + duration('500ms') == duration('2s')",
    "now.getFullYear() == 2026 && now.getMonth() == 10 && now.getDate() == 21 && now.getDayOfMonth() == 20",
    "now.getDayOfWeek() == 6 && now.getDayOfYear() == 324 && now.getHours() == 10 && now.getMinutes() == 11",
    "now.getSeconds() == 12 && now.getMilliseconds() == 123",
    "timestamp('2026-01-01T00:30:00+02:00').getHours() == 22",
    "duration('90m').getHours() == 1 && duration('-90m').getHours() == -1 && duration('1234ms').getMilliseconds() == 1234",
    "timestamp(now) == now && duration(duration('1s')) == duration('1s')",
    "session == '' && transaction == '' && intent == 'customer-refund'",
    "dyn(1) != 'a' && dyn(arguments.count) == 3",
    "agent.team == 'support' // who asks\n && method == 'create'",
]

ERRORS = [
    "arguments.missing == 1",
    "arguments.to.street.name == 'a'",
    "arguments.order.x == 1",
    "arguments.items.x == 1",
    "arguments.count.x == 1",
    "arguments.note.x == 1",
    "has(arguments.missing.x)",
    "has(arguments.count.x)",
    "arguments.items[3] == 1",
    "arguments.items[-1] == 3",
    "arguments.items[arguments.urgent] == 2",
    "arguments.items[arguments.rate] == 2",
    "arguments[arguments.count] == 2",
    "arguments['x' + 'y'] == 2",
    "arguments.order[0] == 'A'",
    "arguments.count",
    "arguments.note",
    "arguments.count && true",
    "!arguments.count",
    "arguments.count ? true : false",
    "arguments.missing == 1 && true",
    "arguments.missing == 1 || false",
    "true && arguments.missing == 1",
    "arguments.missing == 1 || arguments.gone == 1",
    "arguments.count < 'a'",
    "arguments.order > 1",
    "arguments.items > arguments.items",
    "arguments.note < 1",
    "arguments.count + 1.0 == 4.0",
    "arguments.order + 1 == 'A-11'",
    "arguments.urgent + arguments.urgent == true",
    "-arguments.urgent == true",
    "-arguments.order == 'a'",
    "arguments.rate % 2 == 1",
    "arguments.count / 0 == 1",
    "arguments.count % 0 == 1",
    "9223372036854775807 + 1 > 0",
    "9223372036854775807 + arguments.count > 0",
    "-9223372036854775808 - 1 < 0",
    "9223372036854775807 * 2 > 0",
    "-(-9223372036854775808) > 0",
    "-9223372036854775808 / -1 > 0",
    "-9223372036854775808 % -1 == 0",
    "0.0 / 0.0 < 1.0",
    "0.0 / 0.0 >= 1.0",
    "(0.0 / 0.0) * 2.0 > 1.0",
    "arguments.count in arguments.order",
    "arguments.rate in arguments",
    "size(arguments.count) == 1",
    "arguments.count.startsWith('3')",
    "arguments.order.startsWith(arguments.count)",
    "arguments.count.matches('3')",
    "int(arguments.order) == 1",
    "int(arguments.urgent) == 1",
    "int(arguments.rate * 1e300) == 1",
    "double(arguments.order) == 1.0",
    "double(arguments.urgent) == 1.0",
    "string(arguments.items) == 'a'",
    "string(arguments.urgent) == 'true'",
    "string(dyn(now)) == ''",
    "arguments.items + arguments.to == [1, 2, 3]",
    "timestamp(arguments.order) < now",
    "timestamp(arguments.count) < now",
    "duration(arguments.order) < duration('1s')",
    "duration(arguments.count) < duration('1s')",
    "now < arguments.count",
    "timestamp('9999-12-31T23:59:59Z') + duration('1h') > now",
    "timestamp('2026-01-01T00:00:00Z') - timestamp('1500-01-01T00:00:00Z') > duration('1h')",
    "arguments.count.getHours() == 1",
    "arguments.count.all(x, true)",
    "arguments.order.all(x, true)",
    "arguments.items.all(x, x)",
    "arguments.items.filter(x, x) == []",
    "[1, 'a'].all(x, x > 0)",
    "['a', 0].all(x, x > 0)",
    "['a', 1].exists(x, x > 0)",
    "[3, 'a'].exists_one(x, x > 0)",
]


class TestCompile:
    @pytest.mark.parametrize(("text", "words", "line", "column"), SYNTAX + UNKNOWN + ILL_TYPED)
    def test_refuses_with_reason_and_place(self, text: str, words: str, line: int, column: int) -> None:
        with pytest.raises(cel.ConditionError) as refused:
            cel.compile_condition(text)

        assert words in refused.value.message
        assert (refused.value.line, refused.value.column) == (line, column)

    def test_refuses_a_variable_that_is_not_offered_here(self) -> None:
        with pytest.raises(cel.ConditionError, match="undeclared variable `risk`"):
            cel.compile_condition("risk.score > 1", variables={"agent", "method"})

    def test_refuses_to_offer_what_no_environment_has(self) -> None:
        with pytest.raises(KeyError):
            cel.compile_condition("true", variables={"weather"})

    def test_declares_every_field_of_the_environment(self) -> None:
        assert set(cel.VARIABLES) == set(cel.Environment.__slots__)

    def test_remembers_a_condition_it_has_compiled(self) -> None:
        assert cel.compile_condition("method == 'once'") is cel.compile_condition("method == 'once'")


class TestCondition:
    @pytest.mark.parametrize("text", TRUE)
    def test_holds(self, text: str) -> None:
        condition = cel.compile_condition(text)

        assert condition.engine == "python"
        assert condition(call()) is True
        assert condition.check(call()) is True

    @pytest.mark.parametrize("text", ERRORS)
    def test_has_no_answer(self, text: str) -> None:
        condition = cel.compile_condition(text)

        with pytest.raises(cel.EvaluationError):
            condition(call())

    def test_refuses_amounts_that_no_limit_could_hold(self) -> None:
        above = cel.compile_condition("double(arguments.amount) >= 100.0")

        for amount in ("NaN", "nan", "inf", "-Infinity", "1e999", " 250", "250\n", "2_50", "٢٥٠", "250,00", "", "0x10"):
            with pytest.raises(cel.EvaluationError):
                above(call(arguments={"amount": amount}))

    @pytest.mark.parametrize(
        "number", ["1_0", " 1", "1 ", "١", "0x1", "1.0", "", "-", "9223372036854775808", "1" * 5000]
    )
    def test_reads_no_int_that_cel_does_not(self, number: str) -> None:
        with pytest.raises(cel.EvaluationError):
            cel.compile_condition("int(arguments.n) > 0")(call(arguments={"n": number}))

    @pytest.mark.parametrize(
        "moment",
        [
            "2026-01-01 00:00:00Z",
            "2026-01-01t00:00:00z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.1234567Z",
            "2026-02-30T00:00:00Z",
            "2026-01-01T00:00:00",
            "20260101T000000Z",
            "2026-W01-1T00:00:00Z",
            "2026-01-01T00:00:00+24:00",
            "٢٠٢٦-01-01T00:00:00Z",
        ],
    )
    def test_reads_no_timestamp_but_rfc_3339(self, moment: str) -> None:
        with pytest.raises(cel.EvaluationError):
            cel.compile_condition("timestamp(arguments.t) < now")(call(arguments={"t": moment}))

    @pytest.mark.parametrize(
        "length",
        ["1", "1H", "1d", "1h 30m", "1e3s", "1ns", "0.0000001s", "9999999999h", "1h-30m", "", "-", "+", "h", "."],
    )
    def test_reads_no_duration_that_it_cannot_hold(self, length: str) -> None:
        with pytest.raises(cel.EvaluationError):
            cel.compile_condition("duration(arguments.d) > duration('0')")(call(arguments={"d": length}))

    def test_keeps_true_and_one_apart(self) -> None:
        same = cel.compile_condition("arguments.a == arguments.b || arguments.a in [arguments.b]")

        assert not same(call(arguments={"a": True, "b": 1}))
        assert not same(call(arguments={"a": [False], "b": [0]}))
        assert not same(call(arguments={"a": {"k": 1.0}, "b": {"k": True}}))

    def test_says_nothing_of_the_arguments_in_its_errors(self) -> None:
        secret = "AKIAIOSFODNN7EXAMPLE"  # the documentation's example key
        arguments = {"a": secret, "m": {}, "d": datetime(2026, 1, 1, tzinfo=UTC)}

        for text in ("int(arguments.a) == 1", "double(arguments.a) > 1.0", "timestamp(arguments.a) < now", "arguments.a > 1",
                     "arguments.m[arguments.a] == 1", "duration(arguments.a) > duration('1s')", "arguments.a",
                     "type(arguments.m[arguments.a]) == int", "uint(arguments.a) == 1u"):  # fmt: skip
            with pytest.raises(cel.EvaluationError) as failed:
                cel.compile_condition(text)(call(arguments=arguments))
            assert secret not in repr(failed.value)
            assert failed.value.__cause__ is None

    def test_names_the_key_that_is_missing(self) -> None:
        with pytest.raises(cel.EvaluationError, match=r"^no such key: missing$"):
            cel.compile_condition("arguments.missing == 1")(call())

    def test_takes_read_only_maps_tuples_and_enumerated_numbers(self) -> None:
        class Tier(IntEnum):
            HIGH = 3

        tool = MappingProxyType({"risk_tier": Tier.HIGH, "methods": ("create", "get")})
        condition = cel.compile_condition(
            "tool.risk_tier >= 3 && tool.risk_tier == 3 && method in tool.methods && tool.methods.all(m, m != '')"
            " && tool == {'risk_tier': 3, 'methods': ['create', 'get']} && tool.methods[1] == 'get' && has(tool.methods)"
        )

        assert condition(call(tool=tool))

    def test_has_no_answer_for_what_is_no_cel_value(self) -> None:
        with pytest.raises(cel.EvaluationError):
            cel.compile_condition("arguments.a > 1")(call(arguments={"a": object()}))

    def test_tells_a_timestamp_in_utc_whatever_its_offset(self) -> None:
        there = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))

        assert cel.compile_condition("now.getHours() == 23 && now.getDayOfYear() == 364")(call(now=there))


class TestRust:
    @pytest.mark.parametrize(
        "text",
        [
            "type(arguments.count) == int && type(arguments.order) == string && type(now) != int",
            "arguments.count == 3u",
            "uint(3) == 3u",
            "b'a' == bytes('a')",
            "{1: 'a'}[1] == 'a' && {true: 2}[true] == 2",
            "string(now - now) != ''",
            "string(now).startsWith('2026-11-21T10:11:12')",
            "type(agent) == map && type(arguments.items) == list && type(null) == null_type",
        ],
    )
    def test_answers_what_the_compiled_subset_does_not_know(self, text: str) -> None:
        condition = cel.compile_condition(text)

        assert condition.engine == "rust"
        assert condition(call(agent=MappingProxyType({"a": (1, MappingProxyType({}))}))) is True

    def test_is_told_the_time_in_utc(self) -> None:
        there = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
        condition = cel.compile_condition("type(now) != int && now.getHours() == 23 && agent.a == 3")

        assert condition.engine == "rust"
        assert condition(call(now=there, agent=MappingProxyType({"a": IntEnum("Tier", {"HIGH": 3}).HIGH})))

    @pytest.mark.parametrize("text", ["type(arguments.missing) == int", "uint(arguments.order) == 1u", "dyn(1u)"])
    def test_has_no_answer(self, text: str) -> None:
        with pytest.raises(cel.EvaluationError):
            cel.compile_condition(text)(call())

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("type(missing) == int", "undeclared variable `missing`"),
            ("type(1, 2) == int", "takes 1 argument"),
            ("type(arguments.a) == int && lower('a') == 'a'", "unknown function"),
            ("type(arguments.a) == int && 1 == 'a'", "never equal"),
            ("type(arguments.a) == int && size(method) > 1", "`size` cannot stand in one condition with `type()`"),
            ("type(arguments.a) == int && method.matches('a')", "`matches` cannot stand"),
            ("type(arguments.a) == int && double(arguments.a) > 1.0", "`double()` cannot stand"),
            ("type(arguments.a) == int && -arguments.a == 1", "unary `-` on a value of unknown type cannot stand"),
            ("type(arguments.a) == int && [1].all(x, x == 1)", "`all` cannot stand"),
            ("type(arguments.a) == int && duration(arguments.a) > now - now", "`duration()` cannot stand"),
        ],
    )
    def test_is_not_asked_for_what_it_answers_otherwise(self, text: str, words: str) -> None:
        with pytest.raises(cel.ConditionError) as refused:
            cel.compile_condition(text)

        assert words in refused.value.message

    def test_is_not_loaded_before_it_is_needed(self) -> None:
        program = (
            "import sys; from countersign.policy import cel; cel.compile_condition('method == \"a\"');"
            "assert 'cel' not in sys.modules; cel.compile_condition('type(1) == int'); assert 'cel' in sys.modules"
        )

        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class TestParse:
    def test_keeps_lines_and_columns_behind_literals_and_comments(self) -> None:
        text = "method == '''a\nb''' // \"no string\n && r\"\\\" == method &&\n nobody"

        with pytest.raises(cel.ConditionError) as refused:
            cel.compile_condition(text)

        assert (refused.value.line, refused.value.column) == (4, 2)

    def test_ends_a_raw_literal_at_its_backslash(self) -> None:
        assert cel.compile_condition(r"""r"\" == method || method == "create" || method == '\''""")(call())

    def test_flattens_a_chain_and_keeps_its_parentheses(self) -> None:
        chain = cel_syntax.parse("true && (true && false) && true")

        assert isinstance(chain, cel_nodes.Operation)
        assert len(chain.args) == 3
