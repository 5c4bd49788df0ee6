"""What a look-alike says that runs by itself: that its port is taken, and what a person types to answer."""

import re
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from examples.lookalikes.servicenow.instance import APPROVALS
from tests.servers import free_port

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["slack", "servicenow"])
class TestPort:
    def test_that_is_taken_is_told_in_one_line(self, name):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            done = subprocess.run(
                [sys.executable, "-m", f"examples.lookalikes.{name}", "--port", port],
                cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert re.fullmatch(rf"Port {port} of 127\.0\.0\.1 cannot be had\. Choose another: --port \d+\n", done.stderr)


class TestServiceNow:
    def test_prints_the_call_by_which_an_approver_answers_as_themselves(self):
        command = [sys.executable, "-m", "examples.lookalikes.servicenow", "--port", str(free_port())]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as instance:
            patience = threading.Timer(60, instance.kill)
            patience.start()
            assert instance.stdout
            try:
                said = "".join(instance.stdout.readline() for _ in range(6))
                url, password = re.findall(r"SERVICENOW_(?:URL|PASSWORD)=(\S+)", said)
                erin = re.findall(r"sys_id (\w+)", said)[0]
                httpx2.post(f"{url}/api/now/table/{APPROVALS}", json={"approver": erin}, auth=("countersign", password))
                told, typed = instance.stdout.readline(), shlex.split(instance.stdout.readline())
                sys_id = told.split()[1]
                assert typed[-1] == f"{url}/api/now/table/{APPROVALS}/{sys_id}"
                user, _, hers = typed[typed.index("-u") + 1].partition(":")
                answer = httpx2.patch(typed[-1], content=typed[typed.index("-d") + 1], auth=(user, hers))
                row = answer.json()["result"]
                assert (row["state"], row["sys_updated_by"]) == ("approved", "erin")
            finally:
                patience.cancel()
                instance.kill()
