"""A told request made by hand, for what only needs its shape."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.port import Line, Moment, Needed, Said, Told

OPENED = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
HOSTILE = "<b>&</b> <!channel> [code]<i>x</i>[/code] \u202egnp.exe\r\nRisk tier: 1 – low"


def told(**changes: Any) -> Told:
    """Pending, nobody voted yet. `changes` are members of it."""
    made = Told(
        request_id="arq_01k0000000abcdefghjkmnpq", tenant="acme", version=1, status="pending", agent="support-bot",
        principal="user dana@acme.test (verified)", tool="payments.refund", method="create", risk_tier=3, risk_score=62,
        rule="refunds-over-100", reason="Refunds of 100 or more need finance.", justification="the customer is cross",
        lines=(
            Line("fact", "Agent", "support-bot", ()), Line("claim", "For", "user dana@acme.test (verified)", ()),
            Line("fact", "Tool", "payments.refund", ()), Line("argument", "arguments.amount", '"250.00"', ()),
            Line("argument", "arguments.order", '"A-1001"', ("not_normalised",)),
            Line("quote", "The agent says", "the customer is cross", ()),
        ),
        is_whole=True, display_hash="sha256:" + "a" * 64, step_up="none", needed=(Needed(("finance",), 2, 0),),
        votes=(), opened_at=OPENED, expires_at=OPENED + timedelta(minutes=15), closed_at=None, outcome="",
        story=(Moment(OPENED, "Request opened"),), link="http://testserver/requests/arq_01k0000000abcdefghjkmnpq/",
    )  # fmt: skip
    return replace(made, **changes)


def closed(status: str = "approved", **changes: Any) -> Told:
    """Over, with one vote."""
    at = OPENED + timedelta(minutes=1)
    decision = "deny" if status == "denied" else "approve"
    return told(
        **{
            "version": 3, "status": status, "closed_at": at, "outcome": f"The request is {status}.",
            "votes": (Said("erin", decision, "looks right", "web", "none", at),),
            "story": (Moment(OPENED, "Request opened"), Moment(at, f"erin voted to {decision}"), Moment(at, "Closed")),
            **changes,
        }
    )  # fmt: skip
