"""A waiver's controls in; why it may not be used now, or that all of them hold, out."""

from collections.abc import Sequence
from datetime import datetime

from approvals.waivers.models import Control, ControlKind, Waiver


def why_not(waiver: Waiver, *, now: datetime) -> str:
    """What the first control that does not hold lacks, in words; empty if all hold. Reads the rows as they are."""
    return next((lack for one in controls_of(waiver) if (lack := lack_of(one, now=now))), "")


def controls_of(waiver: Waiver) -> Sequence[Control]:
    """In the order of the terms."""
    return list(Control.objects.filter(waiver=waiver).select_related("person__user").order_by("place"))


def lack_of(control: Control, *, now: datetime) -> str:
    """A control holds until before `good_until`; an obligation is the PEP's, and holds for as long as it complies."""
    if control.kind == ControlKind.OBLIGATION:
        return ""
    if control.good_until is not None and now < control.good_until:
        return ""
    return f"Control {control.place + 1}: {_LACKS[ControlKind(control.kind)](control)}"


def _unattested(control: Control) -> str:
    who = control.person.user.username if control.person else "the person named"
    return f"the confirmation of {who} is over." if control.good_until else f"{who} has not confirmed it yet."


def _unchecked(control: Control) -> str:
    if control.looked_at is None:
        return "it has not been checked yet."
    return control.found or "the last check is too old."


_LACKS = {ControlKind.ATTESTATION: _unattested, ControlKind.CHECK: _unchecked}
