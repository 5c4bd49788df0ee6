"""CEL text in, a small tree of nodes with their places out. The grammar is cel-python's; literals are read by us."""

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any, NoReturn

from celpy.celparser import CELParseError, CELParser
from lark import Token, Tree

from countersign.policy import cel_literals
from countersign.policy.cel_nodes import (
    INT_MAX,
    INT_MIN,
    Call,
    ConditionError,
    Foreign,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Operation,
    Place,
    Select,
)

MAX_TEXT = 4_096
MAX_NODES = 512
MAX_DEPTH = 24
_INT_DIGITS = 24  # sign, 0x and leading zeros included: longer text is not worth reading as a number

_DOUBLE = re.compile(r"-?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|-?[0-9]+[eE][+-]?[0-9]+")
_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
    "namespace", "null", "package", "return", "true", "var", "void", "while",
})  # fmt: skip
_WRITTEN_OUT = {"and": "&&", "or": "||", "not": "!"}
_OPERATORS = {
    "relation_lt": "<", "relation_le": "<=", "relation_gt": ">", "relation_ge": ">=", "relation_eq": "==",
    "relation_ne": "!=", "relation_in": "in", "addition_add": "+", "addition_sub": "-",
    "multiplication_mul": "*", "multiplication_div": "/", "multiplication_mod": "%",
}  # fmt: skip


def parse(text: str) -> Node:
    """The tree of one expression. Raises ConditionError for what is not CEL, or larger than a condition may be."""
    if len(text) > MAX_TEXT:
        raise ConditionError(f"longer than {MAX_TEXT} characters")
    structure, literals = cel_literals.blanked(text)
    try:
        tree = _parser().parse(structure)
    except CELParseError as problem:
        _refuse_syntax(text, problem)
    return _Builder(literals=literals).build(tree, depth=0)


@cache
def _parser() -> CELParser:
    return CELParser()


def _refuse_syntax(text: str, problem: CELParseError) -> NoReturn:
    line, column = problem.line or 1, problem.column or 1
    lines = text.split("\n")
    rest = lines[line - 1][column - 1 :].split() if 0 < line <= len(lines) else []
    said = f"syntax error at or after `{rest[0][:40]}`" if rest else "syntax error"
    nearby = [*lines[line - 1][: column - 1].split()[-1:], rest[0]] if rest else []
    raise ConditionError(said + "".join(map(instead, nearby)), line, column) from None


def instead(word: str) -> str:
    """What to write for a word that other languages have for an operator."""
    return f"; write {_WRITTEN_OUT[word]}" if word in _WRITTEN_OUT else ""


@dataclass(slots=True)
class _Builder:
    """Turns the parser's tree, nine levels deep for a mere name, into nodes. Counts nodes and depth as it goes."""

    literals: dict[int, str | None]
    nodes: int = field(default=0)

    def build(self, tree: Tree[Token], *, depth: int) -> Node:
        tree = _skip_single(tree)
        place = Place(tree.meta.line, tree.meta.column)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise place.error(f"more than {MAX_NODES} terms")
        if depth > MAX_DEPTH:
            raise place.error(f"nested deeper than {MAX_DEPTH} levels")
        return self._node(tree, place, depth + 1)

    def _node(self, tree: Tree[Token], place: Place, depth: int) -> Node:  # noqa: PLR0911 - one return a rule
        children: list[Any] = tree.children
        match tree.data:
            case "literal":
                return self._literal(children[0], place)
            case "ident":
                return Name(place, _plain_name(children[0]))
            case "expr":
                return Operation(place, "?:", self._all(children, depth))
            case "conditionalor" | "conditionaland":
                operator = "||" if tree.data == "conditionalor" else "&&"
                return Operation(place, operator, self._all(_chain(tree), depth))
            case "relation" | "addition" | "multiplication":
                operands = [children[0].children[0], children[1]]
                return Operation(place, _OPERATORS[children[0].data], self._all(operands, depth))
            case "unary":
                operator = "!" if children[0].data == "unary_not" else "neg"
                return Operation(place, operator, self._all(children[1:], depth))
            case "list_lit":
                return ListOf(place, self._all(_listed(children), depth))
            case "map_lit":
                flat = self._all(_listed(children), depth)
                return MapOf(place, tuple(pair for pair in list(pairwise(flat))[::2]))
            case _:
                return self._member(tree, place, depth)

    def _member(self, tree: Tree[Token], place: Place, depth: int) -> Node:
        children: list[Any] = tree.children
        match tree.data:
            case "member_dot":
                return Select(_after_dot(children[1]), self.build(children[0], depth=depth), str(children[1]))
            case "member_index":
                return Index(place, *self._all(children, depth))
            case "member_dot_arg":
                target = self.build(children[0], depth=depth)
                return Call(_after_dot(children[1]), str(children[1]), target, self._all(_listed(children[2:]), depth))
            case "ident_arg":
                return Call(place, str(children[0]), None, self._all(_listed(children[1:]), depth))
            case "member_object":
                raise place.error("messages cannot be built in a condition")
            case _:
                raise place.error("a name cannot begin with a dot here")

    def _all(self, trees: list[Any], depth: int) -> tuple[Node, ...]:
        return tuple([self.build(tree, depth=depth) for tree in trees])

    def _literal(self, token: Token, place: Place) -> Node:  # noqa: PLR0911 - one return a token
        match token.type:
            case "STRING_LIT" | "MLSTRING_LIT":
                return Literal(place, self.literals[token.start_pos or 0])
            case "BYTES_LIT":
                return Foreign(place, "bytes")
            case "UINT_LIT":
                return Foreign(place, "uint")
            case "INT_LIT":
                return Literal(place, _int_of(str(token), place))
            case "FLOAT_LIT":
                return Literal(place, _double_of(str(token), place))
            case "BOOL_LIT":
                return Literal(place, token == "true")
            case _:
                return Literal(place, None)


def _skip_single(tree: Tree[Token]) -> Tree[Token]:
    """Past the levels of the grammar that hold one child and say nothing, and past parentheses."""
    while len(tree.children) == 1 and isinstance(tree.children[0], Tree) and tree.data not in {"list_lit", "map_lit"}:
        tree = tree.children[0]
    return tree


def _chain(tree: Tree[Token]) -> list[Tree[Token]]:
    """The operands of `a && b && c`, which the grammar nests to the left."""
    operands: list[Any] = []
    operator, at = tree.data, tree
    while at.data == operator and len(at.children) > 1:
        left, right = at.children
        assert isinstance(left, Tree)
        operands.append(right)
        at = left
    return [at, *reversed(operands)]


def _listed(children: list[Any]) -> list[Any]:
    return children[0].children if children else []


def _after_dot(token: Token) -> Place:
    return Place(token.line or 1, token.column or 1)


def _plain_name(token: Token) -> str:
    if token in _RESERVED:
        raise _after_dot(token).error(f"`{token}` is a reserved word")
    return str(token)


def _int_of(digits: str, place: Place) -> int:
    value = int(digits, 16 if "0x" in digits else 10) if len(digits) <= _INT_DIGITS else INT_MAX + 1
    if not INT_MIN <= value <= INT_MAX:
        raise place.error("an int literal beyond 64 bits")
    return value


def _double_of(digits: str, place: Place) -> float:
    if not _DOUBLE.fullmatch(digits):
        raise place.error("syntax error: a double literal needs digits after its point")
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise place.error("a double literal beyond what a double can hold")
    return value
