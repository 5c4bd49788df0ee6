"""Is this process alive, is this installation ready, and if not, what is wrong: for orchestrators and for `doctor`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import redis
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from config.database import refusal
from config.environment import environment
from connectors import health
from evidence import clock, horizon, keys, roles
from outbox.models import Job, State
from registry import releases, snapshot
from registry.models import Tenant

_PATIENCE = 2  # seconds for Redis, which is next door
_WAITS = "No worker pumps or seals until then; nothing is lost."
SEALING = "sealing"
SEALING_LAG = timedelta(seconds=10)  # what a receipt promises


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, and what to do where it is not. `fatal` makes us unready.

    `detail` names roles, hosts and files: for whoever runs a command here, not for whoever asks `/readyz`.
    """

    name: str
    ok: bool
    text: str
    fatal: bool = True
    detail: str = ""


def findings() -> Iterator[Finding]:
    """What decisions and their proof stand on, in the order in which it breaks. Costs the same however many tenants."""
    for look in (_database, _migrations, _keys):
        found = look()
        yield found
        if not found.ok:
            return  # the rest would only repeat it
    yield _append_only()
    yield _sealing()
    yield _dead_letters()
    yield _address()


def doorbell() -> Iterator[Finding]:
    """Redis, where there is one: for `doctor`. Without it nothing is lost, so `/readyz` does not wait for it."""
    if not (url := environment().redis_url):
        return
    place = _place(url)
    try:
        redis.Redis.from_url(url, socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE).ping()
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        refused = isinstance(error, redis.AuthenticationError)
        text = f"{place} {'refuses our password' if refused else 'does not answer'}. {_WAITS}"
        yield Finding("redis", ok=False, text=text, fatal=False)
    except (redis.RedisError, ValueError):
        text = f"{place} is no address that Redis takes. Look at COUNTERSIGN_REDIS_URL."
        yield Finding("redis", ok=False, text=text, fatal=False)
    else:
        yield Finding("redis", ok=True, text=f"{place} answers.", fatal=False)


def _place(url: str) -> str:
    """Host and port, or a socket's path; never the password, which an unescaped / in it puts into the path."""
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        return "What is before the last @"
    return parts.netloc.rpartition("@")[2] or parts.path


def tenants() -> Iterator[Finding]:
    """Each one's policy, loaded and verified: for `doctor`. A probe builds nothing, and may not know their names."""
    for slug in Tenant.objects.order_by("slug").values_list("slug", flat=True):
        try:
            snapshot.current(slug)
        except releases.ReleaseRefused as error:
            yield Finding(f"tenant {slug}", ok=False, text=f"{error} Every decision is refused.", fatal=False)
        else:
            yield Finding(f"tenant {slug}", ok=True, text="Its policy loads and its signature holds.")


def connected() -> Iterator[Finding]:
    """Other people's systems, each asked over the network: for `doctor`, too slow and too talkative for `/readyz`."""
    for found in health.of_all():
        name = f"{found.kind} {found.tenant}".strip()
        yield Finding(name, ok=found.ok, text=found.text, fatal=False)


def _database() -> Finding:
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        # Asking it would make an empty one.
        return Finding("database", ok=False, text="There is no database yet. Run manage.py setup.")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return Finding("database", ok=False, text="The database does not let us in.", detail=refusal(error))
    return Finding("database", ok=True, text=f"{connection.display_name} answers.")


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return Finding("migrations", ok=False, text=f"{len(missing)} migrations are missing. Run manage.py setup.")
    return Finding("migrations", ok=True, text="All migrations are applied.")


def _keys() -> Finding:
    try:
        for purpose in keys.Purpose:
            keys.signer(purpose)
    except keys.KeysMissing as error:
        return Finding("keys", ok=False, text=f"{error}")
    return Finding("keys", ok=True, text="All signing keys are readable.")


def _append_only() -> Finding:
    status = roles.status(connection)
    resistant = status is roles.Protection.TAMPER_RESISTANT
    hint = "" if resistant else " Set COUNTERSIGN_MIGRATOR_DATABASE_URL and run setup for a runtime role of its own."
    return Finding("append-only", ok=resistant, text=f"Evidence is {status}.{hint}", fatal=False)


def _sealing() -> Finding:
    age = max(horizon.logs_behind(clock.now()).values(), default=timedelta(0))
    if age < SEALING_LAG:
        return Finding(SEALING, ok=True, text="Every record is sealed in time.")
    return Finding(SEALING, ok=False, text=f"Records wait {age.total_seconds():.0f} s for the sealer. {_who_seals()}")


def _who_seals() -> str:
    if environment().redis_url:
        return "COUNTERSIGN_REDIS_URL is set, so a Celery worker and beat must run."
    return "Is `manage.py up` or `manage.py pump` running?"


def _dead_letters() -> Finding:
    dead = Job.objects.filter(state=State.DEAD).count()
    return Finding("outbox", ok=not dead, text=f"{dead} dead jobs." if dead else "No dead jobs.", fatal=False)


def _address() -> Finding:
    given = environment()
    here = {"127.0.0.1", "localhost", "testserver"}
    ok = given.is_https or not (set(given.hosts) - here)
    text = f"People open {given.base_url}." if ok else f"{given.base_url} is not HTTPS: sessions travel in clear."
    return Finding("address", ok=ok, text=text, fatal=False)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a view's signature
    """The process answers. No dependency is asked, so that a database outage does not restart everything."""
    return JsonResponse({"alive": True})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a view's signature
    """Whether decisions can be made and proven."""
    found = list(findings())
    ready = all(finding.ok for finding in found if finding.fatal)
    checks = {finding.name: {"ok": finding.ok, "text": finding.text} for finding in found}
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)
