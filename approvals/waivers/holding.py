"""A waiver's controls in; why it may not be used now, or that all of them hold, out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from approvals.waivers.models import Control, ControlKind, Waiver


def why_not(waiver: Waiver, *, now: datetime) -> str:
    """What the first control that does not hold lacks, in words; empty if all hold. Reads the rows as they are.

    The terms, which people voted on, say what must be there: a row that is gone or of another kind holds nothing.
    """
    rows = controls_of(waiver)
    found = {one.place: one.kind for one in rows}
    for place, said in enumerate(said_of(waiver)):
        if found.get(place) != said["kind"]:
            return f"Control {place + 1}: its row is not what was granted."
    return next((lack for one in rows if (lack := lack_of(one, now=now))), "")


def controls_of(waiver: Waiver) -> Sequence[Control]:
    """In the order of the terms."""
    rows = list(Control.objects.filter(waiver=waiver).select_related("person__user").order_by("place"))
    for one in rows:
        one.waiver = waiver
    return rows


def said_of(waiver: Waiver) -> Sequence[Mapping[str, Any]]:
    """What the terms say of each control, by its place."""
    said: Sequence[Mapping[str, Any]] = waiver.terms["terms"].get("controls", ())
    return said


def lack_of(control: Control, *, now: datetime) -> str:
    """A control holds until before `good_until`; an obligation is the PEP's, and holds for as long as it complies."""
    if control.kind == ControlKind.OBLIGATION:
        return ""
    until = good_until(control)
    if until is not None and now < until:
        return ""
    return f"Control {control.place + 1}: {_LACKS[ControlKind(control.kind)](control)}"


def good_until(control: Control) -> datetime | None:
    """Until when it holds, by its row; and for what a person confirmed never beyond the date that was granted."""
    until = control.good_until
    said = said_of(control.waiver)
    if until is None or control.kind != ControlKind.ATTESTATION or control.place >= len(said):
        return until
    return min(until, datetime.fromisoformat(said[control.place]["valid_until"]))


def _unattested(control: Control) -> str:
    who = control.person.user.username if control.person else "the person named"
    return f"the confirmation of {who} is over." if control.good_until else f"{who} has not confirmed it."


def _unchecked(control: Control) -> str:
    if control.looked_at is None:
        return "it has not been checked yet."
    if control.good_until is not None:
        return "the last check is too old."
    return control.found or "the last check failed."


_LACKS = {ControlKind.ATTESTATION: _unattested, ControlKind.CHECK: _unchecked}
