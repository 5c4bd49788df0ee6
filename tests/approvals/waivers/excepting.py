"""What tests of waivers share: terms to ask for, a waiver asked for or granted, a call under it."""

import time
from datetime import datetime, timedelta
from typing import Any

from approvals.models import AccessRequest, Waiver
from approvals.waivers import asking, ending
from evidence import clock
from registry.models import Membership
from tests.approvals.asking import vote
from tests.enforcement.machine import Reply, ask, big
from tests.worlds import AGENT, World, world

RULE = "refunds-over-100"


def easy(**changes: Any) -> World:
    """One vote of finance without a second factor is enough, and nothing is capped."""
    return world(quorum=1, step_up="none", **{"caps": {}, **changes})


def terms(own: World, *, lasts: timedelta = timedelta(days=1), **changes: Any) -> dict[str, Any]:
    """Big refunds of support-bot need nobody, for a day; dana asks and carol owns it. A change to None leaves out."""
    said = {
        "category": "waiver",
        "rules": [RULE],
        "match": {"agents": [AGENT], "tools": ["payments.refund"], "methods": ["create"]},
        "reason": "The migration of last year's orders.",
        "owner": own.username("carol"),
        "expires_at": at(lasts),
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def at(ahead: timedelta) -> str:
    """So far from now, as terms say it."""
    moment: datetime = clock.now() + ahead
    return moment.isoformat()


def asked(own: World, *, by: Membership | None = None, **changes: Any) -> Waiver:
    return asking.ask(own.tenant, terms(own, **changes), by=by or own.dana, now=clock.now())


def granted(own: World, *, by: Membership | None = None, **changes: Any) -> Waiver:
    """Asked for by dana, granted by erin."""
    waiver = asked(own, **changes)
    vote(AccessRequest.objects.get(pk=waiver.request_id), by or own.erin)
    waiver.refresh_from_db()
    return waiver


def call(own: World, **changes: Any) -> Reply:
    """A refund of 250.00, which the rule asks people about."""
    return ask(own.pep_key, big(**changes))


def over(own: World, waiver: Waiver) -> Waiver:
    """Shortened to a moment from now, which is then past."""
    soon = clock.now() + timedelta(milliseconds=500)
    ended = ending.shorten(
        waiver.pk, tenant_id=own.tenant.pk, by=own.carol, expires_at=soon, why="enough", now=clock.now()
    )
    while clock.now() < soon:
        time.sleep(0.001)
    return ended
