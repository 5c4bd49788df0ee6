"""Due jobs in, done jobs out: claim by lease, run outside any transaction, finish only while the lease is ours.

Times are the database's: two machines whose clocks differ must not both think a lease is theirs.
"""

import logging
import random
import threading
from datetime import datetime, timedelta

from django.db import close_old_connections, connection
from django.db.models import F

from outbox import doorbell, leases, queue
from outbox.models import Job, State

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
POLL_SECONDS = 1.0
AT_ONCE = 50  # jobs, then whoever pumps looks whether it should stop
_FIRST_RETRY = timedelta(seconds=2)
_LONGEST_RETRY = timedelta(minutes=10)


class Later(Exception):
    """Try again after this long; not a failure (a vendor's Retry-After, a condition not met yet)."""

    def __init__(self, after: timedelta) -> None:
        super().__init__(f"again in {after}")
        self.after = after


class Permanent(Exception):
    """No retry can help: to the dead letters at once."""


def run_due(limit: int = AT_ONCE) -> int:
    """Run up to `limit` due jobs one after the other; returns how many were claimed.

    At every other turn work that comes round goes before what was due earlier: no crowd of jobs keeps it from its time,
    and it keeps no job from its turn.
    """
    done = 0
    while done < limit and (job := leases.claim(LEASE, rounds_first=done % 2 == 0)):
        _run(job)
        done += 1
    return done


def now() -> datetime:
    """The database's clock."""
    sql = (
        "SELECT clock_timestamp()"
        if connection.vendor == "postgresql"
        else "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        value = cursor.fetchone()[0]
    return value if isinstance(value, datetime) else datetime.fromisoformat(f"{value}+00:00")


def _run(job: Job) -> None:
    interval = queue.interval_of(job.kind)
    try:
        queue.handler_of(job.kind)(job.payload)
    except Later as again:
        _finish(job, attempts=F("attempts") - 1, run_at=now() + again.after)
    except Permanent as error:
        _bury(job, error)
    except Exception as error:
        log.exception("job failed", extra={"job": job.pk, "kind": job.kind, "attempt": job.attempts})
        if job.attempts >= job.max_attempts and interval is None:
            _bury(job, error)
        else:
            _finish(job, last_error=_text(error), run_at=now() + _backoff(job.attempts))
    else:
        if interval is None:
            _warn(job, is_ours=leases.done(job))
        else:
            _finish(job, attempts=0, last_error="", run_at=now() + interval)


def _finish(job: Job, **changes: object) -> None:
    """Write the end of this run, unless the lease was lost: then somebody else runs it and owns its end."""
    held = Job.objects.filter(pk=job.pk, lease=job.lease, state=State.READY)
    _warn(job, is_ours=bool(held.update(lease="", leased_until=None, **changes)))


def _warn(job: Job, *, is_ours: bool) -> None:
    if not is_ours:
        log.warning("lease lost before the job ended", extra={"job": job.pk, "kind": job.kind})


def _bury(job: Job, error: Exception) -> None:
    log.error("job is dead", extra={"job": job.pk, "kind": job.kind, "attempts": job.attempts})
    _finish(job, state=State.DEAD, last_error=_text(error), finished_at=now())


def _text(error: Exception) -> str:
    """The error's kind alone: its text may carry what a remote system or an agent supplied."""
    return type(error).__name__


def _backoff(attempt: int) -> timedelta:
    """Doubling from two seconds to ten minutes, with jitter so that a herd spreads."""
    longest: timedelta = min(_FIRST_RETRY * (1 << min(attempt - 1, 16)), _LONGEST_RETRY)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  spreads load, guards nothing


def run_until(stop: threading.Event) -> None:
    """Pump until told to stop: the embedded mode's thread and the body of `manage.py pump`."""
    begun = False
    while not stop.is_set():
        try:
            close_old_connections()
            if not begun:
                queue.begin_rounds()
                begun = True
            if not run_due():
                doorbell.wait(POLL_SECONDS)
        except Exception:
            log.exception("the pump stumbled and goes on")
            stop.wait(POLL_SECONDS)
    connection.close()
