"""What other rooms may hear of a request, inside the transaction that changes it: their rows commit with it.

Receivers get `request` (the locked row as it now is) and `change`, a value of `Change`. They must not use the network.
"""

from enum import StrEnum

from django.dispatch import Signal


class Change(StrEnum):
    """What happened to the request. A vote that ends it is told by that end alone."""

    OPENED = "opened"
    JOINED = "joined"
    VOTED = "voted"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    USED = "used"
    REVOKED = "revoked"
    LAPSED = "lapsed"
    REPORTED = "reported"


request_changed = Signal()

origin_named = Signal()
"""A request was opened or joined, and its caller named the place that the ask came from.

Receivers get `request` (locked), `origin` (an `approvals.origins.Origin`) and `credential_id`. A request may hear this
often, and of several places. Nothing has looked yet at whether anything may be told there.
"""
