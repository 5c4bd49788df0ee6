"""What other rooms may hear of a waiver, inside the transaction that changes it: their rows commit with it.

Receivers get `waiver` (the locked row as it now is) and `change`, a value of `WaiverChange`. They must not use the
network. The ends that the clock brings come to thousands at a time: of these `waivers_expired` tells once, with the
`waivers` (locked, of any tenants) that one transaction ended, beside each one's own `waiver_changed`.
"""

from enum import StrEnum

from django.dispatch import Signal


class WaiverChange(StrEnum):
    """What happened to the waiver."""

    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    SHORTENED = "shortened"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED_UP = "used_up"


waiver_changed = Signal()
waivers_expired = Signal()
