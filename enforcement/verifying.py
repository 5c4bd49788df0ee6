"""What an independent verifier saw of an allowed call in; one record of it, and an alert if it diverged, out. Blocking.

A finding changes no custody: what the PEP said stays what the PEP said, and both are in one thread. But what a PEP says
of spend after the call ran counts downwards only once a verifier saw the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign import ids
from countersign.proof import canonical, digests
from countersign.proof.events import Event
from enforcement import executions, spending
from enforcement.allowed import Allowed, decided, of_record
from enforcement.memory import World
from enforcement.models import Execution, Finding, Verification
from enforcement.moments import Moment
from evidence import alerts
from evidence.ledger import Actor
from registry.models import Credential
from registry.snapshot import KeyView

DIVERGED = "outcome.diverged"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a verifier says. `member` is what its record carries; `told` the rest of it, kept beside the evidence."""

    evaluation_id: str
    finding: Finding
    member: Mapping[str, Any]
    told: Mapping[str, Any]


def take_in(seen: Seen, *, key: KeyView, world: World, moment: Moment) -> Verification:
    """The finding as it is kept: a new one, or the one this verifier told in these very words. Raises Problem."""
    allowed = of_record(decided(seen.evaluation_id, world))
    asked = executions.request_of(allowed.request_id, tenant_id=world.tenant_id)
    row = _locked(seen.evaluation_id, allowed, world=world, moment=moment)
    digest = digests.sha256(canonical.dumps({"status": seen.finding.value, **seen.told}))
    known = Verification.objects.filter(execution=row, credential_id=key.id, digest=digest).first()
    if known is not None:
        return known
    made = Verification.objects.create(
        id=ids.new("ver"), execution=row, credential_id=key.id, finding=seen.finding, digest=digest,
        said=dict(seen.told), made_at=moment.now,
    )  # fmt: skip
    actor = Actor(key.kind, key.key_id, {"method": key.method})
    executions.record(
        Event.EXECUTION_VERIFIED, allowed, tenant=world.tenant, actor=actor, now=moment.now, event_id=made.pk,
        execution={"evaluation_id": row.pk, "status": seen.finding.value, "custody": row.status, **seen.member},
        **(spending.verified(row, cursor=moment.cursor) if seen.finding is Finding.VERIFIED else {}),
    )  # fmt: skip
    if seen.finding is Finding.DIVERGED:
        about = {"evaluation": row.pk, "verifier": key.key_id, "custody": row.status, "action": dict(allowed.action)}
        alerts.fire(DIVERGED, tenant=world.tenant, actor=actor, now=moment.now, detail=about)
    executions.announce(asked)
    return made


def _locked(evaluation_id: str, allowed: Allowed, *, world: World, moment: Moment) -> Execution:
    """The execution's row, made if nobody has spoken of this allow yet. Who loses the INSERT looks again."""
    found = Execution.objects.select_for_update().filter(pk=evaluation_id, tenant_id=world.tenant_id).first()
    if found is not None:
        return found
    asked_by = Credential.objects.only("pk").get(key_id=allowed.key_id)
    return executions.hold(evaluation_id, allowed, tenant_id=world.tenant_id, credential_id=asked_by.pk, now=moment.now)
