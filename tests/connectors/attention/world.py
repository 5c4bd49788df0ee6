"""A tenant that is asked in a Slack look-alike and by e-mail, and the pump run by hand: over real HTTP and SMTP."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from django.db import connection

from approvals.models import AccessRequest
from connectors import accounts
from connectors.models import Delivery, Digest
from evidence import clock
from examples.lookalikes.slack.acme import APPROVALS
from examples.lookalikes.slack.workspace import Message
from outbox import pump
from outbox.models import Job, State
from registry.models import Channel, Membership
from tests.approvals import asking
from tests.connectors.email.smtp import Sink, sink
from tests.connectors.slack_world import SlackWorld, slack_world, words_in
from tests.connectors.storms import rested
from tests.worlds import SETUP, World, world

SLACK = {"channel": APPROVALS}


@dataclass
class Crowd:
    """One tenant, its Slack and its mail."""

    acme: World
    slack: SlackWorld
    mail: Sink

    def ask(self, number: int = 1) -> list[AccessRequest]:
        return [asking.opened(self.acme) for _ in range(number)]

    def cards(self) -> list[Message]:
        """Messages of their own in the channel, digests left out."""
        return [
            one for one in self._messages() if "request" in words_of(one).lower() and "All of them" not in words_of(one)
        ]

    def digests(self) -> list[Message]:
        return [one for one in self._messages() if "All of them" in words_of(one)]

    def replies(self) -> list[Message]:
        return [one for one in self.slack.messages() if one.thread_ts]

    def _messages(self) -> list[Message]:
        return [one for one in self.slack.messages() if not one.thread_ts]

    def letters(self, who: str) -> list[EmailMessage]:
        address = self.acme.people[who].user.email
        return [one for one in self.mail.letters if one["To"] == address]


@contextmanager
def crowd(*, mailed: tuple[str, ...] = (), storm: bool | None = None) -> Iterator[Crowd]:
    """Finance is asked in the channel; those of `mailed` by e-mail instead. Other tests' jobs wait no more."""
    Job.objects.filter(state=State.READY).update(state=State.DONE, dedupe=None)
    acme = world(quorum=2, step_up="none")
    with slack_world(storm=storm) as slack, sink() as mail:
        url = f"smtp://127.0.0.1:{mail.port}?from=countersign@acme.test"
        accounts.save(
            acme.tenant, "email", {"url": url, "sender": "countersign@acme.test"}, actor=SETUP, now=clock.now()
        )
        accounts.save(acme.tenant, "slack", slack.settings, actor=SETUP, now=clock.now())
        acme.tenant.channels.all().delete()
        Channel.objects.create(tenant=acme.tenant, kind="slack", key=APPROVALS, config=SLACK, teams=["finance"])
        for name in ("erin", "frank", "carol", "dana"):
            own = {} if name in mailed else {"slack": f"T0/{name}"}
            Membership.objects.filter(pk=acme.people[name].pk).update(identities=own)
        yield Crowd(acme, slack, mail)


def words_of(message: Message) -> str:
    return words_in(message.blocks) or message.text


def settle(crowd: Crowd, *, kinds: tuple[str, ...] = ()) -> None:
    """Everything of this tenant's that is to be done, now; timers of other kinds than `kinds` stay timers."""
    for _ in range(40):
        jobs = Job.objects.filter(tenant=crowd.acme.slug, state=State.READY)
        soon = ("connectors.deliver", "connectors.digest", "connectors.say", "connectors.alert", *kinds)
        Delivery.objects.filter(tenant=crowd.acme.tenant).update(not_before=None)
        rested(crowd.acme.tenant)
        if not jobs.filter(kind__in=soon).update(run_at=pump.now()):
            return
        if connection.vendor == "sqlite":
            time.sleep(0.002)  # its clock has milliseconds
        pump.run_due(500)


def later(crowd: Crowd, minutes: int) -> None:
    """So much time passes for what was told: its moments move back, as the database's clock cannot be moved."""
    for row in Delivery.objects.filter(tenant=crowd.acme.tenant):
        Delivery.objects.filter(pk=row.pk).update(created_at=row.created_at - asking.timedelta(minutes=minutes))
    for digest in Digest.objects.filter(tenant=crowd.acme.tenant, sent_at__isnull=False):
        Digest.objects.filter(pk=digest.pk).update(sent_at=digest.sent_at - asking.timedelta(minutes=minutes))
