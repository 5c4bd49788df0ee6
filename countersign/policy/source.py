"""YAML text in, nodes that know where they stand out; or every mistake in it, each with file, line and column."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

MAX_CHARACTERS = 4_000_000
MAX_DEPTH = 40

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where PyYAML was built with it
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][-+]?[0-9]{1,2})?\Z")
_NOWHERE: Mapping[str, tuple[int, int]] = MappingProxyType({})

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, 1-based, in words that say what to do."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PolicyErrors(ValueError):
    """A source was refused. Holds every problem that was found, in reading order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place. Mappings hold nodes by key, sequences are tuples of nodes, the rest are scalars."""

    value: Any
    line: int
    column: int
    file: str
    keys: Mapping[str, tuple[int, int]] = field(default_factory=lambda: _NOWHERE)
    written: str = ""  # a scalar as it stands in the file, quotes and all

    def plain(self) -> Any:
        """The value without its places: dict, list or scalar."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value

    def place(self, path: Path, *, key: bool = False, offset: tuple[int, int] | None = None) -> tuple[int, int]:
        """Line and column of what `path` names, or of the nearest thing around it that exists.

        `key` asks for the place of the last key instead of its value; `offset` is a 1-based line and column inside
        the text of a scalar.
        """
        node = self
        for depth, step in enumerate(path):
            if key and depth == len(path) - 1 and isinstance(step, str) and step in node.keys:
                return node.keys[step]
            found = node.child(step)
            if found is None:
                break
            node = found
        return node.inside(*offset) if offset else (node.line, node.column)

    def child(self, step: str | int) -> "Node | None":
        if isinstance(self.value, dict):
            found: Node | None = self.value.get(step)
            return found
        if isinstance(self.value, tuple) and isinstance(step, int) and step < len(self.value):
            item: Node = self.value[step]
            return item
        return None

    def inside(self, line: int, column: int) -> tuple[int, int]:
        """Where the character at (line, column) of this scalar's text stands in the file."""
        if not isinstance(self.value, str) or not self.written:
            return self.line, self.column
        lines = self.value.split("\n")
        wanted = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
        at = _offset_as_written(self.written, self.value, wanted)
        before = self.written[:at]
        if "\n" not in before:
            return self.line, self.column + at
        return self.line + before.count("\n"), at - before.rindex("\n")


def parse(text: str, *, file: str) -> Node:
    """The one document in `text`, a mapping. Raises PolicyErrors."""
    root, problems = read(text, file=file)
    if problems:
        raise PolicyErrors(problems)
    return root


def read(text: str, *, file: str) -> tuple[Node, list[Problem]]:
    """What could be read of `text`, and every problem with it; an empty mapping if nothing could.

    Plain scalars mean what YAML 1.2 says (`no` and `on` are text). Tags, anchors and aliases are refused: nothing in a
    policy may stand for more than it shows.
    """
    nothing = Node({}, 1, 1, file)
    if len(text) > MAX_CHARACTERS:
        return nothing, [Problem(file, 1, 1, f"the file is longer than {MAX_CHARACTERS:,} characters")]
    builder = _Builder(text, file=file)
    try:
        return builder.document(), builder.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        builder.refuse(mark, _syntax(error, at=text[mark.index : mark.index + 1] if mark else ""))
    except (yaml.YAMLError, UnicodeError):
        builder.problems.append(Problem(file, 1, 1, "the file holds characters that YAML does not allow"))
    except _TooDeepError:
        pass
    return nothing, builder.problems


class _TooDeepError(Exception):
    """Nested past MAX_DEPTH; the problem has been noted."""


class _Builder:
    """Parser events to nodes. Events, not PyYAML's own nodes: its composer recurses without a bound."""

    def __init__(self, text: str, *, file: str) -> None:
        self.text = text
        self.file = file
        self.problems: list[Problem] = []
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)

    def refuse(self, mark: Any, message: str) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.problems.append(Problem(self.file, line, column, message))

    def document(self) -> Node:
        root = Node({}, 1, 1, self.file)
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:  # noqa: PLR2004 -- the second document
                    self.refuse(event.start_mark, "a second document starts here; a file holds exactly one")
                node = self._node(next(self._events), 0)
                root = node if documents == 1 else root
        if documents == 0:
            self.refuse(None, "the file is empty")
        elif not isinstance(root.value, dict):
            self.problems.append(Problem(self.file, root.line, root.column, "the top level must be a mapping"))
        return root

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self.refuse(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
            raise _TooDeepError
        self._refuse_magic(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._scalar(event)

    def _refuse_magic(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            self.refuse(event.start_mark, f"alias *{event.anchor}: write the value out, aliases are not allowed")
        elif event.anchor is not None:
            self.refuse(event.start_mark, f"anchor &{event.anchor}: anchors are not allowed")
        elif event.tag is not None:
            self.refuse(event.start_mark, f"tag {event.tag}: tags are not allowed")

    def _scalar(self, event: Any) -> Node:
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            return Node(None, mark.line + 1, mark.column + 1, self.file)
        value = _resolve(event.value) if event.implicit[0] else event.value
        written = self.text[mark.index : event.end_mark.index] if isinstance(value, str) else ""
        return Node(value, mark.line + 1, mark.column + 1, self.file, written=written)

    def _sequence(self, start: Any, depth: int) -> Node:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Node(tuple(items), start.start_mark.line + 1, start.start_mark.column + 1, self.file)

    def _mapping(self, start: Any, depth: int) -> Node:
        children: dict[str, Node] = {}
        places: dict[str, tuple[int, int]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key.value, str):
                self.refuse(event.start_mark, "a key must be text; put it in quotes")
            elif key.value == "<<":
                self.refuse(event.start_mark, "merge keys are not allowed; write the members out")
            elif key.value in children:
                first = places[key.value][0]
                self.refuse(event.start_mark, f"duplicate key {key.value!r}, first given in line {first}")
            else:
                children[key.value], places[key.value] = value, (key.line, key.column)
        return Node(children, start.start_mark.line + 1, start.start_mark.column + 1, self.file, keys=places)


def _resolve(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def _syntax(error: yaml.MarkedYAMLError, *, at: str) -> str:
    if at == "\t":
        return "not valid YAML: a tab; use spaces"
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return f"not valid YAML: {words}"


def _offset_as_written(written: str, value: str, wanted: int) -> int:
    """Index in `written` of the character at index `wanted` of `value`: walk both, skipping what YAML adds."""
    at = 1 if written[0] in "\"'" else 0
    if written[0] in "|>" and "\n" in written:
        at = written.index("\n") + 1
    for index, character in enumerate(value):
        if not character.isspace():
            found = written.find(character, at)
            at = found if found >= 0 else at
        if index >= wanted:
            return at
        at = _past_space(written, at) if character.isspace() else at + 1
    return min(at, len(written))


def _past_space(written: str, at: int) -> int:
    while at < len(written) and written[at].isspace():
        at += 1
    return at
