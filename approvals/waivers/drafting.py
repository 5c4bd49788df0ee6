"""What a member typed in; the waiver they ask for out, once, however often the button was pressed."""

from datetime import datetime
from typing import Any

from django.db import transaction

from approvals.waivers import asking
from approvals.waivers.models import State, Waiver
from evidence import clock
from registry import changes
from registry.models import Membership, Tenant


def once(tenant: Tenant, value: Any, *, by: Membership, now: datetime) -> Waiver:
    """Ask, unless these very terms of the same person wait to be granted already. Raises InvalidError.

    Behind the tenant's row, as every asking is, so that a double click finds what the first one made.
    """
    with transaction.atomic():
        locked = changes.lock(tenant)
        drafted = asking.draft(locked, value, by=by, now=max(now, clock.now()))
        waiting = Waiver.objects.filter(tenant=locked, asked_by=by, state=State.PENDING).order_by("-asked_at")
        written = dict(drafted.terms.written)
        same = next((one for one in waiting if one.terms["terms"] == written), None)
        return same or asking.ask(locked, value, by=by, now=now)
