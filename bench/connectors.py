"""How long until people elsewhere see it: from a commit to the message, and from a vote to every message's end."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.stage import Stage, on_postgres
from tests import servers

ASKED = 60
OPEN = 100
_GAP = 0.05
_PATIENCE = 30.0


def rows() -> Iterator[dict[str, Any]]:
    """Embedded, where a thread of the same process sends; and with Redis and one Celery worker."""
    with on_postgres() as stage:
        if stage is None:
            for name in ("notify.message", "notify.closed", "notify.message.redis", "notify.closed.redis"):
                yield {"name": name, "skipped": "no PostgreSQL"}
            return
        yield from _measured(stage, "")
        with celery(stage) as redis_url:
            if redis_url:
                yield from _measured(stage, redis_url)
            else:
                yield {"name": "notify.message.redis", "skipped": "no redis-server is installed"}
                yield {"name": "notify.closed.redis", "skipped": "no redis-server is installed"}


def _measured(stage: Stage, redis_url: str) -> list[dict[str, Any]]:
    """In a process of its own, whose Django has the stage's database."""
    environment = {
        **stage.environment,
        "COUNTERSIGN_ATTENTION_LIMIT": "1000000",
        "COUNTERSIGN_APPROVALS_PER_MINUTE": "600",
    }
    if redis_url:
        environment["COUNTERSIGN_REDIS_URL"] = redis_url
    command = [sys.executable, "-m", "bench.connectors", "redis" if redis_url else "embedded"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return list(json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def celery(stage: Stage, extra: Mapping[str, str] | None = None) -> Iterator[str]:
    """A Redis and a worker with beat on it; empty where there is none."""
    try:
        redis = servers.Redis.start()
    except FileNotFoundError:
        yield ""
        return
    extra = {**(extra or {}), "COUNTERSIGN_REDIS_URL": redis.url, "COUNTERSIGN_ATTENTION_LIMIT": "1000000"}
    schedule = str(Path(stage.home) / "beat")
    worker = stage.start(
        sys.executable, "-m", "celery", "-A", "tests.connectors.celery_worker", "worker", "--beat",
        "--concurrency", "2", "--loglevel", "WARNING", "--schedule", schedule, "--pidfile", "", extra=extra,
    )  # fmt: skip
    try:
        yield redis.url
    finally:
        stage.stop(worker)
        redis.stop()


def _until(condition: Callable[[], object]) -> float:
    """When it came true, on the monotonic clock."""
    ends = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError("the message did not come")
        time.sleep(0.001)
    return time.monotonic()


def _row(name: str, seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(1000 * one for one in seconds)

    def at(share: float) -> float:
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    return {
        "name": name, "value": at(0.95), "unit": "ms, p95", "against": None, "ratio": None, "p50_ms": at(0.5),
        "p99_ms": at(0.99),
    }  # fmt: skip


def _main(mode: str) -> None:
    import django  # noqa: PLC0415  only this process has Django's settings

    django.setup()
    from config.background import Background  # noqa: PLC0415  models exist only now
    from tests.approvals import asking  # noqa: PLC0415
    from tests.connectors.board import board, channel, connect  # noqa: PLC0415
    from tests.worlds import world  # noqa: PLC0415

    background = Background() if mode == "embedded" else None
    suffix = "" if background else ".redis"
    with board() as here:
        ours = world(quorum=1, step_up="none", change={"channels": []})
        connect(ours.tenant, here.url)
        channel(ours.tenant)
        if background:
            background.start()

        def opened() -> Any:
            return asking.opened(ours, requirements=[asking.requirement(quorum=1, step_up=asking.NONE)])

        first = opened()
        _until(lambda: here.about(first.pk))  # everything is warm
        told = []
        for _ in range(ASKED):
            request = opened()
            began = time.monotonic()
            told.append(_until(lambda request=request: here.about(request.pk)) - began)
            time.sleep(_GAP)
        waiting = [opened() for _ in range(OPEN)]
        _until(lambda: all(here.about(one.pk) for one in waiting))
        closed = []
        for request in waiting[:ASKED]:
            asking.vote(request, ours.erin)
            began = time.monotonic()
            closed.append(_until(lambda request=request: here.about(request.pk)[0]["status"] == "approved") - began)
            time.sleep(_GAP)
        if background:
            background.stop()
    sys.stdout.write(json.dumps([_row(f"notify.message{suffix}", told), _row(f"notify.closed{suffix}", closed)]) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1])
