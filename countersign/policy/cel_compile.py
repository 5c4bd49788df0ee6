"""CEL text in, a Python function out, with every name in its source one of ours.

The source is checked against a list of allowed syntax (`_verify`) before Python sees it: a second lock, since the
checker already emits nothing else. It runs without builtins.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from countersign.policy import cel_arithmetic, cel_conversions, cel_runtime
from countersign.policy.cel_check import MAX_LOOPS, Checker, has_macro
from countersign.policy.cel_runtime import BUDGET, ERRORS, CelType, EvaluationError
from countersign.policy.cel_syntax import parse

NAMES: Mapping[str, Any] = {
    **{
        function.__name__: function
        for function in (
            cel_arithmetic.add, cel_arithmetic.divide, cel_arithmetic.int64, cel_arithmetic.multiply,
            cel_arithmetic.negate, cel_arithmetic.remainder, cel_arithmetic.subtract, cel_conversions.part,
            cel_conversions.to_double, cel_conversions.to_duration, cel_conversions.to_int, cel_conversions.to_string,
            cel_conversions.to_timestamp, cel_runtime.at, cel_runtime.at_least, cel_runtime.at_most, cel_runtime.both,
            cel_runtime.contains, cel_runtime.either, cel_runtime.elements, cel_runtime.ends_with, cel_runtime.equal,
            cel_runtime.has, cel_runtime.less, cel_runtime.matches, cel_runtime.member, cel_runtime.more,
            cel_runtime.size, cel_runtime.starts_with, cel_runtime.truth, cel_runtime.unequal, cel_runtime.weigh,
            cel_runtime.weigh_deep,
        )
    },
    "all": all, "any": any, "len": len, "sum": sum,
}  # fmt: skip
_LOCALS = frozenset({"e", "b", *(f"v{depth}" for depth in range(MAX_LOOPS))})
_SYNTAX = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.IfExp, ast.Lambda,
    ast.GeneratorExp, ast.ListComp, ast.comprehension, ast.Tuple, ast.Constant, ast.Load, ast.Store,
    ast.Subscript,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compiled:
    """The function, or None where only the Rust library knows the condition; the variables it names; its source."""

    check: Callable[[Any], bool] | None
    names: tuple[str, ...]
    source: str


def compile_text(text: str, variables: Mapping[str, CelType]) -> Compiled:
    """Parse, check and compile one condition. Raises ConditionError."""
    node = parse(text)
    checker = Checker(variables=variables, metered=has_macro(node))
    code = checker.condition(node)
    names = tuple(sorted(checker.used))
    if checker.foreign:
        for differing, what in checker.differs:
            raise differing.place.error(f"{what} cannot stand in one condition with {checker.foreign[0]}")
        return Compiled(None, names, "")
    again: Callable[[Any, Exception], bool] = _fail
    if code.exact != code.fast:
        again = _retry(_function(code.exact, checker, guarded=False, again=_fail))
    return Compiled(_function(code.fast, checker, guarded=not code.safe, again=again), names, code.fast)


def _function(
    expression: str, checker: Checker, *, guarded: bool, again: Callable[[Any, Exception], bool]
) -> Callable[[Any], bool]:
    _verify(expression, variables=checker.variables, constants=checker.constants)
    meter = f"    b = [{BUDGET}]\n" if checker.metered else ""
    body = f"    return {expression}\n"
    if guarded:
        body = f"    try:\n    {body}    except errors as problem:\n        return again(e, problem)\n"
    namespace: dict[str, Any] = {"__builtins__": {}, **NAMES, **checker.constants, "errors": ERRORS, "again": again}
    exec(compile(f"def check(e):\n{meter}{body}", "<condition>", "exec"), namespace)  # noqa: S102 - verified above
    check: Callable[[Any], bool] = namespace["check"]
    return check


def _retry(exact: Callable[[Any], bool]) -> Callable[[Any, Exception], bool]:
    def again(environment: Any, _problem: Exception) -> bool:
        try:
            return exact(environment)
        except ERRORS as problem:
            _fail(environment, problem)

    return again


def _fail(_environment: Any, problem: Exception) -> NoReturn:
    """One kind of error for the caller, in words that hold nothing of the call's arguments."""
    match problem:
        case EvaluationError():
            raise problem
        case KeyError():
            raise EvaluationError(f"no such key: {problem.args[0]}") from None  # a name out of the policy's text
        case RecursionError():
            raise EvaluationError("a value nested too deeply") from None
        case TypeError():
            raise EvaluationError("no such overload") from None
        case _:
            raise EvaluationError("no answer: overflow, or text that does not convert") from None


def _verify(expression: str, *, variables: Mapping[str, CelType], constants: Mapping[str, Any]) -> None:
    for node in ast.walk(ast.parse(expression, mode="eval")):
        match node:
            case ast.Name(id=name):
                ours = name in NAMES or name in constants or name in _LOCALS
            case ast.Attribute(value=ast.Name(id="e"), attr=name):
                ours = name in variables
            case ast.Call(func=ast.Name(), keywords=[]):
                ours = True
            case ast.Dict(keys=keys):
                ours = None not in keys  # None stands for `**`
            case ast.arguments():
                ours = not ast.unparse(node)  # every lambda is without parameters
            case _:
                ours = isinstance(node, _SYNTAX)
        if not ours:
            raise AssertionError(f"the compiler emitted {ast.dump(node)[:80]}")
