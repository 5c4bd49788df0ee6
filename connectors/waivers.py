"""A waiver changed: its owner, who asked and who must vouch for it hear of it where they are, once, out of the outbox.

The change leaves one job behind in its own transaction; words and places are found when that runs. A notice is a row,
unique by what it tells whom of which version: whoever makes it also enqueues the words, in the same transaction.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver

from approvals.waivers import holding, moving
from approvals.waivers.models import Control, ControlKind, State, Waiver
from approvals.waivers.signals import WaiverChange, waiver_changed, waivers_expired
from connectors import notify, reaching, waivers_words
from connectors.deliver import say_later
from connectors.models import Delivery, Notice
from countersign import ids
from evidence import clock
from outbox import pump
from outbox.queue import enqueue, handler
from registry.models import Membership

TELL = "connectors.waiver"
TELL_ENDS = "connectors.waivers.ended"
CALM = timedelta(minutes=5)
"""A control that comes and goes is told of this often and no more: then how it stands."""

_STANDS = {WaiverChange.SUSPENDED: State.SUSPENDED, WaiverChange.RESUMED: State.ACTIVE}


@receiver(waiver_changed)
def on_change(waiver: Waiver, change: WaiverChange, **_signal: Any) -> None:
    """Runs under the waiver's lock: one row. Asking is told by the request, and what the clock ends by `on_ends`."""
    if change in {WaiverChange.ASKED, WaiverChange.EXPIRED}:
        return
    payload = {"tenant": waiver.tenant_id, "waiver": waiver.pk, "change": change.value, "turn": ids.new("ntc")}
    enqueue(TELL, payload, tenant=waiver.tenant.slug)


@handler(TELL)
def tell_change(payload: Mapping[str, Any]) -> None:
    """Tell what the change was, and bring the cards of its request up to date. Safe to repeat."""
    change = WaiverChange(payload["change"])
    with transaction.atomic():
        waiver = moving.locked(payload["waiver"], tenant_id=payload["tenant"])
        now, last = clock.now(), _last_word(waiver)
        if change in _STANDS and not _is_news(waiver, change, last, now=now):
            return
        if change is WaiverChange.GRANTED and waiver.state == State.SUSPENDED:
            return  # that it waits for its controls is said with that, in one word instead of two
        notify.refresh(waiver.request)
        about = f"{change.value}.{payload['turn']}"
        words = waivers_words.changed(waiver, change, now=now, is_first=last is None)
        tell(waiver, (waiver.owner, waiver.asked_by), about=about, words=words, now=now)
        if change is WaiverChange.SUSPENDED:
            for control in _unconfirmed(waiver, now=now):
                assert control.person is not None
                told = f"confirm.{control.place}.{payload['turn']}"
                tell(waiver, (control.person,), about=told, words=waivers_words.confirm(waiver, control), now=now)


@receiver(waivers_expired)
def on_ends(waivers: Sequence[Waiver], **_signal: Any) -> None:
    """Runs under their locks, for thousands a minute: one row for each tenant."""
    ended = defaultdict(list)
    for waiver in waivers:
        ended[waiver.tenant].append(waiver.pk)
    for tenant, names in ended.items():
        payload = {"tenant": tenant.pk, "waivers": names, "turn": ids.new("ntc")}
        enqueue(TELL_ENDS, payload, tenant=tenant.slug)


@handler(TELL_ENDS)
def tell_ends(payload: Mapping[str, Any]) -> None:
    """Tell each person in one message of all that ended at once, and bring the cards up to date. Safe to repeat."""
    about = f"{WaiverChange.EXPIRED.value}.{payload['turn']}"
    with transaction.atomic():
        rows = Waiver.objects.filter(pk__in=payload["waivers"], tenant=payload["tenant"])
        told = Notice.objects.filter(waiver__in=payload["waivers"], about=about).values("waiver")
        ended = list(rows.exclude(pk__in=told).select_related("request__tenant", *of_person()).order_by("pk"))
        for waiver in _with_cards(ended):
            notify.refresh(waiver.request)
        now = clock.now()
        Notice.objects.bulk_create(
            Notice(
                tenant_id=waiver.tenant_id,
                waiver=waiver,
                version=waiver.version,
                about=about,
                person=person,
                made_at=now,
            )
            for waiver in ended
            for person in _people_of(waiver)
        )
        for person, theirs in _by_person(ended):
            words = waivers_words.ended(theirs, now=now)
            for place in reaching.places_of(person):
                say_later(person.tenant, place, words)


def _with_cards(waivers: Sequence[Waiver]) -> Iterable[Waiver]:
    """Those whose requests were told of anywhere."""
    told = Delivery.objects.filter(request__in=[one.request_id for one in waivers])
    shown = set(told.values_list("request_id", flat=True))
    return [one for one in waivers if one.request_id in shown]


def _by_person(waivers: Sequence[Waiver]) -> Iterable[tuple[Membership, list[Waiver]]]:
    found: dict[int, tuple[Membership, list[Waiver]]] = {}
    for waiver in waivers:
        for person in _people_of(waiver):
            found.setdefault(person.pk, (person, []))[1].append(waiver)
    return found.values()


def _people_of(waiver: Waiver) -> Iterable[Membership]:
    """Owner and who asked, who may be one."""
    return {one.pk: one for one in (waiver.owner, waiver.asked_by)}.values()


def tell(waiver: Waiver, people: Iterable[Membership], *, about: str, words: str, now: datetime) -> None:
    """Have it said to each of them once for this version of the waiver, in the caller's transaction."""
    for person in {one.pk: one for one in people}.values():
        _, is_first = Notice.objects.get_or_create(
            waiver=waiver, version=waiver.version, about=about, person=person,
            defaults={"tenant_id": waiver.tenant_id, "made_at": now},
        )  # fmt: skip
        if is_first:
            for place in reaching.places_of(person):
                say_later(waiver.tenant, place, words)


def of_person() -> tuple[str, ...]:
    """What must be read with a waiver so that its people can be told."""
    return ("tenant", "owner__user", "owner__tenant", "asked_by__user", "asked_by__tenant")


def _last_word(waiver: Waiver) -> Notice | None:
    """The last that its people heard of whether it is in force."""
    heard = Q(about__startswith="granted.") | Q(about__startswith="suspended.") | Q(about__startswith="resumed.")
    return Notice.objects.filter(heard, waiver=waiver).order_by("-made_at", "-pk").first()


def _is_news(waiver: Waiver, change: WaiverChange, last: Notice | None, *, now: datetime) -> bool:
    """Whether it still stands so, and its people do not know yet. Raises pump.Later where they were told just now."""
    if waiver.state != _STANDS[change]:
        return False
    told = last.about.partition(".")[0] if last else ""
    if last is None or told == WaiverChange.GRANTED:
        return True
    if told != change and now < last.made_at + CALM:
        raise pump.Later(last.made_at + CALM - now)
    return told != change


def _unconfirmed(waiver: Waiver, *, now: datetime) -> list[Control]:
    """Those that somebody could confirm now. One whose date is over waits for a renewal, not for its person."""
    rows = Control.objects.filter(waiver=waiver, kind=ControlKind.ATTESTATION, person__isnull=False)
    rows = rows.select_related("person__user", "person__tenant").order_by("place")
    return [one for one in rows if one.good_until is None and holding.lack_of(one, now=now)]
