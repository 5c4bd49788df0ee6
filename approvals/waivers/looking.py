"""The controls whose time has come in; each looked at once, however many pumps there are, and its waiver settled, out.

A control is claimed by moving its time forward before anything is asked of the network: who dies over it leaves it to
the next round.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from django.db import connection, transaction

from approvals.waivers import controls
from approvals.waivers.finding import Finding
from approvals.waivers.models import LIVE, Control, State
from evidence import clock

log = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Addresses asked side by side: a round of them takes the pump from other work for as long as one."""

CLAIMED: Final = timedelta(minutes=1)
_OVER: Final = [state for state in State.values if state not in {State.PENDING, *LIVE}]


def look_due(*, waiver_id: str | None = None) -> int:
    """Look at what is due, at most `AT_ONCE` of it; how many those were. One that fails unexpectedly stops no other."""
    if connection.in_atomic_block:
        raise controls.InTransaction(waiver_id)
    due = _claim(waiver_id)
    began = clock.now()
    found = _found(due)
    for control in due:
        try:
            finding = found[control.pk] if control.pk in found else controls.find(control, now=began)
            controls.keep(control, finding, began=began)
        except Exception:
            log.exception("a control could not be settled", extra={"control": control.pk})
    return len(due)


def _found(due: Sequence[Control]) -> dict[int, Finding | None]:
    """What answered to those that ask the network, side by side; these threads never see the database."""
    asking = [one for one in due if controls.asks_outside(one)]
    if not asking:
        return {}
    with ThreadPoolExecutor(max_workers=len(asking), thread_name_prefix="checks") as threads:
        findings = threads.map(controls.probed, asking)
        return {one.pk: finding for one, finding in zip(asking, findings, strict=True)}


def _claim(waiver_id: str | None) -> list[Control]:
    """Ours until `CLAIMED` is over. Those of waivers in force only: nothing is asked for one that nobody granted."""
    now = clock.now()
    with transaction.atomic():
        due = Control.objects.filter(next_at__lte=now, waiver__state__in=LIVE).order_by("next_at", "pk")
        if waiver_id is not None:
            due = due.filter(waiver=waiver_id)
        skip = connection.features.has_select_for_update_skip_locked
        rows = due.select_related("waiver__tenant").select_for_update(of=("self",), skip_locked=skip)[:AT_ONCE]
        claimed = list(rows)
        Control.objects.filter(pk__in=[one.pk for one in claimed]).update(next_at=now + CLAIMED)
    return claimed


def until_next() -> timedelta | None:
    """How long until the next control is due; nothing or less if one is, None if none is."""
    waiting = Control.objects.filter(next_at__isnull=False, waiver__state__in=LIVE).order_by("next_at")
    due = waiting.values_list("next_at", flat=True).first()
    return None if due is None else due - clock.now()


def forget() -> None:
    """Nobody looks at the controls of a waiver that is over."""
    Control.objects.filter(next_at__lte=clock.now(), waiver__state__in=_OVER).update(next_at=None)
