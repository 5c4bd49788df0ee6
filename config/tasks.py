"""The two things a worker does when somebody rings; each is safe to run twice at once and to lose."""

import threading
import time

from celery import shared_task
from celery.schedules import schedule
from celery.signals import worker_init
from django.db import close_old_connections

from config import warm
from config.celery import PUMP, SECONDS_BETWEEN_PUMPS, app
from evidence.sealer import Sealer
from outbox import doorbell, pump

SECONDS_BETWEEN_SEALS = 0.5

# One a worker process: it remembers how far it has looked. The database lets only one at each log.
_sealer = Sealer(threading.Event())


@shared_task(name=PUMP, ignore_result=True)  # type: ignore[untyped-decorator]  # celery ships no types
def pump_outbox() -> None:
    """Run what is due. Where more may be due, ring again: what rang meanwhile may be too old to be heard."""
    close_old_connections()  # one that broke is not used again, although Celery keeps it
    if pump.run_due() == pump.AT_ONCE:
        doorbell.ring()


@shared_task(name="countersign.seal", ignore_result=True)  # type: ignore[untyped-decorator]  # celery ships no types
def seal_logs() -> None:
    """Seal what was journalled, in every log."""
    close_old_connections()
    _sealer.round(at=time.monotonic())


worker_init.connect(lambda **_: warm.warm(), weak=False)  # before it forks: every child has it then

app.conf.beat_schedule = {
    # `expires` drops rings that nobody heard in time: a backlog of doorbells helps no one.
    "pump": {
        "task": PUMP,
        "schedule": schedule(SECONDS_BETWEEN_PUMPS),
        "options": {"expires": SECONDS_BETWEEN_PUMPS},
    },
    "seal": {
        "task": "countersign.seal",
        "schedule": schedule(SECONDS_BETWEEN_SEALS),
        "options": {"expires": SECONDS_BETWEEN_SEALS},
    },
}
