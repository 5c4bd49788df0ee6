"""Generated conditions and calls: the compiled function and the Rust library answer alike, or both fail.

What the door's table says of their differences is left out of the generator, and nothing else is: strings that mean
NaN or infinity, minus before a bool, `size` of text beyond ASCII, hours of a timestamp with an offset. Two
errors of ours where the library answers are told by their words (KNOWN_REFUSALS), since the types come with the call.
"""

import os
from typing import Any

import cel as oracle
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from countersign.policy import cel
from countersign.policy.cel import Environment
from tests.countersign.policy.cel_calls import call

EXAMPLES = 20_000 if os.environ.get("COUNTERSIGN_SOAK") else 600
TYPES = ("bool", "int", "double", "string", "list", "timestamp", "duration", "any")
PLACES = {
    "bool": ("arguments.t",),
    "int": ("arguments.i",),
    "double": ("arguments.d",),
    "string": ("arguments.s", "method"),
    "list": ("arguments.l", "agent.intents"),
    "timestamp": ("now",),
}
KNOWN_REFUSALS = ("+ on list, map", "string on timestamp", "string on duration")
FIELDS = ("a", "b", "c", "gone")
STRINGS = (
    "",
    "a",
    "b",
    "ab",
    "B-1",
    "12",
    "-3",
    "1.5",
    " 1",
    "1_0",
    "1e3",
    "2026-01-01T00:00:00Z",
    "1h",
    "x'y\"z\\",
    "\n",
)
PATTERNS = ("^a", "[0-9]+$", "a|b", "", "^[^a-z]*$", "a.b", "(ab)+")
NUMBERS = (0, 1, 2, 3, -1, -3, 12, 2**53, 2**63 - 1, -(2**63))
DOUBLES = (0.0, 1.0, 1.5, -3.0, 12.0, 0.1, 1e300, -1e300, 1e-7, 9007199254740992.0, 9223372036854775807.0)
MOMENTS = ("2026-01-01T00:00:00Z", "2026-11-21T10:11:12.123456Z", "2025-02-28T23:59:59.5Z", "2026-01-01T02:00:00+02:00")
LENGTHS = ("1h", "60m", "-1h30m", "0", "1.5s", "250ms", "1us", "24h")
PARTS = (
    "FullYear",
    "Month",
    "Date",
    "DayOfMonth",
    "DayOfWeek",
    "DayOfYear",
    "Hours",
    "Minutes",
    "Seconds",
    "Milliseconds",
)

scalars = st.one_of(
    st.sampled_from(STRINGS), st.sampled_from(NUMBERS), st.sampled_from(DOUBLES), st.booleans(), st.none()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS[:3]), inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(
    lambda arguments, context, method, session: call(
        arguments=arguments, context=context, method=method, session=session
    ),
    arguments=st.fixed_dictionaries(
        {"i": st.sampled_from(NUMBERS), "d": st.sampled_from(DOUBLES), "s": st.sampled_from(STRINGS), "t": st.booleans(),
         "l": st.lists(scalars, max_size=4)},
        optional={"a": values, "b": values, "c": values},
    ),
    context=st.dictionaries(st.sampled_from(FIELDS[:3]), values, max_size=2),
    method=st.sampled_from(STRINGS),
    session=st.sampled_from(("", "ab")),
)  # fmt: skip


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class Writer:
    """Draws the text of one expression: mostly of the type asked for, sometimes of another."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.loops: list[str] = []

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def of(self, kind: str, depth: int) -> str:
        if self.draw(st.integers(0, 19)) == 0:
            kind = self.pick(*TYPES)  # an operand that does not fit
        elif kind in PLACES and self.draw(st.integers(0, 2)) == 0:
            return self.pick(*PLACES[kind])  # a value of the call that has the type
        elif self.draw(st.integers(0, 11)) == 0:
            return self.write_any(depth)  # one whose type the call decides
        text: str = getattr(self, f"write_{kind}")(depth)
        return text

    def two(self, kind: str, depth: int) -> tuple[str, str]:
        return self.of(kind, depth - 1), self.of(kind, depth - 1)

    def write_any(self, depth: int) -> str:
        if self.loops and self.draw(st.booleans()):
            return self.pick(*self.loops)
        if depth > 0 and self.draw(st.integers(0, 4)) == 0:
            kind = self.pick(*TYPES[:-1])
            return f"({self.of('bool', depth - 1)} ? {self.of(kind, depth - 1)} : {self.of('any', depth - 1)})"
        return self.pick(
            "arguments.a", "arguments.b.a", "context.c", "context.a", 'arguments["b"]', "arguments.l[0]", "arguments.l[2]",
            "arguments.i", "arguments.d", "arguments.s", "arguments.t", "arguments.gone", "arguments.a.b", "arguments.c[0]",
            "arguments[method]", "arguments.l[arguments.i]", "null", "context", "agent.intents", "dyn(1)", 'dyn("a")',
        )  # fmt: skip

    def write_bool(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("true", "false", "arguments.t", "has(arguments.a)", "has(context.a)", "has(arguments.b.c)")
        write = self.pick(self.logic, self.logic, self.compare, self.compare, self.text, self.membership, self.loop)
        return write(depth)

    def logic(self, depth: int) -> str:
        left, right = self.two("bool", depth)
        return self.pick(
            f"({left} && {right})", f"({left} || {right})", f"!({left})", f"({left} && {right} && {self.of('bool', depth - 1)})",
            f"({left} ? {right} : {self.of('bool', depth - 1)})",
        )  # fmt: skip

    def compare(self, depth: int) -> str:
        kind = self.pick(*TYPES)
        operator = self.pick("==", "!=") if kind in {"list", "any"} else self.pick("==", "!=", "<", "<=", ">", ">=")
        left, right = self.two(kind, depth)
        return f"({left} {operator} {right})"

    def text(self, depth: int) -> str:
        left, right = self.two("string", depth)
        method = self.pick("startsWith", "endsWith", "contains", "matches")
        return (
            f"({left}).matches({quoted(self.pick(*PATTERNS))})"
            if method == "matches"
            else f"({left}).{method}({right})"
        )

    def membership(self, depth: int) -> str:
        return f"({self.of('any', depth - 1)} in {self.of(self.pick('list', 'list', 'any'), depth - 1)})"

    def body(self, kind: str, depth: int) -> tuple[str, str]:
        name = f"x{len(self.loops)}"
        self.loops.append(name)
        text = self.of(kind, depth - 1)
        self.loops.pop()
        return name, text

    def loop(self, depth: int) -> str:
        over = self.of("list", depth - 1)
        name, test = self.body("bool", depth) if len(self.loops) < 3 else ("x9", "true")
        return f"({over}).{self.pick('all', 'exists', 'exists_one')}({name}, {test})"

    def number(self, kind: str, depth: int) -> str:
        left, right = self.two(kind, depth)
        return f"({left} {self.pick('+', '-', '*', '/', '%')} {right})"

    def write_int(self, depth: int) -> str:
        if depth <= 0:
            return str(self.pick(*NUMBERS))
        return self.pick(
            lambda: self.number("int", depth),
            lambda: f"-int({self.of('any', depth - 1)})",
            lambda: f"int({self.of(self.pick('string', 'double', 'any'), depth - 1)})",
            lambda: f"size({self.of(self.pick('string', 'list', 'any'), depth - 1)})",
            lambda: self.pick("now", "(now - duration('36h'))") + f".get{self.pick(*PARTS)}()",
            lambda: f"({self.of('duration', depth - 1)}).get{self.pick(*PARTS[-4:])}()",
        )()

    def write_double(self, depth: int) -> str:
        if depth <= 0:
            return repr(self.pick(*DOUBLES))
        return self.pick(
            lambda: self.number("double", depth),
            lambda: f"-double({self.of('any', depth - 1)})",
            lambda: f"double({self.of(self.pick('string', 'int', 'any'), depth - 1)})",
        )()

    def write_string(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("method", "session", *[quoted(text) for text in STRINGS])
        left, right = self.two("string", depth)
        return self.pick(
            f"({left} + {right})", f"string({self.of(self.pick('int', 'double', 'any'), depth - 1)})", left
        )

    def write_list(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("[]", "[1, 2]", '["a", "b"]', "arguments.l", "agent.intents", "[true, 1, 1.5, null]")
        items = ", ".join(self.of(self.pick(*TYPES), depth - 1) for _ in range(self.draw(st.integers(0, 3))))
        over = self.of("list", depth - 1)
        if len(self.loops) >= 3:
            return f"[{items}]"
        name, test = self.body("bool", depth)
        return self.pick(
            lambda: f"[{items}]",
            lambda: f"({over} + [{items}])",
            lambda: f"({over}).filter({name}, {test})",
            lambda: f"({over}).map({name}, {self.body('any', depth)[1]})",
            lambda: f"({over}).map({name}, {test}, {self.body('any', depth)[1]})",
        )()

    def write_timestamp(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("now", *[f"timestamp({quoted(moment)})" for moment in MOMENTS])
        return f"({self.of('timestamp', depth - 1)} {self.pick('+', '-')} {self.of('duration', depth - 1)})"

    def write_duration(self, depth: int) -> str:
        if depth <= 0:
            return f"duration({quoted(self.pick(*LENGTHS))})"
        kind = self.pick("duration", "duration", "timestamp")
        operator = "-" if kind == "timestamp" else self.pick("+", "-")
        left, right = self.two(kind, depth)
        return f"({left} {operator} {right})"


@st.composite
def conditions(draw: Any) -> str:
    writer = Writer(draw)
    return writer.of("bool", draw(st.integers(1, 4)))


def answer_of_ours(condition: cel.Condition, environment: Environment) -> bool | str:
    try:
        return condition(environment)
    except cel.EvaluationError as failed:
        return f"error: {failed}"


def answer_of_the_oracle(text: str, environment: Environment) -> bool | str:
    known = {name: getattr(environment, name) for name in Environment.__slots__}
    try:
        result = oracle.compile(text).execute(known)
    except Exception as failed:  # noqa: BLE001 - every error of the library counts
        return f"error: {failed}"
    return result if isinstance(result, bool) else f"error: not a bool, {result!r}"


def alike(ours: bool | str, theirs: bool | str) -> bool:
    if isinstance(ours, bool):
        return ours is theirs
    return isinstance(theirs, str) or ours.endswith(KNOWN_REFUSALS)


class TestCompiledConditions:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(conditions(), calls)
    def test_answer_as_the_rust_library_does(self, text: str, environment: Environment) -> None:
        try:
            condition = cel.compile_condition(text)
        except cel.ConditionError as refused:
            event(f"refused: {refused.message.split(':')[0][:30]}")
            return

        ours = answer_of_ours(condition, environment)
        theirs = answer_of_the_oracle(text, environment)

        event(f"{condition.engine}: {ours if isinstance(ours, bool) else 'error'}")
        assert alike(ours, theirs), (text, ours, theirs)

    @settings(max_examples=EXAMPLES // 4, deadline=None)
    @given(values, values)
    def test_compare_values_as_the_rust_library_does(self, left: object, right: object) -> None:
        environment = call(arguments={"a": left, "b": right})

        for operator in ("==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"):
            text = f"arguments.a {operator} arguments.b"
            if operator in {"+", "-", "*", "/", "%"}:
                text = f"({text}) == ({text})"
            ours = answer_of_ours(cel.compile_condition(text), environment)
            theirs = answer_of_the_oracle(text, environment)
            assert alike(ours, theirs), (text, left, right, ours, theirs)

    @settings(max_examples=EXAMPLES // 4, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
    def test_hold_a_literal_as_the_rust_library_does(self, content: str) -> None:
        for text in (quoted(content).replace("\r", "\\r"), '"' + "".join(f"\\U{ord(c):08x}" for c in content) + '"'):
            environment = call(arguments={"a": content})
            condition = f"arguments.a == {text} && {text} in [arguments.a] && !has(context.a)"

            assert answer_of_ours(cel.compile_condition(condition), environment) is True
            assert answer_of_the_oracle(condition, environment) is True
