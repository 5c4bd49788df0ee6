"""A tenant connected to a look-alike over HTTP, both ways: its people in Jira, and the pump run by hand."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.core.wsgi import get_wsgi_application

from approvals.models import AccessRequest
from connectors import accounts, pauses
from connectors.models import Delivery
from countersign.policy.values import Requirement, StepUp
from evidence import clock
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Issue, Person
from outbox import pump
from outbox.models import Job
from registry.models import Channel, Membership
from tests.approvals import asking
from tests.connectors.storms import hurried
from tests.worlds import SETUP, World, world

SECRET = "a-secret-for-webhooks"
TRANSITIONS = {"approved": "Approve", "denied": "Decline", "expired": "Close"}


@dataclass
class Desk:
    """One tenant and one site that know each other. Erin and Frank are linked and eligible, Dana is linked alone."""

    acme: World
    server: Jira
    erin: Person
    frank: Person
    dana: Person
    mallory: Person
    needs: Requirement

    def opened(self, **asked: Any) -> AccessRequest:
        """A request, told in Jira."""
        request = self.asked(**asked)
        self.settle()
        return request

    def asked(self, **asked: Any) -> AccessRequest:
        """A request that nobody has told yet."""
        return asking.opened(self.acme, **({"requirements": [self.needs]} | asked))

    def issue(self, request: AccessRequest) -> Issue:
        return self.server.site.issue(self.delivery(request).ref["id"])

    def delivery(self, request: AccessRequest) -> Delivery:
        return Delivery.objects.get(request=request, kind="jira")

    def says(self, person: Person, request: AccessRequest, words: str) -> None:
        """They comment, Jira tells us, and we look."""
        self.server.site.comment(self.issue(request), words, by=person)
        self.settle()

    def moves(self, person: Person, request: AccessRequest, name: str, **more: Any) -> None:
        self.server.site.moved_by_name(self.issue(request), name, by=person, **more)
        self.settle()

    def settle(self) -> None:
        """Until neither side has anything left to tell: other tests' jobs are left alone."""
        for _ in range(60):
            self.server.hooks.wait()
            due = Job.objects.filter(tenant=self.acme.slug, state="ready", run_at__lte=pump.now())
            put_off = self.server.site.faults.is_stormy and hurried(self.acme.tenant)
            if not (put_off or due.exists()) or not pump.run_due():
                return

    def hurry(self) -> None:
        """What waits for its next try is due now, and the site has rested."""
        pauses.worked(self.acme.tenant.pk, "jira")
        Job.objects.filter(tenant=self.acme.slug, state="ready").exclude(kind="approvals.expire").update(
            run_at=pump.now()
        )
        Delivery.objects.filter(tenant=self.acme.tenant).update(not_before=None)

    def jobs(self) -> list[str]:
        return [*Job.objects.filter(tenant=self.acme.slug, state="ready").values_list("kind", flat=True)]

    def said(self, request: AccessRequest) -> str:
        """All that we said below the issue."""
        return "\n".join(one.body for one in self.issue(request).comments if one.author == self.server.site.bot)

    def votes(self, request: AccessRequest) -> list[tuple[str, str, str]]:
        found = request.votes.select_related("membership__user").order_by("pk")
        return [(one.membership.user.username.split("-")[0], one.decision, one.surface) for one in found]

    def status(self, request: AccessRequest) -> tuple[str, str]:
        """Ours, and the issue's."""
        request.refresh_from_db()
        return request.status, self.issue(request).status


@contextmanager
def listening() -> Iterator[str]:
    """Our pages on loopback, as Jira calls them."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/jira/webhook"
    server.shutdown()
    server.server_close()
    thread.join()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def connected(
    server: Jira,
    hook: str,
    *,
    quorum: int = 1,
    step_up: str = "none",
    config: Mapping[str, Any] | None = None,
    secret: str = SECRET,
    **changes: Any,
) -> Desk:
    """The channel asks finance."""
    acme = world(quorum=quorum, step_up=step_up, **changes)
    site = server.site
    people = {name: site.add_person(name) for name in ("erin", "frank", "dana", "mallory")}
    for name in ("erin", "frank", "dana"):
        link(acme.people[name], people[name])
    given = {"project": "OPS", "transitions": TRANSITIONS} if config is None else dict(config)
    Channel.objects.create(tenant=acme.tenant, kind="jira", key="OPS", config=given, teams=["finance"])
    accounts.save(acme.tenant, "jira", server.settings(webhook_secret=secret), actor=SETUP, now=clock.now())
    if hook:
        server.hooks.add(hook, secret)
    needs = asking.requirement(quorum=quorum, step_up=StepUp(step_up))
    return Desk(acme, server, **people, needs=needs)


def link(member: Membership, person: Person) -> None:
    member.identities = {**member.identities, "jira": person.id}
    member.save(update_fields=["identities"])
