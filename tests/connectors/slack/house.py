"""A tenant connected to a Slack look-alike, with our service listening on loopback: clicks come in, answers go out."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application
from django.db import connections

from approvals.models import AccessRequest
from connectors import accounts
from connectors.models import Delivery
from connectors.slack.pressing import PRESSED
from evidence import clock
from examples.lookalikes.slack.acme import user_id
from examples.lookalikes.slack.workspace import Message
from outbox import pump
from outbox.models import Job, State
from registry.models import Membership, Tenant
from tests.approvals import asking
from tests.connectors.slack_world import SlackWorld, slack_world
from tests.connectors.storms import hurried
from tests.worlds import SETUP, World, world

LINKED = ("erin", "frank", "carol", "dana")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """Our pages and inbound addresses, over HTTP."""
    server = make_server("127.0.0.1", 0, _closing(get_wsgi_application()), server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _closing(app: Any) -> Any:
    """A thread a request, so each ends with its own connection to the database closed."""

    def called(environ: Any, start_response: Any) -> Any:
        try:
            return list(app(environ, start_response))
        finally:
            connections.close_all()

    return called


@dataclass
class House:
    """One tenant and its Slack. Everybody in `LINKED` is linked, Mallory is not."""

    world: World
    slack: SlackWorld

    def opened(self, **asked: Any) -> AccessRequest:
        """A request, told in the channel. Without a step-up unless the requirement says so."""
        given = {"requirements": [asking.requirement(step_up=asking.NONE, quorum=1)], **asked}
        request = asking.opened(self.world, **given)
        self.pump()
        # Long ago, so that no number of them is a flood, which would be told in a digest instead.
        Delivery.objects.filter(request=request).update(created_at=clock.now() - timedelta(days=1))
        return request

    def pump(self) -> None:
        """Do what is due of this tenant, and all before it."""
        due = Job.objects.filter(tenant=self.world.slug, state=State.READY, kind__startswith="connectors.")
        while self._hurried() or due.filter(run_at__lte=pump.now(), leased_until__isnull=True).exists():
            if not pump.run_due():
                return

    def _hurried(self) -> bool:
        return self.slack.workspace.faults.is_stormy and hurried(self.world.tenant)

    def card(self, request: AccessRequest) -> Message:
        """The message in the channel that speaks of the request."""
        told = [one for one in self.slack.messages() if self._is_about(one, request) and not one.thread_ts]
        held = list(Delivery.objects.filter(request=request).values_list("state", "told", "last_error"))
        assert len(told) == 1, (held, [one.text for one in told])
        return told[0]

    def whispers(self, who: str) -> str:
        """What one person alone was told so far, once it is delivered."""
        self.pump()
        return "\n".join(words_of(one) for one in self.slack.only_for(who))

    @staticmethod
    def _is_about(message: Message, request: AccessRequest) -> bool:
        payload: Mapping[str, Any] = (message.metadata or {}).get("event_payload") or {}
        return payload.get("request") == request.pk


def act() -> None:
    """Do what was pressed, and nothing yet of what follows from it."""
    pressed = Job.objects.filter(kind=PRESSED, state=State.READY, leased_until__isnull=True)
    while pressed.filter(run_at__lte=pump.now()).exists():
        pump.run_due(1)


def act_beside() -> None:
    """The same, in a thread of its own."""
    try:
        act()
    finally:
        connections.close_all()


def words_of(message: Message) -> str:
    """All text of a message, as sent; addresses of buttons too."""
    return f"{message.text} {message.blocks}"


def link(member: Membership, name: str) -> None:
    member.identities = {**member.identities, "slack": f"T0ACME/{user_id(name)}"}
    member.save(update_fields=["identities"])


def connect(tenant: Tenant, slack: SlackWorld, **changes: str) -> None:
    accounts.save(tenant, "slack", {**slack.settings, **changes}, actor=SETUP, now=clock.now())


@contextmanager
def house(url: str, **changes: Any) -> Iterator[House]:
    """A tenant of its own with a Slack of its own, which calls the service at `url`."""
    made = world(**changes)
    with slack_world(request_url=f"{url}/slack/events") as slack:
        connect(made.tenant, slack)
        for name in LINKED:
            link(made.people[name], name)
        slack.pressed = act
        yield House(made, slack)
    Job.objects.filter(tenant=made.slug).delete()  # this Slack is gone; nobody else's test should call it
