"""Environments for the tests of conditions."""

from datetime import UTC, datetime
from typing import Any

from countersign.policy.cel import Environment

NOW = datetime(2026, 11, 21, 10, 11, 12, 123456, tzinfo=UTC)


def call(**fields: Any) -> Environment:
    """An ordinary call: a refund of 250.00 asked for by a support bot. Fields replace its parts."""
    ordinary: dict[str, Any] = {
        "agent": {"id": "support-bot", "team": "support", "intents": ["customer-refund", "lookup"]},
        "tool": {"id": "payments.refund", "risk_tier": 3},
        "method": "create",
        "arguments": {"order": "A-1", "amount": "250.00", "count": 3, "rate": 1.5, "urgent": True, "note": None,
                      "items": [1, 2, 3], "to": {"name": "Zoë", "tags": ["a", "b"]}},
        "intent": "customer-refund",
        "principal": {"type": "user", "id": "erin"},
        "session": "",
        "transaction": "",
        "risk": {"score": 10},
        "now": NOW,
        "environment": {},
        "subject": {},
        "action": {},
        "resource": {},
        "context": {},
    }  # fmt: skip
    return Environment(**(ordinary | fields))
