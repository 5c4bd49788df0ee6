"""A tenant in, whatever a failure of another system has put off due at once out: storms without the waiting."""

from connectors import pauses
from connectors.kinds import KINDS
from connectors.models import Delivery
from outbox import pump
from outbox.models import Job, State
from registry.models import Tenant

_TIMERS = ("connectors.remind", "connectors.digest")  # what waits because it is to wait


def rested(tenant: Tenant) -> None:
    """Its systems are asked again although they failed a moment ago."""
    for kind in KINDS:
        pauses.worked(tenant.pk, kind)


def hurried(tenant: Tenant) -> bool:
    """Whether anything is to be done now."""
    rested(tenant)
    Delivery.objects.filter(tenant=tenant).update(not_before=None)
    waiting = Job.objects.filter(tenant=tenant.slug, state=State.READY, kind__startswith="connectors.")
    return bool(waiting.exclude(kind__in=_TIMERS).update(run_at=pump.now()))
