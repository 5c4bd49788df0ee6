"""How long Slack waits for our answer to a click, while the same database takes decisions as fast as 2,000 a second.

Two servers as in production: one decides, one has the pages and hears Slack. Every click is signed, taken once and
counted: half of them vote, half open the window for a denial.
"""

import asyncio
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import httpx2

from bench.load import post
from bench.stage import LOOKUP, Stage, on_postgres
from tests.servers import free_port

SECONDS = float(os.environ.get("COUNTERSIGN_BENCH_SECONDS", "8"))
CLICKS = 50  # a second
DECISIONS = 2_000  # a second
APPROVERS = 40  # so that nobody approves faster than they can read
SECRET = "s" * 32
SLACK = {
    "COUNTERSIGN_SLACK_BOT_TOKEN": "xoxb-1-bench",
    "COUNTERSIGN_SLACK_SIGNING_SECRET": SECRET,
    "COUNTERSIGN_SLACK_API_URL": "http://127.0.0.1:9/api/",  # nothing listens: a click must not need it
    "COUNTERSIGN_ATTENTION_LIMIT": "1000000",
}


def rows() -> Iterator[dict[str, Any]]:
    with on_postgres() as stage:
        if stage is None:
            yield {"name": "slack.click", "skipped": "no PostgreSQL"}
            return
        waiting = _opened(stage, int(SECONDS * CLICKS))
        decides, hears = free_port(), free_port()
        with (
            stage.serving(*_uvicorn(decides), port=decides, extra=SLACK),
            stage.serving(*_uvicorn(hears), port=hears, extra=SLACK),
        ):
            took, decided = asyncio.run(_clicked(stage, waiting, decides, hears))
    took.sort()
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    yield {
        "name": "slack.click", "value": p99, "unit": f"ms, p99, beside {decided:,.0f} decisions/s", "against": None,
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


async def _clicked(stage: Stage, waiting: dict[str, Any], decides: int, hears: int) -> tuple[list[float], float]:
    ends = time.perf_counter() + SECONDS
    busy = asyncio.create_task(_decided(f"http://127.0.0.1:{decides}/access/v1/evaluation", stage.key, ends))
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{hears}", timeout=10) as http:
        answers = []
        for number, request in enumerate(waiting["requests"]):
            answers.append(asyncio.create_task(_press(http, waiting, request, number)))
            await asyncio.sleep(1 / CLICKS)
        took = await asyncio.gather(*answers)
    return list(took), await busy / SECONDS


async def _press(http: httpx2.AsyncClient, waiting: dict[str, Any], request: str, number: int) -> float:
    action = "countersign.approve" if number % 2 else "countersign.deny"
    user = waiting["users"][number % len(waiting["users"])]
    body = urlencode({"payload": json.dumps(_payload(request, action, user, number))}).encode()
    at = str(int(time.time()))
    made = hmac.new(SECRET.encode(), b"v0:" + at.encode() + b":" + body, sha256).hexdigest()
    headers = {
        "content-type": "application/x-www-form-urlencoded", "x-slack-request-timestamp": at,
        "x-slack-signature": f"v0={made}",
    }  # fmt: skip
    began = time.perf_counter()
    answer = await http.post("/slack/events", content=body, headers=headers)
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text[:300]
    return took


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


async def _decided(url: str, key: str, ends: float) -> int:
    """Decisions at an even pace over 16 connections; how many were answered."""
    lines = [asyncio.create_task(post(url, key=key, body=LOOKUP, pause=16 / DECISIONS, ends=ends)) for _ in range(16)]
    return sum(await asyncio.gather(*lines))


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
