"""A delivery to an origin as a Transport: one line when the request opens there, one when it ends, and nothing between.

Whether an administrator still allows the place is looked at each time something is said.
"""

from collections.abc import Mapping

from connectors import origin, plain
from connectors.models import Delivery
from connectors.port import ORIGIN, Name, Place, Ref, Reply, Replying, Told, Transport, TransportError

_PENDING = "pending"
_TITLE = 120


def through(transport: Transport, delivery: Delivery) -> Transport:
    """What tells this delivery: the transport itself, unless it is one to an origin. Raises TransportError."""
    if ORIGIN not in delivery.config:
        return transport
    if not isinstance(transport, Replying):
        raise TransportError(f"{delivery.kind} has no place that an ask could come from.", permanent=True)
    return Lines(transport, delivery.config[ORIGIN], within=origin.allowed(delivery.tenant_id, delivery.kind))


class Lines:
    """One origin. A ref is `{origin}`: the status that was told there."""

    def __init__(self, transport: Replying, where: Mapping[str, str], *, within: frozenset[str]) -> None:
        self._transport, self._where, self._within = transport, where, within

    def post(self, place: Place, told: Told) -> Ref:  # noqa: ARG002  the port's shape
        """That it waits; or, come late, that it is over."""
        return self._said(told)

    def edit(self, place: Place, ref: Ref, told: Told) -> Ref:  # noqa: ARG002  the port's shape
        """That it is over, once. Nothing that was said is changed: people may have answered to it."""
        return self._said(told) if told.status != ref[ORIGIN] == _PENDING else ref

    def find(self, place: Place, name: Name) -> Ref | None:  # noqa: ARG002  the port's shape
        """Never: a reply looks itself whether it was said before."""
        return None

    def say(self, place: Place, words: str) -> None:
        """Nothing: reminders and digests are for those who are asked."""

    def check(self) -> str:
        """Nothing of its own could be wrong."""
        return "Told through the tenant's own account."

    def _said(self, told: Told) -> Ref:
        if not self._within:
            raise TransportError(origin.NOT_ALLOWED, permanent=True)
        name = "opened" if told.status == _PENDING else "ended"
        self._transport.reply(
            Reply(self._where, self._within, told.request_id, name, words(told), since=told.opened_at)
        )  # fmt: skip
        return {ORIGIN: told.status}


def words(told: Told) -> str:
    """One line, the same however often it is made: what was asked in names of the registry, how it ended, a link."""
    title = plain.title(told, most=_TITLE)
    if told.status == _PENDING:
        return f"{title} waits for approval: {told.link}"
    return f"{title}: {plain.line(told.ended)} {told.link}"
