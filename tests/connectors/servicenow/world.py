"""A tenant connected to a look-alike over HTTP: its people, their hands in ServiceNow, and the pump run by hand."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from approvals.models import AccessRequest
from connectors import accounts
from connectors.models import Delivery
from connectors.port import Account, Place
from connectors.servicenow import looking as looking  # its job registers itself
from evidence import clock
from examples.lookalikes.faults import Faults
from examples.lookalikes.servicenow.api import application
from examples.lookalikes.servicenow.instance import APPROVALS, CHANGES, Instance, Person, Row
from examples.lookalikes.servicenow.serving import served
from outbox import pump
from outbox.models import Job
from registry.models import Channel
from tests.connectors.storms import hurried
from tests.worlds import SETUP, World, world

PLACE = Place("servicenow", CHANGES, {"table": CHANGES})


@dataclass
class Now:
    """One tenant and one instance that know each other."""

    acme: World
    instance: Instance
    faults: Faults
    url: str
    service: Person
    erin: Person
    frank: Person
    secret: str

    @property
    def account(self) -> Account:
        found = accounts.account(self.acme.tenant, "servicenow")
        assert found is not None
        return found

    def record(self, request: AccessRequest) -> Row:
        """The one record of a request."""
        (row,) = [row for row in self.instance.tables[CHANGES].values() if row["correlation_id"] == request.pk]
        return row

    def approval(self, request: AccessRequest, person: Person) -> Row:
        record = self.record(request)["sys_id"]
        rows = self.instance.tables[APPROVALS].values()
        (row,) = [row for row in rows if (row["sysapproval"], row["approver"]) == (record, person.sys_id)]
        return row

    def states(self, request: AccessRequest) -> dict[str, str]:
        return self.instance.approvals_of(self.record(request)["sys_id"])

    def notes(self, request: AccessRequest) -> str:
        return "\n".join(self.instance.notes(self.record(request)["sys_id"], "work_notes"))

    def comments(self, request: AccessRequest, person: Person) -> str:
        return "\n".join(self.instance.notes(self.approval(request, person)["sys_id"], "comments"))

    def answer(self, request: AccessRequest, approver: Person, state: str, *, by: Person | None = None) -> None:
        """Set an approval as somebody: by default the approver."""
        self.patch(APPROVALS, self.approval(request, approver)["sys_id"], by or approver, state=state)

    def patch(self, table: str, sys_id: str, by: Person, **given: str) -> None:
        """As somebody does on the instance's own pages."""
        self.instance.change(table, sys_id, given, by=by)

    def hint(self, request: AccessRequest, person: Person) -> dict[str, object]:
        """What the business rule would send of an approval as it is now."""
        row = self.approval(request, person)
        return {
            "sys_id": row["sys_id"], "sysapproval": row["sysapproval"], "state": row["state"],
            "mod_count": row["sys_mod_count"], "updated_by": row["sys_updated_by"],
        }  # fmt: skip


@contextmanager
def connected(
    *, quorum: int = 2, step_up: str = "none", strict_states: bool = True, storm: bool | None = None
) -> Iterator[Now]:
    """erin and frank are linked, carol is not. The channel asks finance."""
    acme = world(quorum=quorum, step_up=step_up)
    instance, faults, secret = (
        Instance(strict_states=strict_states),
        Faults("servicenow", storm=storm),
        secrets.token_urlsafe(24),
    )
    service = instance.person("countersign", "itil", "approval_admin", automation=True)
    erin, frank = (instance.person(name, "approver_user") for name in ("erin", "frank"))
    for member, person in ((acme.erin, erin), (acme.frank, frank)):
        member.identities = {"servicenow": person.sys_id}
        member.save()
    acme.tenant.channels.all().delete()
    Channel.objects.create(
        tenant=acme.tenant, kind="servicenow", key=CHANGES, config={"table": CHANGES}, teams=["finance"]
    )
    with served(application(instance, faults)) as url:
        given = {"url": url, "user": service.user_name, "password": service.password, "webhook_secret": secret}
        accounts.save(acme.tenant, "servicenow", given, actor=SETUP, now=clock.now())
        yield Now(acme, instance, faults, url, service, erin, frank, secret)


def settle(now: Now) -> None:
    """Run this tenant's jobs now, as often as they come: other tests' timers are left alone."""
    for _ in range(40):
        due = Job.objects.filter(tenant=now.acme.slug, state="ready", run_at__lte=pump.now())
        put_off = now.faults.is_stormy and hurried(now.acme.tenant)
        if not (put_off or due.exists()) or not pump.run_due():
            return


def delivery(request: AccessRequest) -> Delivery:
    return Delivery.objects.get(request=request, kind="servicenow")
