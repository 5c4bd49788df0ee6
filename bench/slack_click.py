"""How long Slack waits for our answer to a click, while the same database takes 2,000 decisions a second.

As in production: one server decides, one has the pages and hears Slack, a worker does what follows from a click. Every
click is signed and taken once: half of them vote, half open the window for a denial. What drives all this is kept
cheap, for it shares the machine: whoever sends decisions is a process of its own, and Slack says yes to everything.
"""

import asyncio
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import psycopg

from bench.connectors import celery
from bench.load import answered, paced
from bench.stage import LOOKUP, Stage, on_postgres
from tests.servers import free_port

SECONDS = float(os.environ.get("COUNTERSIGN_BENCH_SECONDS", "8"))
CLICKS = 50  # a second
DECISIONS = 2_000  # a second
APPROVERS = 40  # so that nobody approves faster than they can read
LAG = 30  # seconds after the last click from which a vote counts as never cast
SECRET = "s" * 32
SAYS_YES = free_port()
YES = b'{"ok":true,"channel":"C0BENCH","ts":"1.1","bot_id":"B0BENCH","messages":[]}'
SLACK = {
    "COUNTERSIGN_SLACK_BOT_TOKEN": "xoxb-1-bench",
    "COUNTERSIGN_SLACK_SIGNING_SECRET": SECRET,
    "COUNTERSIGN_SLACK_API_URL": f"http://127.0.0.1:{SAYS_YES}/api/",
    "COUNTERSIGN_ATTENTION_LIMIT": "1000000",
}


def rows() -> Iterator[dict[str, Any]]:
    with on_postgres() as stage:
        if stage is None:
            yield from ({"name": name, "skipped": "no PostgreSQL"} for name in ("slack.click", "slack.counted"))
            return
        waiting = _opened(stage, int(SECONDS * CLICKS))
        with celery(stage, SLACK) as redis_url:
            extra = SLACK | ({"COUNTERSIGN_REDIS_URL": redis_url} if redis_url else {})
            if not redis_url:
                stage.start(sys.executable, "manage.py", "pump", extra=extra)
            decides, hears = free_port(), free_port()
            with (
                stage.serving(*_uvicorn(decides), port=decides, extra=extra),
                stage.serving(*_uvicorn(hears), port=hears, extra=extra),
            ):
                took, pressed, decided = asyncio.run(_clicked(stage, waiting, decides, hears))
                counted = _counted(stage, pressed)
    yield _row("slack.click", took, beside=decided)
    yield _row("slack.counted", counted, beside=decided)


def _row(name: str, took: list[float], *, beside: float) -> dict[str, Any]:
    took = sorted(took)
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    return {
        "name": name, "value": p99, "unit": f"ms, p99, beside {beside:,.0f} decisions/s", "against": None,
        "ratio": None, "p50_ms": p50, "p99_ms": p99,
    }  # fmt: skip


def _opened(stage: Stage, count: int) -> dict[str, Any]:
    """Requests that wait and people who may answer them, made by a process that has the stage's database."""
    command = [sys.executable, "-m", "bench.slack_click", str(count)]
    done = subprocess.run(command, env={**stage.environment, **SLACK}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _uvicorn(port: int) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port),
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
    )  # fmt: skip


# --- clicking


async def _clicked(
    stage: Stage, waiting: dict[str, Any], decides: int, hears: int
) -> tuple[list[float], dict[str, float], float]:
    """Seconds until each click was answered, when each request was approved of, and decisions a second."""
    url = f"http://127.0.0.1:{decides}/access/v1/evaluation"
    busy = paced(url, key=stage.key, body=LOOKUP, rate=DECISIONS, seconds=SECONDS)
    answers, pressed = [], {}
    async with await asyncio.start_server(_yes, "127.0.0.1", SAYS_YES):
        for number, request in enumerate(waiting["requests"]):
            if number % 2:
                pressed[request] = time.time()
            answers.append(asyncio.create_task(_press(hears, waiting, request, number)))
            await asyncio.sleep(1 / CLICKS)
        took = await asyncio.gather(*answers)
        decided = await asyncio.to_thread(answered, busy)
        await asyncio.to_thread(_until_counted, stage, len(pressed))
    return list(took), pressed, decided / SECONDS


async def _press(hears: int, waiting: dict[str, Any], request: str, number: int) -> float:
    action = "countersign.approve" if number % 2 else "countersign.deny"
    user = waiting["users"][number % len(waiting["users"])]
    body = urlencode({"payload": json.dumps(_payload(request, action, user, number))}).encode()
    at = str(int(time.time()))
    made = hmac.new(SECRET.encode(), b"v0:" + at.encode() + b":" + body, sha256).hexdigest()
    head = (
        "POST /slack/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        f"x-slack-request-timestamp: {at}\r\nx-slack-signature: v0={made}\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", hears)
    writer.write(head.encode() + body)
    answer = await reader.read()
    took = time.perf_counter() - began
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    return took


async def _yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Slack's Web API for who needs no more of it than a yes."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = re.search(rb"(?i)content-length: (\d+)", head)
    await reader.readexactly(int(size[1]) if size else 0)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + YES)
    writer.close()


def _until_counted(stage: Stage, votes: int) -> None:
    ends = time.monotonic() + LAG
    with psycopg.connect(stage.url, autocommit=True) as database:
        while time.monotonic() < ends:
            row = database.execute("SELECT count(*) FROM approvals_vote").fetchone()
            if row and row[0] >= votes:
                return
            time.sleep(0.2)


def _counted(stage: Stage, pressed: dict[str, float]) -> list[float]:
    """Seconds from each press to its vote. One that is not there counts as never."""
    with psycopg.connect(stage.url) as database:
        cast = dict(database.execute("SELECT request_id, extract(epoch FROM cast_at)::float8 FROM approvals_vote"))
    return [cast.get(request, float("inf")) - at for request, at in pressed.items()]


def _payload(request: str, action: str, user: str, number: int) -> dict[str, Any]:
    button = {"type": "button", "action_id": action, "value": request, "text": {"type": "plain_text", "text": "x"}}
    stamp = f"1760000000.{number:06d}"
    return {
        "type": "block_actions", "team": {"id": "T0BENCH", "domain": "bench"}, "api_app_id": "A0BENCH",
        "user": {"id": user, "username": user.lower(), "team_id": "T0BENCH"}, "trigger_id": f"1.2.{number}",
        "container": {"type": "message", "message_ts": stamp, "channel_id": "C0BENCH"},
        "message": {"ts": stamp, "blocks": [{"type": "actions", "elements": [button]}]},
        "actions": [{**button, "action_ts": stamp}],
    }  # fmt: skip


# --- opening


def _main(count: int) -> None:
    import django  # noqa: PLC0415  only this process has Django's settings

    django.setup()
    from evidence import clock  # noqa: PLC0415  models exist only now
    from evidence.ledger import Actor  # noqa: PLC0415
    from registry import people  # noqa: PLC0415
    from registry.models import Tenant  # noqa: PLC0415
    from tests.approvals import asking  # noqa: PLC0415
    from tests.worlds import World  # noqa: PLC0415

    tenant = Tenant.objects.get()
    actor = Actor("command", "bench")
    users = [f"U0BENCH{number}" for number in range(APPROVERS)]
    for user in users:
        name = user.lower()
        member = people.add(
            name, email=f"{name}@bench.test", tenant=tenant, teams=["finance"], actor=actor, now=clock.now()
        )
        people.set_identity(member, "slack", f"T0BENCH/{user}", actor=actor, now=clock.now())
    key = asking_key(tenant)
    ours = World(tenant, "", {}, key, key)
    needed = [asking.requirement(quorum=1, step_up=asking.NONE)]
    requests = [asking.opened(ours, requirements=needed).pk for _ in range(count)]
    sys.stdout.write(json.dumps({"requests": requests, "users": users}) + "\n")


def asking_key(tenant: Any) -> str:
    from evidence import clock  # noqa: PLC0415  see above
    from registry import credentials  # noqa: PLC0415
    from tests.worlds import SETUP  # noqa: PLC0415

    return credentials.issue(tenant, kind="pep", name="bench", actor=SETUP, now=clock.now(), agents=("*",))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
