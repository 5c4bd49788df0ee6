"""The clock in; reminders before a waiver or a confirmation ends, and warnings to owners, each told once, out."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from approvals.waivers import register, traffic
from approvals.waivers.models import LIVE, Control, ControlKind, Waiver
from connectors import waivers, waivers_words
from connectors.models import Notice
from evidence import clock
from outbox.queue import every

REMIND = "connectors.waivers.remind"
FLAG = "connectors.waivers.flag"
CONFIRM_BEFORE = timedelta(days=3)
_AT_ONCE = 500


class Lead(NamedTuple):
    """A reminder: its name, how long before the end it is due, and from when on a later one stands for it."""

    about: str
    before: timedelta
    until: timedelta


LEADS = (
    Lead("ends.7d", timedelta(days=7), timedelta(days=1)),
    Lead("ends.1d", timedelta(days=1), timedelta(0)),
)


@every(REMIND, timedelta(minutes=1))
def remind() -> None:
    """Every reminder that is due and was not told. Safe to repeat and to run beside itself."""
    now = clock.now()
    for lead in LEADS:
        for waiver in _ending(lead, now=now)[:_AT_ONCE]:
            with transaction.atomic():
                words = waivers_words.ends_soon(waiver, now=now)
                waivers.tell(waiver, (waiver.owner, waiver.asked_by), about=lead.about, words=words, now=now)
    for control in _running_out(now=now):
        assert control.person is not None
        with transaction.atomic():
            words = waivers_words.confirmation_ends(control.waiver, control, now=now)
            waivers.tell(control.waiver, (control.person,), about=_about(control), words=words, now=now)


@every(FLAG, timedelta(hours=1))
def flag() -> None:
    """What the register warns of, to the owner, once in the life of a waiver. One look at each tenant's traffic."""
    now = clock.now()
    rows = Waiver.objects.filter(state__in=LIVE).filter(_might_be_flagged()).select_related(*waivers.of_person())
    tenant, seen = "", None
    for waiver in rows.order_by("tenant_id", "pk").iterator():
        if waiver.tenant.slug != tenant:
            tenant, seen = waiver.tenant.slug, None
        if seen is None and waiver.uses >= register.LEAST_USES:
            seen = traffic.look(tenant, since=now - register.WINDOW)
        told = set(Notice.objects.filter(waiver=waiver, about__startswith="flag.").values_list("about", flat=True))
        for one in register.flags(waiver, now=now, seen=seen):
            about = f"flag.{one.name.value}"
            if about not in told:
                with transaction.atomic():
                    words = waivers_words.flagged(waiver, one.words)
                    waivers.tell(waiver, (waiver.owner,), about=about, words=words, now=now)


def _might_be_flagged() -> Q:
    return Q(uses__gte=register.LEAST_USES) | Q(renewal__gt=register.RENEWALS)


def _ending(lead: Lead, *, now: datetime) -> QuerySet[Waiver]:
    """Those whose end is so near, that were not told so, and that were in force, to this end, when it was not yet."""
    told = Notice.objects.filter(waiver=OuterRef("pk"), version=OuterRef("version"))
    from_then_on = F("expires_at") - lead.before
    just_shortened = told.filter(about__startswith="shortened.", made_at__gte=OuterRef("expires_at") - lead.before)
    return (
        Waiver.objects.filter(state__in=LIVE, expires_at__gt=now + lead.until, expires_at__lte=now + lead.before)
        .filter(granted_at__lt=from_then_on, not_before__lt=from_then_on)
        .exclude(Exists(told.filter(about=lead.about)))
        .exclude(Exists(just_shortened))
        .select_related(*waivers.of_person())
        .order_by("expires_at")
    )


def _running_out(*, now: datetime) -> Iterator[Control]:
    """Confirmations that end soon, and before their waiver. One given for less is told of at half time."""
    rows = Control.objects.filter(
        kind=ControlKind.ATTESTATION, person__isnull=False, waiver__state__in=LIVE, good_until__gt=now,
        good_until__lte=now + CONFIRM_BEFORE, good_until__lt=F("waiver__expires_at"),
    )  # fmt: skip
    related = ("person__user", "person__tenant", *(f"waiver__{name}" for name in waivers.of_person()))
    for control in rows.select_related(*related).order_by("good_until")[:_AT_ONCE]:
        if _due(control) <= now and not _was_told(control):
            yield control


def _due(control: Control) -> datetime:
    assert control.good_until is not None
    lead = control.good_until - CONFIRM_BEFORE
    if control.looked_at is None or control.looked_at <= lead:
        return lead
    return control.looked_at + (control.good_until - control.looked_at) / 2


def _was_told(control: Control) -> bool:
    return Notice.objects.filter(waiver=control.waiver, about=_about(control), person=control.person).exists()


def _about(control: Control) -> str:
    assert control.good_until is not None
    return f"confirmed.{control.place}.{control.good_until:%Y%m%dT%H%M%S}"
