"""A tree of CEL nodes in, typed Python text out; undeclared names, unknown functions and wrong types are refused."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final

import re2

from countersign.policy import cel_conversions, cel_operators
from countersign.policy.cel_code import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    LIST,
    MAP,
    STRING,
    TIMESTAMP,
    Code,
    constant,
    emit,
    overload,
    truth,
    weighed,
)
from countersign.policy.cel_nodes import (
    Call,
    Foreign,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Operation,
    Select,
)
from countersign.policy.cel_runtime import ERRORS, CelType
from countersign.policy.cel_syntax import instead

MAX_LOOPS: Final = 3
_STEP_TERMS: Final = 8  # one step of the budget is about this much of a comprehension's body
_REGEX_MEMORY: Final = 1 << 20

_CONVERSIONS: Mapping[str, tuple[CelType, frozenset[CelType], Callable[[Any], Any]]] = {
    "int": (INT, frozenset({INT, DOUBLE, STRING}), cel_conversions.to_int),
    "double": (DOUBLE, frozenset({INT, DOUBLE, STRING}), cel_conversions.to_double),
    "string": (STRING, frozenset({INT, DOUBLE, STRING}), cel_conversions.to_string),
    "timestamp": (TIMESTAMP, frozenset({STRING, TIMESTAMP}), cel_conversions.to_timestamp),
    "duration": (DURATION, frozenset({STRING, DURATION}), cel_conversions.to_duration),
}
_STRING_TESTS = {"startsWith": "starts_with", "endsWith": "ends_with", "contains": "contains"}
_LOOPS: Mapping[tuple[str, int], tuple[CelType, str]] = {
    ("all", 1): (BOOL, "all({1} for NAME in elements(b, {0}, STEPS))"),
    ("exists", 1): (BOOL, "any({1} for NAME in elements(b, {0}, STEPS))"),
    ("exists_one", 1): (BOOL, "(sum(1 for NAME in elements(b, {0}, STEPS) if {1}) == 1)"),
    ("filter", 1): (LIST, "[NAME for NAME in elements(b, {0}, STEPS) if {1}]"),
    ("map", 1): (LIST, "[{1} for NAME in elements(b, {0}, STEPS)]"),
    ("map", 2): (LIST, "[{2} for NAME in elements(b, {0}, STEPS) if {1}]"),
}
_MACROS = frozenset(name for name, _ in _LOOPS)
_METHODS = frozenset({*_STRING_TESTS, *_MACROS, *cel_conversions.TIME_PARTS, "matches"})
_TYPE_NAMES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"})
_RUST_FUNCTIONS = frozenset({"bytes", "type", "uint"})
_DIFFERENT_CONVERSIONS = frozenset({"double", "timestamp", "duration"})


def has_macro(node: Node) -> bool:
    """Whether a comprehension stands anywhere in the condition."""
    return any(isinstance(inner, Call) and inner.target and inner.name in _MACROS for inner in _walk(node))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for inner in _children(node):
        yield from _walk(inner)


def _children(node: Node) -> Iterable[Node]:
    match node:
        case Operation(args=nodes) | ListOf(items=nodes):
            return nodes
        case Call():
            return node.args if node.target is None else (node.target, *node.args)
        case Select(target=target):
            return (target,)
        case Index(target=target, key=key):
            return (target, key)
        case MapOf(entries=entries):
            return chain.from_iterable(entries)
        case _:
            return ()


@dataclass(slots=True)
class Checker:
    """State of one compilation: names in scope, constants kept, and what was met that only the Rust library knows
    (`foreign`) or that it answers otherwise than we do (`differs`).
    """

    variables: Mapping[str, CelType]
    metered: bool
    scope: dict[str, Code] = field(default_factory=dict)
    loops: int = 0
    constants: dict[str, Any] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)
    differs: list[tuple[Node, str]] = field(default_factory=list)

    def condition(self, node: Node) -> Code:
        """Code of a whole condition. Raises ConditionError."""
        code = self._node(node)
        if code.type not in {BOOL, DYN}:
            raise node.place.error(f"a condition is true or false; this is {code.type}")
        return truth(code, node.place)

    def _node(self, node: Node) -> Code:  # noqa: PLR0911 - one line a node
        match node:
            case Literal(value=value):
                return constant(value)
            case Foreign(what=what):
                return self._leave(f"a {what} literal")
            case Name():
                return self._name(node)
            case Select():
                return self._select(node)
            case Index():
                return self._index(node)
            case Operation():
                return self._operation(node)
            case ListOf(items=items):
                return emit(LIST, "(" + "{}, " * len(items) + ")", *map(self._node, items), safe=True)
            case MapOf():
                return self._map(node)
            case Call():
                return self._function(node) if node.target is None else self._method(node, self._node(node.target))

    def _leave(self, what: str) -> Code:
        """Leave the whole condition to the Rust library; go on only to find errors."""
        self.foreign.append(what)
        return Code(DYN, "None", "None")

    def _keep(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    # --- names, fields, literals and operators ---

    def _name(self, node: Name) -> Code:
        if code := self.scope.get(node.name):
            return code
        if kind := self.variables.get(node.name):
            self.used.add(node.name)
            return Code(kind, f"e.{node.name}", f"e.{node.name}", safe=True)
        if node.name in _TYPE_NAMES:
            return self._leave(f"the type `{node.name}`")
        raise node.place.error(f"undeclared variable `{node.name}`{instead(node.name)}")

    def _select(self, node: Select) -> Code:
        target = self._node(node.target)
        if target.type not in {MAP, DYN}:
            raise node.place.error(f"a {target.type} has no field `{node.field}`")
        return emit(DYN, "{}[{}]", target, repr(node.field))

    def _index(self, node: Index) -> Code:
        target, key = self._node(node.target), self._node(node.key)
        fitting = {MAP: {STRING, INT, BOOL, DYN}, LIST: {INT, DYN}, DYN: {STRING, INT, BOOL, DYN}}
        if key.type not in fitting.get(target.type, ()):
            raise overload(node.place, "[]", target, key)
        if key.literal and key.type is STRING:
            return emit(DYN, "{}[{}]", target, key)
        return emit(DYN, "at({}, {})", target, key)

    def _map(self, node: MapOf) -> Code:
        seen: set[str] = set()
        codes: list[Code] = []
        for key_node, value_node in node.entries:
            key = self._key(key_node)
            if key.literal and key.fast in seen:
                raise key_node.place.error(f"the key {key.fast} stands twice")
            seen.add(key.fast)
            codes += (key, self._node(value_node))
        return emit(MAP, "{{" + "{}: {}, " * len(node.entries) + "}}", *codes, safe=True)

    def _key(self, node: Node) -> Code:
        key = self._node(node)
        if key.type not in {STRING, INT, BOOL, DYN}:
            raise node.place.error(f"a {key.type} cannot be a key")
        if key.type is not STRING:
            self._leave("a map key that may be no string")
        return key

    def _operation(self, node: Operation) -> Code:
        codes = [self._node(arg) for arg in node.args]
        if node.operator == "neg" and codes[0].type is DYN:
            self.differs.append((node, "unary `-` on a value of unknown type"))
        return cel_operators.operation(node, codes, metered=self.metered)

    # --- functions ---

    def _function(self, node: Call) -> Code:
        if node.name == "has":
            return self._has(node)
        if node.name not in {"size", "dyn", *_CONVERSIONS, *_RUST_FUNCTIONS}:
            hint = ": it is a method, x.f()" if node.name in _METHODS else instead(node.name)
            raise node.place.error(f"unknown function `{node.name}`{hint}")
        _arity(node, 1)
        code = self._node(node.args[0])
        match node.name:
            case "size":
                return self._size(node, code)
            case "dyn":
                return replace(code, type=DYN, literal=False)
            case _ if node.name in _RUST_FUNCTIONS:
                return self._leave(f"`{node.name}()`")
            case _:
                return self._convert(node, code)

    def _has(self, node: Call) -> Code:
        _arity(node, 1)
        selected = node.args[0]
        if not isinstance(selected, Select):
            raise node.place.error("has() asks for a field: has(a.b)")
        target = self._node(selected.target)
        if target.type is MAP:
            return emit(BOOL, "({1} in {0})", target, repr(selected.field), safe=True)
        if target.type is DYN:
            return emit(BOOL, "has({}, {})", target, repr(selected.field))
        raise selected.place.error(f"a {target.type} has no field `{selected.field}`")

    def _size(self, node: Call, code: Code) -> Code:
        self.differs.append((node, "`size`"))
        if code.type in {STRING, LIST, MAP}:
            return emit(INT, "len({})", code, safe=True)
        if code.type is DYN:
            return emit(INT, "size({})", code)
        raise overload(node.place, "size", code)

    def _convert(self, node: Call, code: Code) -> Code:
        result, sources, function = _CONVERSIONS[node.name]
        if node.name in _DIFFERENT_CONVERSIONS:
            self.differs.append((node, f"`{node.name}()`"))
        if node.name == "string" and code.type in {TIMESTAMP, DURATION}:
            return self._leave(f"string({code.type})")
        if code.type not in {DYN, *sources}:
            raise overload(node.place, node.name, code)
        if code.type is result:
            return code
        if isinstance(node.args[0], Literal):
            return self._folded(node, node.args[0].value, function)
        return emit(result, f"to_{node.name}({{}})", *weighed(code, metered=self.metered), finite=result is DOUBLE)

    def _folded(self, node: Call, value: Any, function: Callable[[Any], Any]) -> Code:
        """A conversion of a literal, done now: a bad one is an error of the policy, not of some later call."""
        try:
            converted = function(value)
        except ERRORS as problem:
            raise node.place.error(f"{node.name}({value!r}): {problem}") from None
        if isinstance(converted, datetime | timedelta):
            name = self._keep(converted)
            return replace(constant(converted), fast=name, exact=name)
        return constant(converted)

    # --- methods ---

    def _method(self, node: Call, target: Code) -> Code:
        if node.name in _MACROS:
            return self._macro(node, target)
        if node.name == "size":
            _arity(node, 0)
            return self._size(node, target)
        if node.name == "matches":
            return self._matches(node, target)
        if node.name in _STRING_TESTS:
            return self._string_test(node, target)
        if node.name in cel_conversions.TIME_PARTS:
            return _time_part(node, target)
        raise node.place.error(f"unknown method `{node.name}`")

    def _string_test(self, node: Call, target: Code) -> Code:
        _arity(node, 1)
        part = self._node(node.args[0])
        if not {target.type, part.type} <= {STRING, DYN}:
            raise overload(node.place, node.name, target, part)
        return emit(BOOL, _STRING_TESTS[node.name] + "({}, {})", *weighed(target, part, metered=self.metered))

    def _matches(self, node: Call, target: Code) -> Code:
        """The pattern must stand in the policy: one that comes with a call would be the caller's own program."""
        _arity(node, 1)
        self.differs.append((node, "`matches`"))
        pattern = node.args[0]
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            raise pattern.place.error("the pattern must be a string literal")
        if target.type not in {STRING, DYN}:
            raise overload(node.place, "matches", target, constant(pattern.value))
        search = self._keep(_search(pattern))
        return emit(BOOL, "matches({}, {})", *weighed(target, metered=self.metered), search)

    # --- comprehensions ---

    def _macro(self, node: Call, target: Code) -> Code:
        self.differs.append((node, f"`{node.name}`"))
        _arity(node, 2, 3 if node.name == "map" else 2)
        if target.type not in {LIST, MAP, DYN}:
            raise overload(node.place, node.name, target)
        variable = node.args[0]
        if not isinstance(variable, Name):
            raise variable.place.error(f"the first argument of `{node.name}` is the name of its variable")
        if self.loops == MAX_LOOPS:
            raise node.place.error(f"comprehensions nested deeper than {MAX_LOOPS}")
        return self._loop(node, target, variable.name)

    def _loop(self, node: Call, target: Code, variable: str) -> Code:
        name = f"v{self.loops}"
        kind = STRING if target.type is MAP else DYN
        outer = self.scope
        self.scope = {**outer, variable: Code(kind, name, name, safe=True)}
        self.loops += 1
        bodies = [self._node(arg) for arg in node.args[1:]]
        self.scope = outer
        self.loops -= 1
        if node.name != "map" or len(bodies) > 1:
            bodies[0] = truth(bodies[0], node.args[1].place)
        result, template = _LOOPS[node.name, len(bodies)]
        terms = sum(1 for arg in node.args for _ in _walk(arg))
        template = template.replace("NAME", name).replace("STEPS", str(1 + terms // _STEP_TERMS))
        return emit(result, template, target, *bodies)


def _time_part(node: Call, target: Code) -> Code:
    _arity(node, 0)
    fitting = {TIMESTAMP, DYN} | ({DURATION} if node.name in cel_conversions.DURATION_PARTS else set())
    if target.type not in fitting:
        raise overload(node.place, node.name, target)
    return emit(INT, "part({}, {})", target, repr(node.name))


def _arity(node: Call, least: int, most: int | None = None) -> None:
    if not least <= len(node.args) <= (most or least):
        raise node.place.error(f"`{node.name}` takes {least} argument{'' if least == 1 else 's'}")


def _search(pattern: Literal) -> Callable[[str], object]:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_MEMORY
    try:
        search: Callable[[str], object] = re2.compile(pattern.value, options).search
    except re2.error as problem:
        reason = problem.args[0]
        raise pattern.place.error(f"bad pattern: {reason.decode() if isinstance(reason, bytes) else reason}") from None
    return search
