"""A member in, whether they approve faster than anybody reads out. Counted in the database, over all surfaces."""

from datetime import datetime, timedelta

from approvals.models import Decision, Vote
from registry.models import Membership

APPROVALS = 20
WITHIN = timedelta(minutes=1)
WORDS = f"You approved {APPROVALS} requests in one minute, so this one was not counted. Wait, read it, then answer."


def exceeded(membership: Membership, *, now: datetime) -> bool:
    """Only approvals are counted: nobody is kept from denying."""
    lately = Vote.objects.filter(
        tenant_id=membership.tenant_id, human_id=membership.user.human_id, decision=Decision.APPROVE,
        cast_at__gt=now - WITHIN,
    )  # fmt: skip
    return lately.count() >= APPROVALS
