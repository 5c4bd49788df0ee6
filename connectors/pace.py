"""A member in, whether they approve faster than anybody reads out. Counted in the database, over all surfaces."""

from datetime import datetime, timedelta

from approvals.models import Decision, Vote
from evidence.queries import Compiled
from registry.models import Membership

APPROVALS = 20
WITHIN = timedelta(minutes=1)
WORDS = f"You approved {APPROVALS} requests in one minute, so this one was not counted. Wait, read it, then answer."


def exceeded(membership: Membership, *, now: datetime) -> bool:
    """Only approvals are counted: nobody is kept from denying."""
    return len(_lately(membership.tenant_id, membership.user.human_id, now - WITHIN)) >= APPROVALS


_lately = Compiled(
    lambda tenant, human, since: Vote.objects.filter(
        tenant_id=tenant, human_id=human, decision=Decision.APPROVE, cast_at__gt=since
    ).values_list("pk", flat=True)[:APPROVALS]
)
