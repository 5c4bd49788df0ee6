"""Policy text (and, if known, the registry) in; a frozen policy out, or every error at once with its place."""

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from countersign.policy import globs, reach, source
from countersign.policy.cases import Case, read_cases
from countersign.policy.faults import Form, InvalidError, Path, did_you_mean
from countersign.policy.orderings import orderings
from countersign.policy.rules import Rule, read_rule
from countersign.policy.source import Node, PolicyErrors, Problem
from countersign.policy.tools import People, check_teams
from countersign.policy.values import EMPTY, Mode, Outcome, Registry

POLICY_KEYS = ("version", "name", "mode", "risk", "rules", "tests")
VERSION = 1
TOP_SCORE = 100
MAX_RULES = 50_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Below `auto_allow_below` an allow stands; from `auto_block_from` on nothing does; between, people review."""

    auto_allow_below: int
    auto_block_from: int


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy. `rules` are sorted by id, so that their order in the file cannot matter."""

    name: str
    revision: int
    digest: str
    source: str
    mode: Mode
    rules: tuple[Rule, ...]
    risk: Thresholds | None = None
    tests: tuple[Case, ...] = ()
    warnings: tuple[Problem, ...] = ()


def digest_of(text: str) -> str:
    """How a policy's source is named everywhere."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def compile_policy(
    text: str,
    *,
    file: str = "policy.yaml",
    registry: Registry | None = None,
    people: People | None = None,
    humans: Mapping[str, Hashable] = EMPTY,
    revision: int = 0,
) -> Policy:
    """Compile `text`. Raises PolicyErrors with every problem that can be found.

    With a `registry`, rules that can never act are told as `warnings`, and an escalate rule that names no approval
    where no matching tool has one is an error. With `people` (who is eligible, by team; whoever is in two teams is
    one person), unknown teams and quorums that cannot be reached are errors. With both, agents whose owner is missed
    in a quorum are told as warnings; `humans` says as whom `people` know an owner, where not by the username.
    """
    root, problems = source.read(text, file=file)
    form = Form()
    block = form.mapping(root.plain(), (), known=POLICY_KEYS, required=() if problems and not root.value else _REQUIRED)
    mode = (form.choice(block["mode"], ("mode",), Mode) if "mode" in block else None) or Mode.ENFORCE
    rules = _rules(form, block.get("rules", ()), mode=mode)
    thresholds = _thresholds(form, block["risk"]) if "risk" in block else None
    _header(form, block)
    identifiers = frozenset(rule.id for _, rule in rules)
    tests = read_cases(form, block["tests"], ("tests",), rules=identifiers) if "tests" in block else ()
    warnings = Form()
    _check_against(form, warnings, rules, registry=registry, people=people, humans=humans)
    problems += _located(form, root)
    if problems:
        raise PolicyErrors(problems)
    return Policy(
        name=str(block.get("name", "")),
        revision=revision,
        digest=digest_of(text),
        source=text,
        mode=mode,
        rules=tuple(sorted((rule for _, rule in rules), key=lambda rule: rule.id)),
        risk=thresholds,
        tests=tests,
        warnings=tuple(sorted(_located(warnings, root))),
    )


_REQUIRED = ("version", "rules")


def _located(form: Form, root: Node) -> list[Problem]:
    return [
        Problem(root.file, *root.place(fault.path, key=fault.key, offset=fault.offset), fault.message)
        for fault in form.faults
    ]


def _header(form: Form, block: Mapping[str, Any]) -> None:
    version = block.get("version", VERSION)
    if version != VERSION or isinstance(version, (bool, float)):
        form.refuse(("version",), f"this language has version {VERSION}")
    if "name" in block:
        form.text(block["name"], ("name",))


def _rules(form: Form, value: object, *, mode: Mode) -> list[tuple[Path, Rule]]:
    items = form.items(value, ("rules",))
    if len(items) > MAX_RULES:
        form.refuse(("rules",), f"more than {MAX_RULES:,} rules")
        return []
    rules: list[tuple[Path, Rule]] = []
    first: dict[str, int] = {}
    for n, item in enumerate(items):
        path: Path = ("rules", n)
        rule = read_rule(form, item, path, mode=mode)
        identifier = item.get("id") if isinstance(item, Mapping) else None
        if isinstance(identifier, str) and first.setdefault(identifier, n) != n:
            form.refuse((*path, "id"), f"duplicate rule id {identifier!r}, first used by rule {first[identifier] + 1}")
        if rule is not None:
            rules.append((path, rule))
    return rules


def _thresholds(form: Form, value: object) -> Thresholds:
    names = ("auto_allow_below", "auto_block_from")
    block = form.mapping(value, ("risk",), known=names, required=names)
    before = len(form.faults)
    below, block_from = (
        form.whole(block[name], ("risk", name), least=0, most=TOP_SCORE + 1) if name in block else 0 for name in names
    )
    if len(form.faults) == before and below > block_from:
        form.refuse(("risk", "auto_allow_below"), "must not be above 'auto_block_from'")
    return Thresholds(below, block_from)


def _check_against(
    form: Form,
    warnings: Form,
    rules: Sequence[tuple[Path, Rule]],
    *,
    registry: Registry | None,
    people: People | None,
    humans: Mapping[str, Hashable],
) -> None:
    for path, rule in rules:
        if people is not None and rule.requirement is not None:
            try:
                check_teams(rule.requirement, people)
            except InvalidError as error:
                form.adopt(error, under=(*path, "approval"))
        if registry is not None:
            _check_answerable(form, rule, path, registry)
            for where, word in _unregistered(rule, path, registry):
                warnings.refuse(where, word)
            _warn_of_text(warnings, rule, path, registry)
        if registry is not None and people is not None and rule.requirement is not None:
            missed = reach.missed(rule.requirement, reach.agents_of(rule, registry), people, humans)
            if missed:
                warnings.refuse((*path, "approval", "quorum"), missed)


def _check_answerable(form: Form, rule: Rule, path: Path, registry: Registry) -> None:
    """An escalation needs someone to ask: the rule's own approval block or a matching tool's."""
    if rule.effect is not Outcome.ESCALATE or rule.requirement is not None or not rule.binds:
        return
    if not any(tool.approval is not None for tool in reach.tools_of(rule, registry)):
        form.refuse(path, "nobody could answer: the rule has no 'approval' and no tool it matches has one")


def _warn_of_text(warnings: Form, rule: Rule, path: Path, registry: Registry) -> None:
    """Arguments put in order with a number that a tool's schema says are text: such a condition fails each time."""
    for found in orderings(rule.condition.text) if rule.condition else ():
        for tool in reach.tools_of(rule, registry):
            schema: Any = tool.arguments_schema
            for name in found.path:
                schema = _member(_member(schema, "properties"), name)
            if _member(schema, "type") == "string":
                said = f"condition: an argument of {tool.id!r} is text: {found.of_text()}"
                warnings.refuse((*path, "when"), said, offset=found.place)
                break


def _member(schema: Any, name: str) -> Any:
    return schema.get(name) if isinstance(schema, Mapping) else None


def _unregistered(rule: Rule, path: Path, registry: Registry) -> Iterator[tuple[Path, str]]:
    """Literal names of agents and tools that are not registered: the rule cannot match them today."""
    for kind, typed, known in (
        ("agent", rule.match.subjects, registry.agents),
        ("tool", rule.match.resources, registry.tools),
    ):
        for named, glob in typed or ():
            if named == kind and globs.is_literal(glob) and glob not in known:
                yield (*path, "match"), f"no {kind} {glob!r} is registered{did_you_mean(glob, known)}"
