"""An operator and the code of its operands in, typed code of the whole out; operands that cannot fit are refused."""

from collections.abc import Iterable, Mapping, Sequence

from countersign.policy.cel_code import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    LIST,
    MAP,
    NULL,
    STRING,
    TIMESTAMP,
    Code,
    constant,
    emit,
    overload,
    truth,
    weighed,
)
from countersign.policy.cel_nodes import ListOf, Literal, Node, Operation
from countersign.policy.cel_runtime import CelType

_NUMBERS = frozenset({INT, DOUBLE})
_INLINE_EQUAL = frozenset({INT, DOUBLE, STRING, TIMESTAMP, DURATION})
_INLINE_ORDER = frozenset({BOOL, INT, STRING, TIMESTAMP, DURATION})
_ORDERED = _INLINE_ORDER | {DOUBLE}
_COMPARISONS = {"<": "less", "<=": "at_most", ">": "more", ">=": "at_least"}
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "remainder"}
_RESULTS: Mapping[tuple[str, CelType, CelType], CelType] = {
    **{(operator, INT, INT): INT for operator in "+-*/%"},
    **{(operator, DOUBLE, DOUBLE): DOUBLE for operator in "+-*/"},
    ("+", STRING, STRING): STRING,
    ("+", LIST, LIST): LIST,
    ("+", TIMESTAMP, DURATION): TIMESTAMP,
    ("+", DURATION, DURATION): DURATION,
    ("-", TIMESTAMP, DURATION): TIMESTAMP,
    ("-", TIMESTAMP, TIMESTAMP): DURATION,
    ("-", DURATION, DURATION): DURATION,
}


def operation(node: Operation, codes: Sequence[Code], *, metered: bool) -> Code:
    """Code of one operator. Raises ConditionError."""
    match node.operator, codes:
        case (("&&" | "||"), _):
            return _logic(node, codes)
        case "?:", (test, yes, no):
            return _choice(truth(test, node.args[0].place), yes, no)
        case "!", (code,):
            return emit(BOOL, "(not {})", truth(code, node.place), safe=True)
        case "neg", (code,):
            return _negate(node, code)
        case _, (left, right):
            return _binary(node, left, right, metered=metered)
    raise AssertionError(node.operator)


def _binary(node: Operation, left: Code, right: Code, *, metered: bool) -> Code:
    match node.operator:
        case "==" | "!=":
            return _equality(node, left, right, metered=metered)
        case "in":
            return _in(node, left, right, metered=metered)
        case "<" | "<=" | ">" | ">=":
            return _order(node, left, right, metered=metered)
        case _:
            return _arithmetic(node, left, right, metered=metered)


def _logic(node: Operation, codes: Sequence[Code]) -> Code:
    terms = [truth(code, arg.place) for code, arg in zip(codes, node.args, strict=True)]
    word, function = (" and ", "both") if node.operator == "&&" else (" or ", "either")
    fast = f"({word.join(term.fast for term in terms)})"
    safe = all(term.safe for term in terms)
    if all(term.safe for term in terms[:-1]):  # only an error before the last term could be absorbed
        return Code(BOOL, fast, f"({word.join(term.exact for term in terms)})", safe=safe)
    return Code(BOOL, fast, f"{function}({', '.join(f'lambda: {term.exact}' for term in terms)})")


def _choice(test: Code, yes: Code, no: Code) -> Code:
    kind = yes.type if yes.type is no.type else DYN
    return emit(kind, "({1} if {0} else {2})", test, yes, no, safe=True, finite=yes.finite and no.finite)


def _negate(node: Operation, code: Code) -> Code:
    match code.type:
        case CelType.INT:
            return emit(INT, "int64(-{})", code)
        case CelType.DOUBLE:
            return emit(DOUBLE, "(-{})", code, safe=True, finite=code.finite)
        case CelType.DYN:
            return emit(DYN, "negate({})", code)
        case _:
            raise overload(node.place, "unary -", code)


def _equality(node: Operation, left: Code, right: Code, *, metered: bool) -> Code:
    kinds = {left.type, right.type}
    if len(kinds) > 1 and DYN not in kinds and not kinds <= _NUMBERS:
        raise node.place.error(f"comparing {left.type} with {right.type}: never equal")
    operands = weighed(left, right, metered=metered, deep=True)
    if _is_identity(left, right):
        return emit(BOOL, "({} is {})" if node.operator == "==" else "({} is not {})", *operands, safe=True)
    if STRING in kinds or (left.type is right.type and left.type in _INLINE_EQUAL):
        return emit(BOOL, f"({{}} {node.operator} {{}})", *operands, safe=True)
    return emit(BOOL, "equal({}, {})" if node.operator == "==" else "unequal({}, {})", *operands)


def _is_identity(left: Code, right: Code) -> bool:
    return left.type is right.type is BOOL or any(code.literal and code.type in {BOOL, NULL} for code in (left, right))


def _order(node: Operation, left: Code, right: Code, *, metered: bool) -> Code:
    kinds = {left.type, right.type} - {DYN}
    if not kinds <= _ORDERED or (len(kinds) > 1 and not kinds <= _NUMBERS):
        raise overload(node.place, node.operator, left, right)
    left, right = _as_double(left, right), _as_double(right, left)
    operands = weighed(left, right, metered=metered)
    if left.type is right.type and (left.type in _INLINE_ORDER or (left.finite and right.finite)):
        return emit(BOOL, f"({{}} {node.operator} {{}})", *operands, safe=True)
    return emit(BOOL, _COMPARISONS[node.operator] + "({}, {})", *operands)


def _as_double(code: Code, other: Code) -> Code:
    """An int literal beside a double, written as the double it is compared as."""
    return constant(float(code.fast)) if code.literal and code.type is INT and other.type is DOUBLE else code


def _in(node: Operation, value: Code, container: Code, *, metered: bool) -> Code:
    if container.type not in {LIST, MAP, DYN}:
        raise overload(node.place, "in", value, container)
    right = node.args[1]
    of_strings = value.type in {STRING, DYN} and isinstance(right, ListOf) and _all_strings(right.items)
    if of_strings or (value.type is STRING and container.type is MAP):
        return emit(BOOL, "({} in {})", value, container, safe=True)
    return emit(BOOL, "member({}, {})", *weighed(value, container, metered=metered, deep=True))


def _all_strings(items: Iterable[Node]) -> bool:
    return all(isinstance(item, Literal) and isinstance(item.value, str) for item in items)


def _arithmetic(node: Operation, left: Code, right: Code, *, metered: bool) -> Code:
    operator = node.operator
    if not any(key[0] == operator and _fits(key[1], left) and _fits(key[2], right) for key in _RESULTS):
        raise overload(node.place, operator, left, right)
    kind = _RESULTS.get((operator, left.type, right.type), DYN)
    if kind is INT and operator in "+-*":
        return emit(INT, f"int64({{}} {operator} {{}})", left, right)
    if kind is DOUBLE and operator in "+-*":
        return emit(DOUBLE, f"({{}} {operator} {{}})", left, right, safe=True)
    return emit(kind, _ARITHMETIC[operator] + "({}, {})", *weighed(left, right, metered=metered))


def _fits(kind: CelType, code: Code) -> bool:
    return code.type in {kind, DYN}
