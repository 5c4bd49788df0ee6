r"""Conditions: CEL text in, a function from a call's environment to true or false out. The only door to CEL.

A condition is parsed, checked against the declared variables and compiled to Python once; evaluating it is then about
as fast as the same test written by hand. What the compiled subset does not know (uint, bytes, `type()`, map keys that
are no strings) is left, for the whole condition, to the Rust library; `Condition.engine` says which of the two runs.
The Rust library is also the oracle of the tests: same answer, or both an error.

Where this differs from the library, and why:

| construct                              | library                       | here                                        |
|----------------------------------------|-------------------------------|---------------------------------------------|
| `size("é")`                            | UTF-8 bytes, 2                | characters, 1 (the specification)           |
| `"١".matches("\d")`                    | Unicode classes               | RE2's ASCII classes (the specification)     |
| `matches` with a pattern from the call | compiled for each evaluation  | refused: the pattern is a literal           |
| `-true`                                | `false`                       | error (the specification)                   |
| `[1] + {}`                             | the list                      | error (the specification)                   |
| `string(dyn(now))`                     | its own format                | error; `string(now)` is left to the library |
| `double("NaN")`, `"inf"`, `"1e999"`    | NaN, infinity                 | error: NaN would be below every limit       |
| `timestamp("… 00:00:60Z")`, `t`, space | read, the leap second bent    | error: RFC 3339 in capitals, with `T`       |
| finer than a microsecond               | kept, lost on the way out     | error: nothing is rounded                   |
| `duration("9999999999h")`, `"1e3s"`    | cut to 292 years; 1000 s      | error                                       |
| a duration beyond 292 years, computed  | kept                          | error (the specification)                   |
| `duration("1h-30m")`                   | 30 minutes                    | error: one sign, in front                   |
| `timestamp("…+02:00").getHours()`      | the hour there                | the hour in UTC (the specification)         |
| `{"a": 1, "a": 2}`                     | the last one                  | refused when compiled                       |
| `1 == "a"`, `1 && true`, `"a" + 1`     | false, or an error, each time | refused when compiled, types being known    |
| `[1,]`, `1.e5`, messages, `.name`      | partly read                   | refused when compiled                       |
| comprehension over a long list         | no limit                      | error beyond BUDGET steps                   |

As in the library, and stricter than the specification: an ordering with NaN is an error; an error inside `all` or
`exists` is not absorbed by a later element; `string()` takes no bool, `int()` no timestamp, `+` no duration before a
timestamp. A condition left to the library may use none of the constructs above that differ.
"""

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Literal

from countersign.policy.cel_compile import compile_text
from countersign.policy.cel_nodes import ConditionError as ConditionError
from countersign.policy.cel_runtime import BUDGET as BUDGET
from countersign.policy.cel_runtime import CelType as CelType
from countersign.policy.cel_runtime import EvaluationError as EvaluationError

_REMEMBERED = 8_192  # conditions; a bundle that changes one rule compiles one


@dataclass(slots=True)
class Environment:
    """What a condition sees. Maps hold JSON values (dict, list or tuple, str, int, float, bool, None) and are `{}` when
    absent; `intent`, `session` and `transaction` are `""` when the call names none; `now` is aware. Treated as
    immutable; not frozen because one is built per call on the hot path.
    """

    agent: Mapping[str, Any]
    tool: Mapping[str, Any]
    method: str
    arguments: Mapping[str, Any]
    intent: str
    principal: Mapping[str, Any]
    session: str
    transaction: str
    risk: Mapping[str, Any]
    now: datetime
    environment: Mapping[str, Any]
    subject: Mapping[str, Any]
    action: Mapping[str, Any]
    resource: Mapping[str, Any]
    context: Mapping[str, Any]


VARIABLES: Mapping[str, CelType] = MappingProxyType(
    dict.fromkeys(Environment.__slots__, CelType.MAP)
    | dict.fromkeys(("method", "intent", "session", "transaction"), CelType.STRING)
    | {"now": CelType.TIMESTAMP}
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. Call it, or take `check` where a call's overhead counts; both raise EvaluationError."""

    text: str
    engine: Literal["python", "rust"]
    check: Callable[[Environment], bool]

    def __call__(self, environment: Environment) -> bool:
        return self.check(environment)


def compile_condition(text: str, *, variables: Collection[str] = VARIABLES) -> Condition:
    """Compile one condition that may name `variables`, which are names of VARIABLES.

    Raises ConditionError, with a 1-based line and column, for what is not CEL, names nothing that exists, cannot have
    a fitting type, is no bool, or is larger than a condition may be.
    """
    return _compiled(text, frozenset(variables))


@lru_cache(maxsize=_REMEMBERED)
def _compiled(text: str, variables: frozenset[str]) -> Condition:
    compiled = compile_text(text, {name: VARIABLES[name] for name in variables})
    if compiled.check:
        return Condition(text, "python", compiled.check)
    return Condition(text, "rust", _rust_check(text, compiled.names))


@cache
def _rust() -> Any:
    # Imported when first needed: its package drags a command line and a prompt in, 0.3 s that most processes never use.
    return importlib.import_module("cel")


def _rust_check(text: str, names: tuple[str, ...]) -> Callable[[Environment], bool]:
    try:
        program = _rust().compile(text)
    except ValueError as problem:
        raise ConditionError(str(problem).splitlines()[0]) from None

    def check(environment: Environment) -> bool:
        values = {name: getattr(environment, name) for name in names}
        if "now" in values:
            values["now"] = environment.now.astimezone(UTC)  # the library tells a time's parts in its own offset
        result = _execute(program, values)
        if result is True or result is False:
            return result
        raise EvaluationError("no such overload: condition")

    return check


def _execute(program: Any, values: dict[str, Any]) -> Any:
    try:
        return program.execute(values)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - a panic in the library is not an Exception, and must not pass for an answer
        # Without its text: the library quotes values, and arguments must not reach a log this way.
        raise EvaluationError("the expression failed") from None
