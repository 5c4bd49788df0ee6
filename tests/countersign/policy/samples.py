"""A small registry, a policy and calls, for the tests beside it."""

from datetime import UTC, datetime
from typing import Any

from countersign.policy import bundle
from countersign.policy.bundle import Bundle
from countersign.policy.compile import compile_policy
from countersign.policy.evaluate import evaluate
from countersign.policy.source import PolicyErrors
from countersign.policy.tools import parse_approval, parse_caps
from countersign.policy.values import Agent, Call, Entity, Registry, Tier, Tool, Verdict

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
SCHEMA = {
    "type": "object",
    "required": ["order", "amount"],
    "properties": {"order": {"type": "string"}, "amount": {"type": "string", "pattern": r"^\d+\.\d\d$"}},
    "additionalProperties": False,
}
APPROVAL = parse_approval({"teams": ["finance"], "quorum": 2}, tier=Tier.HIGH, source="tool")
CAPS = parse_caps({"spend": {"argument": "amount", "per_call": "1000.00", "currency": "EUR"}})
ALLOW_ALL = "version: 1\nrules: [{id: all, effect: allow}]\n"


def tool(name: str = "payments.refund", **changes: Any) -> Tool:
    given = {
        "id": name,
        "group": name.split(".", maxsplit=1)[0],
        "owner": "carol",
        "risk_tier": Tier.HIGH,
        "methods": ("create", "get"),
        "caps": CAPS,
        "arguments_schema": SCHEMA,
        "approval": APPROVAL,
    }
    return Tool(**(given | changes))


def agent(name: str = "support-bot", **changes: Any) -> Agent:
    given = {
        "id": name,
        "owner": "dana",
        "team": "support",
        "intents": ("customer-refund", "lookup.*"),
        "tool_groups": ("payments", "crm"),
    }
    return Agent(**(given | changes))


def registry(*, agents: Any = (), tools: Any = (), entities: Any = ()) -> Registry:
    agents, tools = agents or (agent(),), tools or (tool(),)
    return Registry(
        tenant="acme",
        revision=7,
        agents={one.id: one for one in agents},
        tools={one.id: one for one in tools},
        entities={(one.type, one.id): one for one in entities},
    )


def build(text: str = ALLOW_ALL, known: Registry | None = None) -> Bundle:
    return bundle.build(compile_policy(text), known or registry())


def rules(*lines: str, head: str = "") -> str:
    """A policy of rules in flow style."""
    return f"version: 1\n{head}\nrules:\n" + "".join(f"  - {line}\n" for line in lines)


def call(**changes: Any) -> Call:
    given = {
        "subject_type": "agent",
        "subject_id": "support-bot",
        "action_name": "create",
        "resource_type": "tool",
        "resource_id": "payments.refund",
        "arguments": {"order": "A-1001", "amount": "250.00"},
        "arguments_digest": "",
        "action": {},
        "action_digest": "",
        "intent": "customer-refund",
    }
    return Call(**(given | changes))


def judge(judged: Bundle, **changes: Any) -> Verdict:
    return evaluate(judged, call(**changes), now=NOW)


def record(name: str, **properties: Any) -> Entity:
    return Entity("record", name, properties)


def problems(text: str, **known: Any) -> list[str]:
    """`line:column message` of each problem the compiler has with a text."""
    try:
        compile_policy(text, file="p.yaml", **known)
    except PolicyErrors as errors:
        return [f"{one.line}:{one.column} {one.message}" for one in errors.problems]
    return []
