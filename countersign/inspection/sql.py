"""SQL text in, why it is refused (or None) out: one statement of a registered kind, nothing hidden in it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ErrorLevel

MAX_CHARACTERS = 20_000


class Kind(StrEnum):
    """The statements a tool's argument rule may admit."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


_FIRST = frozenset(
    {
        TokenType.SELECT,
        TokenType.WITH,
        TokenType.L_PAREN,
        TokenType.INSERT,
        TokenType.UPDATE,
        TokenType.DELETE,
    }
)
_KINDS: dict[type[Any], Kind] = {
    exp.Select: Kind.SELECT,
    exp.SetOperation: Kind.SELECT,
    exp.Subquery: Kind.SELECT,
    exp.Insert: Kind.INSERT,
    exp.Update: Kind.UPDATE,
    exp.Delete: Kind.DELETE,
}
# What writes, locks, reads files or leaves the grammar, wherever it stands in the tree.
_HARMFUL_NAMES = (
    "Alter Analyze Attach Command Commit Copy Create Describe Detach Drop Execute Export Grant Heredoc Install Into "
    "Kill LoadData Lock Merge NextValueFor Pragma ReadCSV ReadParquet Refresh Revoke Rollback Set Show Transaction "
    "TruncateTable Use"
)
_HARMFUL = tuple(found for name in _HARMFUL_NAMES.split() if (found := getattr(exp, name, None)))
_TABLE = re.compile(r"[\w -]+\Z").match  # some databases take "/etc/passwd" for a table
_WRITES = (exp.Insert, exp.Update, exp.Delete)
# Functions sqlglot has no node for and that only compute. Any other unknown function may do anything: pg_sleep, dblink.
_PURE_NAMES = (
    "acos age asin atan atan2 bit_length char_length character_length cos cot degrees format initcap json_array_length "
    "jsonb_array_length md5 now octet_length pi position radians regexp_match reverse sin strpos tan translate"
)
_PURE = frozenset(_PURE_NAMES.split())


@dataclass(frozen=True, slots=True)
class Statements:
    """An argument rule `sql: [...]`: which kinds of statement may pass."""

    allowed: frozenset[Kind]

    def refusal(self, text: str) -> str | None:
        """Why `text` is refused, without quoting it; None if it may pass. What cannot be parsed is refused."""
        if len(text) > MAX_CHARACTERS:
            return f"the SQL is longer than {MAX_CHARACTERS:,} characters"
        if "\\" in text or "$" in text or "`" in text:
            return "a backslash, $ or backtick means different things to different databases"
        try:
            tokens = sqlglot.tokenize(text)
            why = _suspicious(tokens)
            return why or self._judge(sqlglot.Parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, text))
        except Exception:  # noqa: BLE001 -- whatever the parser trips over is refused; its words would quote the text
            return "it cannot be parsed as SQL"

    def _judge(self, statements: list[Any]) -> str | None:
        if len(statements) != 1 or statements[0] is None:
            return "it must be exactly one statement"
        root = statements[0]
        kind = next((kind for node, kind in _KINDS.items() if isinstance(root, node)), None)
        if kind is None or kind not in self.allowed:
            return f"only {', '.join(sorted(self.allowed))} may pass"
        return next((why for node in root.walk() if (why := self._harm(node))), None)

    def _harm(self, node: Any) -> str | None:
        if isinstance(node, _HARMFUL):
            return "a part of it does more than its kind of statement may"
        if isinstance(node, _WRITES) and _KINDS[type(node)] not in self.allowed:
            return f"a part of it writes; only {', '.join(sorted(self.allowed))} may pass"
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not _TABLE(node.name):
            return "a table's name could be that of a file or an address"
        foreign = isinstance(node, exp.Dot) and isinstance(node.expression, exp.Func)  # a schema's own lower()
        if foreign or (isinstance(node, exp.Anonymous) and node.name.lower() not in _PURE):
            return "it calls a function that is not known to be free of side effects"
        return None


def _suspicious(tokens: list[Any]) -> str | None:
    """What the tokens alone give away, before a parser could be led astray or log the text."""
    if not tokens or tokens[0].token_type not in _FIRST:
        return "it does not start as a query or a change of rows"
    for n, token in enumerate(tokens):
        if token.comments or token.token_type in (TokenType.HASH, TokenType.HINT):
            return "it holds a comment, which different databases read differently"
        if token.token_type == TokenType.SEMICOLON and n < len(tokens) - 1:
            return "it must be exactly one statement"
    return None
