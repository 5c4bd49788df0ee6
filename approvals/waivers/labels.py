"""The label of a line of a waiver's grant in, the same in words out. Pure.

The line's value is nobody's business here, and a label we have no words for stays as it is: no line is lost by it.
"""

import re
from collections.abc import Mapping
from typing import Final

BOUND: Final = "arguments."
PINNED: Final = f"{BOUND}pinned."
_TERMS: Final = f"{BOUND}terms."
_PLACE = re.compile(r"\[\d+\]$")
_CONTROL = re.compile(r"controls\[(\d+)\]\.(.+)").fullmatch
_TOOL = re.compile(r"tools(?:\.([A-Za-z0-9_-]+)|\[\"([^\"\\]+)\"\])\.(risk_tier|schema_digest)").fullmatch
_RULE = re.compile(r"rules\.([A-Za-z0-9_-]+)").fullmatch

_SAID: Mapping[str, str] = {
    "category": "Kind",
    "rules": "Rule it lifts",
    "match.agents": "Lets through: agent",
    "match.subjects": "Lets through: caller",
    "match.tools": "Lets through: tool",
    "match.resources": "Lets through: resource",
    "match.methods": "Lets through: method",
    "match.actions": "Lets through: action",
    "match.intents": "With intent",
    "match.principals": "Only on behalf of",
    "when": "Only if",
    "not_before": "From",
    "expires_at": "Until",
    "max_uses": "Times at most",
    "reason": "Why",
    "owner": "Business owner",
    "ticket": "Ticket",
    "renews": "Renews",
}
_OF_CONTROL: Mapping[str, str] = {
    "kind": "kind",
    "type": "what the enforcement point must do",
    "person": "confirmed by",
    "link": "to see at",
    "valid_until": "good until",
    "url": "address looked at",
    "expect": "answer expected",
    "every": "looked at every",
    "metric": "number looked at",
    "most": "at most",
    "over": "within",
    "verified_uses": "uses an independent verifier must have reported on",
}
_OF_TOOL: Mapping[str, str] = {"risk_tier": "its risk tier", "schema_digest": "its schema"}


def words(label: str) -> str:
    """`arguments.terms.rules[0]` as *Rule it lifts*."""
    if label.startswith(_TERMS):
        return _term(label.removeprefix(_TERMS)) or label
    if label.startswith(PINNED):
        what = _pin(label.removeprefix(PINNED))
        return f"As it is now: {what}" if what else label
    return label


def _term(name: str) -> str:
    control = _CONTROL(name)
    if control:
        part = _OF_CONTROL.get(control[2], control[2])
        return f"Instead, {int(control[1]) + 1}: {part}"
    return _SAID.get(_PLACE.sub("", name), "")


def _pin(name: str) -> str:
    if _PLACE.sub("", name) == "agents":
        return "agent"
    if rule := _RULE(name):
        return f"rule {rule[1]}"
    if tool := _TOOL(name):
        return f"tool {tool[1] or tool[2]}, {_OF_TOOL[tool[3]]}"
    return ""
