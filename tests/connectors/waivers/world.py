"""A tenant whose people are reached in a Slack look-alike or by e-mail, with waivers, and the pump run by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from approvals.models import AccessRequest, Waiver
from approvals.waivers.models import Control
from connectors import waivers
from connectors.models import Notice
from evidence import clock
from examples.lookalikes.slack.acme import user_id
from tests.approvals.asking import vote
from tests.approvals.waivers import excepting
from tests.connectors.attention.world import Crowd, crowd, settle, words_of
from tests.connectors.slack.house import link


@dataclass
class Floor:
    """Dana, who asks, is in Slack; carol, who owns, has mail alone; erin and frank grant."""

    crowd: Crowd

    def asked(self, **changes: Any) -> Waiver:
        return excepting.asked(self.crowd.acme, **changes)

    def granted(self, **changes: Any) -> Waiver:
        waiver = self.asked(**changes)
        for member in (self.crowd.acme.erin, self.crowd.acme.frank):
            vote(AccessRequest.objects.get(pk=waiver.request_id), member)
        waiver.refresh_from_db()
        return waiver

    def settle(self) -> None:
        settle(self.crowd, kinds=(waivers.TELL, waivers.TELL_ENDS))

    def slack(self, name: str) -> list[str]:
        """What one person was told in their direct messages with the app, oldest first."""
        self.settle()
        channel = self.crowd.slack.workspace.direct(user_id(name)).id
        return [words_of(one) for one in self.crowd.slack.messages(channel)]

    def mail(self, name: str) -> list[str]:
        self.settle()
        return [f"{one['Subject']}\n{one.get_body(('plain',)).get_content()}" for one in self.crowd.letters(name)]  # type: ignore[union-attr]


@contextmanager
def floor() -> Iterator[Floor]:
    with crowd(mailed=("carol",), storm=False) as made:
        for name in ("erin", "frank", "dana"):
            link(made.acme.people[name], name)
        yield Floor(made)


def aged(waiver: Waiver, *, left: timedelta, lived: timedelta = timedelta(days=30)) -> Waiver:
    """The same after so much of its life, with so much of it left: the database's clock cannot be moved."""
    now = clock.now()
    began = now - lived
    Waiver.objects.filter(pk=waiver.pk).update(
        granted_at=began, not_before=began, asked_at=began, expires_at=now + left
    )  # fmt: skip
    for notice in Notice.objects.filter(waiver=waiver):
        Notice.objects.filter(pk=notice.pk).update(made_at=notice.made_at - lived)
    waiver.refresh_from_db()
    return waiver


def confirmed(waiver: Waiver, *, since: timedelta, left: timedelta) -> None:
    """Its first control was confirmed so long ago and holds so much longer."""
    now = clock.now()
    Control.objects.filter(waiver=waiver, place=0).update(looked_at=now - since, good_until=now + left)
