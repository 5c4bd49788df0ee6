"""A request as a card is told it, with whatever a test wants different."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.port import Line, Moment, Needed, Said, Told

NOW = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
LINK = "https://countersign.example/requests/arq_1/"


def argument(value: str, *, label: str = "arguments.note", flags: tuple[str, ...] = ()) -> Line:
    return Line("argument", label, value, flags)


def told(**changes: Any) -> Told:
    """A pending request for a refund: one of two approvals is there, no step-up is needed."""
    plain = Told(
        request_id="arq_1",
        tenant="acme",
        version=1,
        status="pending",
        agent="support-bot",
        principal="user dana@acme.test",
        tool="payments.refund",
        method="create",
        risk_tier=3,
        risk_score=62,
        rule="refunds-over-100",
        reason="Refunds of 100 or more need finance.",
        justification="The customer asked.",
        lines=[
            Line("fact", "Agent", "support-bot", ()),
            Line("claim", "For", "user dana@acme.test (unverified: the agent says so)", ()),
            Line("fact", "Tool", "payments.refund", ()),
            Line("fact", "Method", "create", ()),
            Line("claim", "Intent", "customer-refund", ()),
            argument('"A-1001"', label="arguments.order"),
            argument('"250.00"', label="arguments.amount"),
            Line("fact", "Risk tier", "3 – high", ()),
            Line("fact", "Risk score", "62 of 100 (risk_tier 45, amount 17)", ()),
            Line("fact", "Rule", "refunds-over-100", ()),
            Line("fact", "Reason", "Refunds of 100 or more need finance. [refunds-over-100]", ()),
            Line("quote", "The agent says", "The customer asked.", ()),
        ],
        is_whole=True,
        display_hash=f"sha256:{'0' * 64}",
        step_up="none",
        needed=[Needed(("finance",), 2, 1)],
        votes=[Said("erin", "approve", "known customer", "web", "totp", NOW + timedelta(minutes=1))],
        opened_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
        closed_at=None,
        outcome="",
        story=[Moment(NOW, "support-bot asked.")],
        link=LINK,
    )
    return replace(plain, **changes)


def approved(**changes: Any) -> Told:
    """The same after its end."""
    votes = [*told().votes, Said("frank", "approve", "", "slack", "none", NOW + timedelta(minutes=2))]
    ended = {
        "status": "approved",
        "version": 3,
        "needed": [Needed(("finance",), 2, 2)],
        "votes": votes,
        "closed_at": NOW + timedelta(minutes=2),
        "outcome": "Approved by erin and frank.",
        "story": [
            *told().story,
            Moment(NOW, "erin approved."),
            Moment(NOW, "frank approved; the request is approved."),
        ],
    }
    return told(**{**ended, **changes})
