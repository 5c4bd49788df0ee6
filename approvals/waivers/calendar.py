"""A secret address in, the ends of one person's waivers as a calendar out: no session, nothing but names and times."""

import re
import secrets
import string
from collections.abc import Iterator
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from approvals.waivers import ics
from approvals.waivers.ics import Moment
from approvals.waivers.models import LIVE, CalendarFeed, Control, ControlKind, State, Waiver
from countersign.policy.faults import Form
from countersign.policy.waiver_terms import moment
from countersign.proof.events import Event
from evidence import clock, keys, ledger
from evidence.ledger import Actor
from registry import changes
from registry.models import Membership

PATH: Final = "/waivers/calendar/"
KIND: Final = "calendar_feed"
PER_MINUTE: Final = 10
"""How often one address is answered in a minute."""
AT_MOST: Final = 500
"""Waivers in one calendar, the next to end first."""

_ID, _SECRET = 12, 43  # 62 and 256 bits
_ALPHABET = string.ascii_letters + string.digits
_ID_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN = re.compile(rf"csk_calendar_([a-z0-9]{{{_ID}}})_[A-Za-z0-9]{{{_SECRET}}}\Z")  # as scrubbers know our keys
_LABEL = "approvals/calendar-feed"


class TooOften(Exception):
    """The address was read too often; not before `until` again."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"not before {until.isoformat()}")
        self.until = until


def issue(membership: Membership) -> str:
    """The secret of a new address, the only time anybody sees it. One that the person had is dead."""
    now = clock.now()
    key_id = _random(_ID_ALPHABET, _ID)
    secret = f"csk_calendar_{key_id}_{_random(_ALPHABET, _SECRET)}"
    row = {"key_id": key_id, "secret_hash": _hash(secret), "issued_at": now, "minute": now, "asked": 0}
    with transaction.atomic():
        CalendarFeed.objects.update_or_create(
            membership=membership, defaults=row, create_defaults={**row, "tenant_id": membership.tenant_id}
        )
        _record(Event.CREDENTIAL_ISSUED, membership, key_id, now=now)
    return secret


def stop(membership: Membership) -> bool:
    """Let the person's address answer nothing any more. Whether there was one."""
    with transaction.atomic():
        row = CalendarFeed.objects.select_for_update().filter(membership=membership).first()
        if row is None:
            return False
        row.delete()
        _record(Event.CREDENTIAL_REVOKED, membership, row.key_id, now=clock.now())
    return True


def issued_at(membership: Membership) -> datetime | None:
    """Since when the person has an address, if they have one."""
    return CalendarFeed.objects.filter(membership=membership).values_list("issued_at", flat=True).first()


def address(secret: str) -> str:
    """Where a calendar reads it."""
    return f"{settings.COUNTERSIGN.base_url}{PATH}{secret}.ics"


def feed(secret: str, now: datetime) -> str | None:
    """The calendar behind an address; None if nobody's, or of somebody who is no member any more. Raises TooOften."""
    found = _TOKEN.match(secret)
    row = _row(found[1]) if found else None
    if row is None or not compare_digest(_hash(secret), bytes(row.secret_hash)):
        return None
    member = row.membership
    if not (member.active and member.user.is_active):
        return None
    _admit(row, now)
    return ics.calendar(f"Waivers of {member.user.username}", _moments(member), now=now)


def _row(key_id: str) -> CalendarFeed | None:
    rows = CalendarFeed.objects.select_related("membership__user", "membership__tenant")
    return rows.filter(key_id=key_id).first()


def _admit(row: CalendarFeed, now: datetime) -> None:
    """Count this reading, in one UPDATE whose filter is the guard. Raises TooOften."""
    minute = now.replace(second=0, microsecond=0)
    open_ = CalendarFeed.objects.filter(pk=row.pk).exclude(minute=minute, asked__gte=PER_MINUTE)
    counted = Case(When(minute=minute, then=F("asked") + 1), default=Value(1))
    if not open_.update(minute=minute, asked=counted):
        raise TooOften(minute + timedelta(minutes=1))


# --- what is in it


def _moments(member: Membership) -> Iterator[Moment]:
    """When each of the person's waivers ends, and when a confirmation of theirs, or of a waiver of theirs, is over."""
    mine = Q(owner=member) | Q(asked_by=member)
    concerned = Waiver.objects.filter(mine | Q(controls__person=member), tenant=member.tenant, state__in=LIVE)
    waivers = concerned.distinct().order_by("expires_at", "pk").select_related("tenant")[:AT_MOST]
    for waiver in waivers.prefetch_related("controls__person__user"):
        yield _end(waiver)
        for control in sorted(waiver.controls.all(), key=lambda one: one.place):
            at = _lapses(control)
            if at is not None and at < waiver.expires_at and _concerns(member, waiver, control):
                yield _lapse(waiver, control, at)


def _end(waiver: Waiver) -> Moment:
    suspended = " It is suspended." if waiver.state == State.SUSPENDED else ""
    used = f"{waiver.uses} of {waiver.max_uses} uses" if waiver.max_uses else f"{waiver.uses} uses"
    pinned = waiver.terms["pinned"]
    words = f"{used}.{suspended}\nAgents: {_listed(pinned['agents'])}\nTools: {_listed(pinned['tools'])}"
    summary = f"Waiver ends: {_listed(pinned['rules'])}"
    return Moment(_uid(waiver, "end"), waiver.expires_at, summary, words, _address(waiver), waiver.version - 1)


def _lapse(waiver: Waiver, control: Control, at: datetime) -> Moment:
    who = control.person.user.username if control.person else "somebody"
    state = "The waiver suspends itself then." if control.good_until else "It was not confirmed yet."
    summary = f"Confirmation of {who} is over: {_listed(waiver.terms['pinned']['rules'])}"
    place = f"control-{control.place + 1}"
    return Moment(_uid(waiver, place), at, summary, f"Control {control.place + 1}. {state}", _address(waiver))


def _lapses(control: Control) -> datetime | None:
    """Until when a person's word counts, or would if they gave it."""
    if control.kind != ControlKind.ATTESTATION:
        return None
    return control.good_until or moment(Form(), control.said.get("valid_until"), ())


def _concerns(member: Membership, waiver: Waiver, control: Control) -> bool:
    return member.pk in {control.person_id, waiver.owner_id, waiver.asked_by_id}


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list | dict) else ""


def _uid(waiver: Waiver, what: str) -> str:
    return f"{waiver.pk}-{what}@{waiver.tenant.slug}.countersign"


def _address(waiver: Waiver) -> str:
    return f"{settings.COUNTERSIGN.base_url}/waivers/{waiver.pk}/"


# --- secrets


def _record(event: Event, membership: Membership, key_id: str, *, now: datetime) -> None:
    name = membership.user.username
    ledger.append(
        event,
        tenant=membership.tenant.slug,
        thread=changes.thread(changes.PERSON, name),
        actor=Actor("person", name),
        now=now,
        detail={"kind": KIND, "person": name, "key_id": key_id},
    )


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _hash(secret: str) -> bytes:
    return keys.mac(_LABEL, secret.encode())
