"""Rules and calls before anybody's syntax, the same for every peer.

50 agents in 10 teams, 200 tools in 20 services, 1,000 rules: three quarters name one agent, the others a team's glob;
four fifths name one tool, the others a service's glob; four fifths have a condition. 10,000 rules are those and 9,000
more that name one agent and one tool each, which is how large rule sets grow. Every call fits at least one rule. Every
second tool has an argument schema, every fifth a spend cap whose amount goes into the risk score; the peers are spared
both.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

AGENTS = [f"team-{team}.bot-{n}" for team in range(10) for n in range(5)]
TOOLS = [f"svc-{service}.tool-{n}" for service in range(20) for n in range(10)]
METHODS = ["get", "create"]
INTENTS = ["lookup", "refund", "report"]
REGIONS = ["eu", "us", "cn"]
SCHEMA = {
    "type": "object",
    "required": ["amount", "region"],
    "properties": {
        "amount": {"type": "string", "pattern": r"^\d+\.\d\d$"},
        "region": {"type": "string", "maxLength": 10},
        "count": {"type": "integer"},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Spec:
    """One rule, before anybody's syntax."""

    id: str
    agents: str
    tools: str
    methods: tuple[str, ...]
    effect: str
    condition: tuple[str, Any] | None


@dataclass(frozen=True)
class Ask:
    agent: str
    tool: str
    method: str
    intent: str
    amount: str
    region: str
    count: int


CONDITIONS: dict[str, tuple[Callable[[Any], str], Callable[[Any], str], Callable[[Any], str]]] = {
    # Each kind in CEL, for AGT and in Cedar.
    "amount": (
        lambda x: f"double(arguments.amount) < {x}.0",
        lambda x: f"amount < {x}",
        lambda x: f"context.cents < {x * 100}",
    ),
    "region": (
        lambda x: f"arguments.region in {x}",
        lambda x: f"region in {x}",
        lambda x: f"{json.dumps(x)}.contains(context.region)",
    ),
    "intent": (lambda x: f"intent == '{x}'", lambda x: f"intent == '{x}'", lambda x: f'context.intent == "{x}"'),
    "count": (
        lambda x: f"arguments.count <= {x} && arguments.region != 'cn'",
        lambda x: f"count <= {x} and region != 'cn'",
        lambda x: f'context.count <= {x} && context.region != "cn"',
    ),
}


def specs(count: int, seed: int = 7) -> list[Spec]:
    chance = random.Random(seed)
    made = []
    for n in range(count):
        agent, tool = chance.choice(AGENTS), chance.choice(TOOLS)
        wide = n < 1000
        if wide and chance.random() < 0.25:
            agent = agent.split(".")[0] + ".*"
        if wide and chance.random() < 0.2:
            tool = tool.split(".")[0] + ".*"
        values = {
            "amount": chance.choice([10, 100, 250, 1000]),
            "region": chance.sample(REGIONS, 2),
            "intent": chance.choice(INTENTS),
            "count": chance.randint(1, 20),
        }
        kind = chance.choice(list(values))
        condition = (kind, values[kind]) if chance.random() < 0.8 else None
        methods = tuple(METHODS if chance.random() < 0.5 else [chance.choice(METHODS)])
        effect = chance.choices(["allow", "escalate", "deny"], [7, 2, 1])[0]
        made.append(Spec(f"r{n:05}", agent, tool, methods, effect, condition))
    return made


def asks(rules: Sequence[Spec], count: int, seed: int = 11) -> list[Ask]:
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        rule = chance.choice(rules)
        agent = chance.choice([a for a in AGENTS if a.startswith(rule.agents.rstrip("*"))])
        tool = chance.choice([t for t in TOOLS if t.startswith(rule.tools.rstrip("*"))])
        amount = f"{chance.randint(0, 1500)}.{chance.randint(0, 99):02}"
        made.append(
            Ask(
                agent=agent,
                tool=tool,
                method=chance.choice(rule.methods),
                intent=chance.choice(INTENTS),
                amount=amount,
                region=chance.choice(REGIONS),
                count=chance.randint(1, 25),
            )
        )
    return made
