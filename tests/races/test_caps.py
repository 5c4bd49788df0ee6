"""Many processes against one cap: exactly as many pass as it allows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from enforcement.models import Counter
from evidence.models import Record
from tests.worlds import world

pytestmark = pytest.mark.races

ROOT = Path(__file__).parent.parent.parent
SOAK = os.environ.get("COUNTERSIGN_SOAK") == "1"
PROCESSES, LIMIT, CALLS = (16, 1000, 100) if SOAK else (4, 60, 40)

PROGRAM = """
import asyncio, json, sys
import django
django.setup()
from enforcement import api, commit
from enforcement.http import Request

KEY, CALLS, BODY = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}

async def one():
    while True:
        reply = await api.answer(Request("POST", "/access/v1/evaluation", "", HEADERS, BODY))
        if reply.status == 200:
            return json.loads(reply.body)["context"]["reason"]
        await asyncio.sleep(0.05)

async def some(count):
    return [await one() for _ in range(count)]

async def all_of_them():
    await one()
    print("ready", flush=True)
    sys.stdin.readline()
    lines = [some(len(range(n, CALLS - 1, 4))) for n in range(4)]
    return [reason for told in await asyncio.gather(*lines) for reason in told]

reasons = asyncio.run(all_of_them())
commit.stop()
print(json.dumps({reason: reasons.count(reason) for reason in set(reasons)}))
"""


def database_url() -> str:
    settings = connection.settings_dict
    password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
    return f"postgresql://{settings['USER']}{password}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


class TestCaps:
    @pytest.mark.postgres
    def test_lets_exactly_its_limit_pass_through_many_processes(self):
        if connection.vendor != "postgresql":
            pytest.skip("on SQLite there is one deciding process")
        own = world(
            caps={
                "rate": [f"{LIMIT}/day"],
                "spend": {"argument": "amount", "per_day": "99999999.00", "currency": "EUR"},
            }
        )
        body = json.dumps(
            {
                "subject": {"type": "agent", "id": "support-bot"},
                "action": {"name": "create"},
                "resource": {"type": "tool", "id": "payments.refund"},
                "context": {"arguments": {"order": "A", "amount": "10.00"}, "intent": "customer-refund"},
            }
        )
        environment = {
            **os.environ,
            "COUNTERSIGN_DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        running = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, own.pep_key, str(CALLS), body],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(PROCESSES)
        ]  # fmt: skip
        for process in running:
            assert process.stdout.readline() == "ready\n"
        for process in running:  # all at once: a race that is not run proves nothing
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in running]
        assert sum(one.get("rule", 0) for one in told) == LIMIT - PROCESSES, "each has had one before the start"
        assert sum(one.get("rate_cap", 0) for one in told) == PROCESSES * CALLS - LIMIT
        used = {counter.key.split("/")[0]: counter.used for counter in Counter.objects.filter(tenant=own.tenant)}
        assert used == {"rate": LIMIT, "spend": LIMIT * 10_000_000}
        assert Record.objects.filter(log=own.slug, event="decision.made").count() >= PROCESSES * CALLS
