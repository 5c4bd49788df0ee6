"""What somebody should look at in, one record of it in the tenant's thread of alerts out; the latest read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.dispatch import Signal

from countersign.proof.events import Event
from evidence import ledger
from evidence.ledger import Actor

_LATEST = 50

alert_fired = Signal()
"""Sent in the transaction of the alert, with `tenant`, `name`, `detail` and the record's `event_id`. Receivers use no
network, and one that fails takes the alert back with what it is about.
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: its name for programs, when, and what its detail says (names and numbers, never an argument)."""

    name: str
    at: datetime
    detail: Mapping[str, Any]


def fire(name: str, *, tenant: str, actor: Actor, now: datetime, detail: Mapping[str, Any]) -> None:
    """Record an alert in the caller's transaction. Alerts of a tenant are written one at a time."""
    written = ledger.append(
        Event.ALERT_FIRED, tenant=tenant, thread=ledger.ALERTS, actor=actor, now=now, detail={"alert": name, **detail}
    )
    alert_fired.send(sender=Alert, tenant=tenant, name=name, detail=detail, event_id=written.event_id)


def latest(tenant: str, *, since: datetime) -> Sequence[Alert]:
    """The newest alerts, newest first: at most fifty, none older than `since`. One look at an index."""
    found = [_alert(statement["predicate"]) for statement in ledger.history(tenant, ledger.ALERTS, limit=_LATEST)]
    return [alert for alert in found if alert.at >= since]


def _alert(said: Mapping[str, Any]) -> Alert:
    return Alert(str(said["detail"]["alert"]), datetime.fromisoformat(said["recorded_at"]), said["detail"])
