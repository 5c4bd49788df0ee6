"""A human about to approve in, whether they approve faster than anybody reads out. Counted in the database."""

from datetime import datetime, timedelta

from django.conf import settings

from approvals.models import Decision, Vote
from evidence.queries import Compiled
from registry.models import Human

WITHIN = timedelta(minutes=1)


class TooFast(Exception):
    """As many approvals as one human may give in a minute stand already. `until` is when the next may follow."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"too many approvals until {until}")
        self.until = until


def check(human_id: int, *, now: datetime) -> None:
    """Raises TooFast. In the transaction of the vote, which holds the human until it ends.

    Whoever votes on many requests at once holds another lock for each, so without this one none would see the others.
    Denials are not asked about: nobody is kept from denying.
    """
    most: int = settings.COUNTERSIGN.approvals_per_minute
    _held.first(human_id)
    lately = _lately(human_id, now - WITHIN)
    if len(lately) >= most:
        raise TooFast(lately[most - 1] + WITHIN)


_held = Compiled(
    lambda human: Human.objects.filter(pk=human).select_for_update(no_key=True).values_list("pk", flat=True)
)
_lately = Compiled(
    lambda human, since: (
        Vote.objects.filter(human=human, decision=Decision.APPROVE, cast_at__gt=since)
        .order_by("-cast_at")
        .values_list("cast_at", flat=True)
    )
)
