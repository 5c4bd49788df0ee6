"""One rule as people wrote it in (plain data), a frozen rule out; every fault of it noted in the form."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.policy import cel, globs, obligations
from countersign.policy.faults import Form, InvalidError, Path
from countersign.policy.tools import parse_approval
from countersign.policy.values import Mode, Outcome, Requirement

RULE_KEYS = ("id", "match", "when", "effect", "mode", "approval", "waivable", "obligations", "reason")
MATCH_KEYS = ("agents", "subjects", "tools", "resources", "methods", "actions", "intents")
MAX_REASON = 500
TOOL_RULE = "tool"  # the synthetic rule of a tool that always escalates

_NOT_WHAT_IT_DOES = ("reason", "waivable")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")

Typed = tuple[str, str]  # an entity's type and a glob for its id


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule speaks of; None is everything."""

    subjects: tuple[Typed, ...] | None = None
    resources: tuple[Typed, ...] | None = None
    actions: tuple[str, ...] | None = None
    intents: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule. `binds` is false where the rule says `observe`; `default_step_up` where its approval block
    names no step-up, so that the tool's tier decides. `digest` names what it does: a waiver of the rule
    holds for the rule it was granted on, and for no other of that id.
    """

    id: str
    effect: Outcome
    match: Match
    message: str
    condition: cel.Condition | None = None
    binds: bool = True
    requirement: Requirement | None = None
    default_step_up: bool = False
    waivable: bool = False
    obligations: tuple[Mapping[str, Any], ...] = ()
    digest: str = ""


def read_rule(form: Form, value: object, path: Path, *, mode: Mode) -> Rule | None:
    """The rule, or None if it has no usable effect (then the form says so)."""
    block = form.mapping(value, path, known=RULE_KEYS, required=("id", "effect"))
    identifier = _identifier(form, block["id"], (*path, "id")) if "id" in block else ""
    effect = form.choice(block["effect"], (*path, "effect"), Outcome) if "effect" in block else None
    match = read_match(form, block["match"], (*path, "match")) if "match" in block else Match()
    condition = _condition(form, block["when"], (*path, "when")) if "when" in block else None
    binds = _binds(form, block["mode"], (*path, "mode"), mode=mode) if "mode" in block else True
    requirement = _approval(form, block, path, effect=effect, identifier=identifier)
    waivable = form.flag(block["waivable"], (*path, "waivable")) if "waivable" in block else effect is Outcome.ESCALATE
    obliging = _obligations(form, block["obligations"], (*path, "obligations")) if "obligations" in block else ()
    reason = _reason(form, block["reason"], (*path, "reason")) if "reason" in block else ""
    if effect is None:
        return None
    return Rule(
        id=identifier,
        effect=effect,
        match=match,
        message=reason or _DEFAULT_REASONS[effect].format(identifier),
        condition=condition,
        binds=binds,
        requirement=requirement,
        default_step_up=requirement is not None and "step_up" not in block["approval"],
        waivable=waivable,
        obligations=obliging,
        digest=digest_of({name: part for name, part in block.items() if name not in _NOT_WHAT_IT_DOES}),
    )


def digest_of(parts: Mapping[str, Any]) -> str:
    """What a rule does, named: `sha256:…` over its parts, however they were laid out in the file."""
    written = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(written.encode()).hexdigest()


_DEFAULT_REASONS = {
    Outcome.ALLOW: "Rule {} allows this.",
    Outcome.DENY: "Rule {} denies this.",
    Outcome.ESCALATE: "Rule {} asks for approval.",
}


def _identifier(form: Form, value: object, path: Path) -> str:
    text = form.text(value, path)
    if text and not _ID.match(text):
        form.refuse(path, "a rule id is letters, digits, `_`, `.` and `-`, at most 100 of them")
    if text == TOOL_RULE:
        form.refuse(path, f"{TOOL_RULE!r} is the name of the rule that a tool's `always: true` makes")
    return text


def _reason(form: Form, value: object, path: Path) -> str:
    text = form.text(value, path)
    if len(text) > MAX_REASON:
        form.refuse(path, f"a reason is at most {MAX_REASON} characters")
    return text


def _binds(form: Form, value: object, path: Path, *, mode: Mode) -> bool:
    chosen = form.choice(value, path, Mode)
    if chosen is Mode.ENFORCE and mode is Mode.OBSERVE:
        form.refuse(path, "the policy is in mode observe, so no rule can enforce; a rule may only say observe")
    return chosen is not Mode.OBSERVE


def _condition(form: Form, value: object, path: Path) -> cel.Condition | None:
    text = form.text(value, path)
    try:
        return cel.compile_condition(text) if text else None
    except cel.ConditionError as error:
        form.refuse(path, f"condition: {error.message}", offset=(error.line, error.column))
        return None


def _approval(
    form: Form, block: Mapping[str, Any], path: Path, *, effect: Outcome | None, identifier: str
) -> Requirement | None:
    if "approval" not in block:
        return None
    if effect in (Outcome.ALLOW, Outcome.DENY):
        form.refuse((*path, "approval"), f"only an escalate rule takes an approval; this one says {effect}", key=True)
    try:
        return parse_approval(block["approval"], tier=None, source=f"rule:{identifier}")
    except InvalidError as error:
        form.adopt(error, under=(*path, "approval"))
        return None


def _obligations(form: Form, value: object, path: Path) -> tuple[Mapping[str, Any], ...]:
    found = []
    for n, item in enumerate(form.items(value, path)):
        block = form.mapping(item, (*path, n), known=("type", "properties"), required=("type",))
        obligations.check(form, block, (*path, n))
        found.append(block)
    return tuple(found)


def read_match(form: Form, value: object, path: Path) -> Match:
    """Whom, what and why a rule or a waiver speaks of; faults go to the form."""
    block = form.mapping(value, path, known=MATCH_KEYS)
    for short, general in (("agents", "subjects"), ("tools", "resources"), ("methods", "actions")):
        if short in block and general in block:
            form.refuse((*path, general), f"give {short!r} or {general!r}, not both: they say the same", key=True)
    return Match(
        subjects=_entities(form, block, path, short="agents", kind="agent", general="subjects"),
        resources=_entities(form, block, path, short="tools", kind="tool", general="resources"),
        actions=_names(form, block, path, "methods") or _names(form, block, path, "actions"),
        intents=_names(form, block, path, "intents"),
    )


def _names(form: Form, block: Mapping[str, Any], path: Path, member: str) -> tuple[str, ...] | None:
    if member not in block:
        return None
    words = form.texts(block[member], (*path, member))
    for n, glob in enumerate(words):
        if why := globs.unusable(glob):
            form.refuse((*path, member, n), why)
    return words


def _entities(
    form: Form, block: Mapping[str, Any], path: Path, *, short: str, kind: str, general: str
) -> tuple[Typed, ...] | None:
    if short in block:
        return tuple((kind, glob) for glob in _names(form, block, path, short) or ())
    if general not in block:
        return None
    found = []
    for n, word in enumerate(form.texts(block[general], (*path, general))):
        named, colon, glob = word.partition(":")
        if not colon or not named or "*" in named:
            form.refuse((*path, general, n), f"expected TYPE:GLOB, such as {general[:-1]}-type:*")
        elif why := globs.unusable(glob, dotted=named in ("agent", "tool")):
            form.refuse((*path, general, n), why)
        else:
            found.append((named, glob))
    return tuple(found)
