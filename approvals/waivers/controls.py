"""Compensating controls as they come to hold and lapse: confirmed by a person, or looked at by us; the waiver follows.

A waiver is in force exactly while all of its controls hold. Nobody has to be quick for that: a use looks at them
itself. What is done here lets people and the next decision know.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from approvals.waivers import holding, metrics, moving, probes
from approvals.waivers.ending import NotYours as NotYours
from approvals.waivers.finding import LONGEST, Finding
from approvals.waivers.models import LIVE, Control, ControlKind, State, Waiver
from approvals.waivers.moving import SYSTEM, NotNow, UnknownWaiver, record
from countersign.inspection.redact import redact
from countersign.policy.faults import parse_duration
from countersign.policy.waiver_terms import Metric
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from registry.models import Membership

GRACE: Final = timedelta(seconds=30)
"""Beside two rounds, how long a check that held is believed: a pump that died lets it lapse."""


class InTransaction(RuntimeError):
    """A look uses the network, and no row may be locked meanwhile."""


# --- a person vouches


def attest(waiver_id: str, place: int, *, tenant_id: int, by: Membership, now: datetime) -> Waiver:
    """The person named confirms, until the date that was granted and never beyond. Saying it again changes nothing.

    Possible as soon as the waiver is asked for. Raises UnknownWaiver, NotYours; NotNow once it or its date is over.
    """
    with transaction.atomic():
        waiver = moving.locked(waiver_id, tenant_id=tenant_id)
        control = _attested_by(waiver, place, by)
        at = max(now, clock.now())
        said = holding.said_of(waiver)[place]
        until = datetime.fromisoformat(said["valid_until"])
        if waiver.state not in {State.PENDING, *LIVE} or at >= min(until, waiver.expires_at):
            raise NotNow(waiver)
        if control.good_until is None:
            _write(control, good_until=until, looked_at=at, next_at=until, found="Confirmed.")
            detail = {"place": place, "link": redact(said.get("link", "")).text, "valid_until": said["valid_until"]}
            record(Event.CONTROL_ATTESTED, waiver, actor=_person(by), now=at, detail=detail)
            settle(waiver, now=at)
    return waiver


def take_back(waiver_id: str, place: int, *, tenant_id: int, by: Membership, now: datetime) -> Waiver:
    """The person who confirmed does not any more. Raises UnknownWaiver, NotYours; NotNow if nothing is confirmed."""
    with transaction.atomic():
        waiver = moving.locked(waiver_id, tenant_id=tenant_id)
        control = _attested_by(waiver, place, by)
        at = max(now, clock.now())
        if waiver.state not in {State.PENDING, *LIVE} or control.good_until is None:
            raise NotNow(waiver)
        _write(control, good_until=None, looked_at=at, next_at=None, found="Taken back.")
        record(Event.CONTROL_WITHDRAWN, waiver, actor=_person(by), now=at, detail={"place": place})
        settle(waiver, now=at)
    return waiver


def _attested_by(waiver: Waiver, place: int, by: Membership) -> Control:
    control = Control.objects.filter(waiver=waiver, place=place, kind=ControlKind.ATTESTATION).first()
    if control is None:
        raise UnknownWaiver(f"{waiver.pk} has no attestation at {place}")
    if control.person_id != by.pk or not by.active:
        raise NotYours(waiver.pk)
    return control


def _person(by: Membership) -> Actor:
    return Actor(type="person", id=by.user.username)


# --- we look


def look(control_id: int, *, now: datetime) -> None:
    """Make one check and let its waiver follow. Outside of any transaction; an attestation is only looked at again."""
    if connection.in_atomic_block:
        raise InTransaction(control_id)
    control = Control.objects.select_related("waiver__tenant").filter(pk=control_id, waiver__state__in=LIVE).first()
    if control is not None:
        keep(control, find(control, now=now), began=now)


def asks_outside(control: Control) -> bool:
    """Whether a look at it uses the network (`probed`), and no row of ours."""
    return control.kind == ControlKind.CHECK and "url" in _said(control)


def probed(control: Control) -> Finding:
    """What answered. Uses no database, so any number may be made side by side."""
    return probes.probe(_said(control))


def find(control: Control, *, now: datetime) -> Finding | None:
    """What a look at it sees now, and nothing changed. None for what is no check."""
    if control.kind != ControlKind.CHECK:
        return None
    said = _said(control)
    if "url" in said:
        return probed(control)
    if "metric" in said:
        over = _duration(said["over"])
        return metrics.measure(control.waiver, Metric(said["metric"]), over=over, most=said["most"], now=now)
    return metrics.verified(control.waiver, said["verified_uses"], every=_duration(said["every"]), now=now)


def keep(control: Control, finding: Finding | None, *, began: datetime) -> None:
    """Write down what a look that began then found, record it if it is another than before, and settle the waiver.

    A look that began before one already written down says nothing new. It counts from its beginning.
    """
    with transaction.atomic():
        waiver = moving.locked(control.waiver_id, tenant_id=control.tenant_id)
        at = max(began, clock.now())
        if waiver.state not in LIVE or at >= waiver.expires_at:
            return
        row = Control.objects.get(pk=control.pk)
        if finding is None:
            _write(row, next_at=row.good_until if row.good_until and at < row.good_until else None)
        elif row.looked_at is None or row.looked_at <= began:
            _looked(waiver, row, finding, began=began, at=at)
        settle(waiver, now=at)


def _looked(waiver: Waiver, control: Control, finding: Finding, *, began: datetime, at: datetime) -> None:
    held = None if control.looked_at is None else control.good_until is not None
    every = _duration(holding.said_of(waiver)[control.place]["every"])
    _write(
        control, looked_at=began, next_at=began + every, found=finding.found[:LONGEST],
        good_until=began + 2 * every + GRACE if finding.holds else None,
    )  # fmt: skip
    if held is not finding.holds:
        detail = {"place": control.place, "holds": finding.holds, "found": control.found}
        record(Event.CONTROL_CHECKED, waiver, actor=SYSTEM, now=at, detail=detail)


def settle(waiver: Waiver, *, now: datetime) -> None:
    """Suspend a locked waiver of which a control lacks; resume it if all hold. Nothing else, and nothing once over."""
    if waiver.state not in LIVE or now >= waiver.expires_at:
        return
    lack = holding.why_not(waiver, now=now)
    if lack and waiver.state == State.ACTIVE:
        moving.move(waiver, State.SUSPENDED, actor=SYSTEM, now=now, why=lack)
    elif not lack and waiver.state == State.SUSPENDED:
        moving.activate(waiver, actor=SYSTEM, now=now)


def _write(control: Control, **changed: datetime | str | None) -> None:
    for name, value in changed.items():
        setattr(control, name, value)
    control.save(update_fields=list(changed))


def _said(control: Control) -> Mapping[str, Any]:
    """What it is stands in the terms, on which people voted; its row only repeats it. Nothing for a row of no place."""
    said = holding.said_of(control.waiver)
    return said[control.place] if control.place < len(said) else {}


def _duration(written: str) -> timedelta:
    found = parse_duration(written)
    if found is None:
        raise ValueError(f"{written!r} is no duration")
    return found
