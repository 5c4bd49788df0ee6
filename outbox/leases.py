"""Due work in, the one job that this worker alone may do now out; and its end, while the lease is still this worker's.

Every job takes these ways, and somebody may wait behind it: each is one statement, and the database's clock is read in
it. Two machines whose clocks differ must not both think a lease is theirs.
"""

from datetime import timedelta

from django.db import connection

from countersign import ids
from outbox import queue
from outbox.models import Job

# Of the statement, not of the moment: a time that may differ from row to row could not be looked up in an index.
# SQLite compares text: with six digits, as Django writes a time, what is due in this very millisecond is due.
_NOW = {"postgresql": "statement_timestamp()", "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')"}
_UNTIL = {
    "postgresql": "statement_timestamp() + %s * interval '1 second'",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', %s || ' seconds')",
}
_SKIP = {"postgresql": "FOR UPDATE SKIP LOCKED", "sqlite": ""}  # on SQLite the whole statement is alone

# Neither waits for the disk: a server that crashes and forgets one lets the job run again, as one whose lease ran out.
_SOON = {"postgresql": ", set_config('synchronous_commit', 'off', true)", "sqlite": ""}

_FIRST = (
    "(SELECT id FROM outbox_job WHERE {only} state = 'ready' AND run_at <= {now}"
    " AND (leased_until IS NULL OR leased_until <= {now}) ORDER BY run_at, id LIMIT 1 {skip})"
)
_CLAIM = (
    "UPDATE outbox_job SET lease = %s, leased_until = {until}, attempts = attempts + 1 WHERE id = {first}"
    " RETURNING *{soon}"
)
_DONE = (
    "UPDATE outbox_job SET state = 'done', dedupe = NULL, lease = '', leased_until = NULL, finished_at = {now}"
    " WHERE id = %s AND lease = %s AND state = 'ready' RETURNING id{soon}"
)


def claim(length: timedelta, *, rounds_first: bool) -> Job | None:
    """The job that has been due for longest, leased; work that comes round before all other, if that is wanted."""
    rounds = queue.rounds() if rounds_first else []
    first = _first()
    if rounds:
        places = ", ".join(["%s"] * len(rounds))
        first = f"COALESCE({_first(f'dedupe IN ({places}) AND')}, {first})"
    sql = _CLAIM.format(until=_UNTIL[connection.vendor], first=first, soon=_SOON[connection.vendor])
    return next(iter(Job.objects.raw(sql, [ids.new("lse"), length.total_seconds(), *rounds])), None)


def done(job: Job) -> bool:
    """Write that it is done, which frees its name; False if somebody else holds it by now."""
    with connection.cursor() as cursor:
        sql = _DONE.format(now=_NOW[connection.vendor], soon=_SOON[connection.vendor])
        cursor.execute(sql, [job.pk, job.lease])
        return bool(cursor.fetchall())


def _first(only: str = "") -> str:
    return _FIRST.format(only=only, now=_NOW[connection.vendor], skip=_SKIP[connection.vendor])
