"""The same rules in the words of other engines, each as a function that judges so many calls.

What the peers cannot say is translated in their favour: a glob becomes a group membership that is part of the request
(AGT) or of the entities (Cedar), AGT's policies are filed by agent, and an escalation is a plain `forbid` for Cedar.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from bench.rules import AGENTS, CONDITIONS, TOOLS, Ask, Spec


def cedar(rules: Sequence[Spec], made: Sequence[Ask]) -> Callable[[int], Any]:
    cedarpy = importlib.import_module("cedarpy")
    policies = cedarpy.PolicySet.from_str("\n".join(map(_cedar, rules)))
    members = [("Agent", a, "Team", a.split(".")[0]) for a in AGENTS]
    members += [("Tool", t, "Service", t.split(".")[0]) for t in TOOLS]
    entities = cedarpy.Entities.from_json_str(
        json.dumps(
            [
                {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": [{"type": group, "id": parent}]}
                for kind, name, group, parent in members
            ]
        )
    )
    requests = [
        {
            "principal": {"type": "Agent", "id": ask.agent},
            "action": {"type": "Action", "id": ask.method},
            "resource": {"type": "Tool", "id": ask.tool},
            "context": {
                "cents": int(Decimal(ask.amount) * 100),
                "region": ask.region,
                "intent": ask.intent,
                "count": ask.count,
            },
        }
        for ask in made
    ]
    return lambda count: cedarpy.is_authorized_batch(requests[:count], policies, entities)


def _cedar(rule: Spec) -> str:
    who = f'in Team::"{rule.agents[:-2]}"' if rule.agents.endswith("*") else f'== Agent::"{rule.agents}"'
    what = f'in Service::"{rule.tools[:-2]}"' if rule.tools.endswith("*") else f'== Tool::"{rule.tools}"'
    actions = ", ".join(f'Action::"{method}"' for method in rule.methods)
    when = f" when {{ {CONDITIONS[rule.condition[0]][2](rule.condition[1])} }}" if rule.condition else ""
    kind = "permit" if rule.effect == "allow" else "forbid"
    return f"{kind} (principal {who}, action in [{actions}], resource {what}){when};"


def agt(rules: Sequence[Spec], made: Sequence[Ask]) -> Callable[[int], None]:
    governance = importlib.import_module("agentmesh.governance.policy")
    engine = governance.PolicyEngine(conflict_strategy="deny_overrides")
    filed: dict[str, list[Any]] = {}
    action = {"allow": "allow", "deny": "deny", "escalate": "require_approval"}
    for rule in rules:
        one = governance.PolicyRule(name=rule.id, condition=_agt(rule), action=action[rule.effect])
        filed.setdefault(rule.agents, []).append(one)
    for agents, held in filed.items():
        names = [a for a in AGENTS if a.startswith(agents.rstrip("*"))]
        engine.load_policy(governance.Policy(name=agents, agents=names, rules=held, default_action="deny"))
    contexts = [
        {
            "tool": ask.tool,
            "service": ask.tool.split(".")[0],
            "method": ask.method,
            "intent": ask.intent,
            "amount": ask.amount,
            "region": ask.region,
            "count": ask.count,
        }
        for ask in made
    ]

    def run(count: int) -> None:
        for ask, context in zip(made[:count], contexts, strict=False):
            engine.evaluate(ask.agent, dict(context))

    return run


def _agt(rule: Spec) -> str:
    what = f"service == '{rule.tools[:-2]}'" if rule.tools.endswith("*") else f"tool == '{rule.tools}'"
    parts = [what, f"method in {list(rule.methods)}"]
    if rule.condition:
        parts.append(CONDITIONS[rule.condition[0]][1](rule.condition[1]))
    return " and ".join(parts)


def opa(_rules: Sequence[Spec], _made: Sequence[Ask]) -> Callable[[int], None]:
    raise RuntimeError("opa-golib offers no wheel for this platform and Python, so OPA cannot run in process")
