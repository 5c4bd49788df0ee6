r"""CEL text in, a small tree of nodes with their places out. The grammar is cel-python's; literals are read here.

The grammar's own string rule is ambiguous: an unterminated literal full of `\x41` takes exponential time, and a raw
string may swallow what follows it. So literals and comments are found first by an unambiguous scan, decoded, and
blanked out in place; the parser then sees the structure alone, at unchanged lines and columns.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any, NoReturn

from celpy.celparser import CELParseError, CELParser
from lark import Token, Tree

MAX_TEXT = 4_096
MAX_NODES = 512
MAX_DEPTH = 24
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
_INT_DIGITS = 24  # sign, 0x and leading zeros included: longer text is not worth reading as a number

_LITERAL = re.compile(
    r"""
    (?P<comment>//[^\n]*+)
  | (?P<prefix>[bB][rR]?|[rR]|)(?:
        (?P<triple>\"\"\"(?:[^\\"]|\\.|\"(?!\"\"))*+\"\"\" | '''(?:[^\\']|\\.|'(?!''))*+''')
      | (?P<single>"(?:[^"\\\r\n]|\\[^\r\n])*+" | '(?:[^'\\\r\n]|\\[^\r\n])*+'))
  | (?P<word>[A-Za-z0-9_]++)
  | (?P<stray>["'])
    """,
    re.VERBOSE | re.DOTALL,
)
_RAW = re.compile(
    r"""[bB]?[rR](?:(?P<triple>\"\"\".*?\"\"\"|'''.*?''')|(?P<single>"[^"\r\n]*+"|'[^'\r\n]*+'))""", re.DOTALL
)
_ESCAPE = re.compile(r"""\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))""", re.DOTALL)
_PLAIN_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_DOUBLE = re.compile(r"-?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|-?[0-9]+[eE][+-]?[0-9]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
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


class ConditionError(Exception):
    """A condition that cannot be accepted: what is wrong with it, and where (1-based, within the condition's text)."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, 1-based."""

    line: int
    column: int

    def error(self, message: str) -> ConditionError:
        return ConditionError(message, self.line, self.column)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: str, int, float, bool or None."""

    place: Place
    value: Any


@dataclass(frozen=True, slots=True)
class Foreign:
    """A literal of a type that the compiled subset does not know (`uint`, `bytes`)."""

    place: Place
    what: str


@dataclass(frozen=True, slots=True)
class Name:
    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`target.field`"""

    place: Place
    target: "Node"
    field: str


@dataclass(frozen=True, slots=True)
class Index:
    """`target[key]`"""

    place: Place
    target: "Node"
    key: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a method where `target` is given."""

    place: Place
    name: str
    target: "Node | None"
    args: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """`! - ?:` and the binary operators. `&&` and `||` hold the whole chain, flattened; unary minus is `neg`."""

    place: Place
    operator: str
    args: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    place: Place
    entries: tuple[tuple["Node", "Node"], ...]


Node = Literal | Foreign | Name | Select | Index | Call | Operation | ListOf | MapOf


def parse(text: str) -> Node:
    """The tree of one expression. Raises ConditionError for what is not CEL, or larger than a condition may be."""
    if len(text) > MAX_TEXT:
        raise ConditionError(f"longer than {MAX_TEXT} characters")
    structure, literals = _blank_literals(text)
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


def _place_of(text: str, offset: int) -> Place:
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _blank_literals(text: str) -> tuple[str, dict[int, str | None]]:
    """The text with literals and comments blanked, and each literal's value by its offset (None: bytes)."""
    pieces: list[str] = []
    literals: dict[int, str | None] = {}
    done = 0
    for found in _literals(text):
        start, end = found.span()
        pieces.append(text[done:start])
        done = end
        if text.startswith("//", start):
            pieces.append(" " * (end - start))
            continue
        literals[start] = _value_of(text, found)
        pieces.append(_blank(found))
    pieces.append(text[done:])
    return "".join(pieces), literals


def _literals(text: str) -> Iterator[re.Match[str]]:
    offset = 0
    while found := _LITERAL.search(text, offset):
        if raw := _RAW.match(text, found.start()):
            found = raw
        elif found["stray"]:
            raise _place_of(text, found.start()).error("this string literal does not end")
        offset = found.end()
        if raw or not found["word"]:
            yield found


def _blank(found: re.Match[str]) -> str:
    bytes_prefix = "b" if found[0][0] in "bB" else ""
    if found["triple"]:
        inner = re.sub(r"[^\n]", "x", found[0][len(bytes_prefix) + 3 : -3])
        return f"{bytes_prefix}'''{inner}'''"
    return f"{bytes_prefix}'{'x' * (len(found[0]) - len(bytes_prefix) - 2)}'"


def _value_of(text: str, found: re.Match[str]) -> str | None:
    whole = found[0]
    quote = min(whole.index(q) for q in "\"'" if q in whole)
    prefix, quoted = whole[:quote].lower(), whole[quote:]
    if "b" in prefix:
        return None
    width = 3 if found["triple"] else 1
    body = quoted[width:-width]
    start = found.start() + quote + width
    value = body if "r" in prefix else _ESCAPE.sub(lambda match: _unescape(text, start, match), body)
    if _SURROGATE.search(value):
        raise _place_of(text, found.start()).error("a string literal holds half of a surrogate pair")
    return value


def _unescape(text: str, start: int, match: re.Match[str]) -> str:
    for digits, base in ((match[1], 16), (match[2], 16), (match[3], 16), (match[4], 8)):
        if digits and (code := int(digits, base)) <= sys.maxunicode:
            return chr(code)
    try:
        return _PLAIN_ESCAPES[match[5]]
    except KeyError:
        raise _place_of(text, start + match.start()).error(f"unknown escape `{match[0][:2]}`") from None


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
