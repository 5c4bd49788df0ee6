"""`make test`: the whole suite, and beside it the rooms on SQLite, so that the try-out is as true as the real thing.

Three processes, since half of a test's time is waiting: the rooms, what goes over sockets and pages, and the rooms on
SQLite with what needs no database. Where there is no PostgreSQL all is on SQLite, in two.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from tests import environment

OUTSIDE = ["tests/browser", "tests/connectors", "tests/faults", "tests/journeys", "tests/races"]
WITHOUT_DATABASE = ["tests/countersign", "tests/docs", "tests/lookalikes"]
ON_BOTH = [
    "tests/approvals", "tests/enforcement", "tests/evidence", "tests/outbox", "tests/registry",
    "tests/connectors/attention", "tests/connectors/test_deliver.py", "tests/connectors/test_once.py",
    "tests/journeys/test_approval.py", "tests/journeys/test_tenants.py",
]  # fmt: skip
"""What leans on how rows are stored, taken and locked; where there is no PostgreSQL everything is run on SQLite."""

ONCE = [
    "tests/approvals/waivers/test_creep.py", "tests/approvals/waivers/test_model.py", "tests/enforcement/test_model.py",
    *sorted(map(str, Path("tests/approvals").rglob("test_pages*.py"))),
]  # fmt: skip
"""What is among that and does not: judging, and showing."""

PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    """All at once; what each told comes one after the other. The servers are this process's, started once for all."""
    given = {**os.environ, "COUNTERSIGN_TEST_DATABASE_URL": environment.DATABASE_URL or "sqlite"}
    if environment.REDIS_URL:
        given["COUNTERSIGN_TEST_REDIS_URL"] = environment.REDIS_URL
    rooms = ["tests", *_without(OUTSIDE)]
    beside = {"What goes over sockets and pages": (OUTSIDE, given)}
    if environment.DATABASE_URL:
        rooms += _without(WITHOUT_DATABASE)
        beside["The rooms on SQLite, and what needs no database"] = (
            [*WITHOUT_DATABASE, *ON_BOTH, *_without(ONCE)],
            {**given, "COUNTERSIGN_TEST_DATABASE_URL": "sqlite"},
        )
    with ExitStack() as stack:
        begun = {title: _begun(stack, *what) for title, what in beside.items()}
        codes = [subprocess.run([*PYTEST, *rooms], check=False, env=given).returncode]
        for title, (process, told) in begun.items():
            codes.append(process.wait())
            told.seek(0)
            sys.stdout.write(f"\n{title}:\n{told.read()}")
    return max(codes, key=abs)


def _begun(
    stack: ExitStack, arguments: Sequence[str], env: Mapping[str, str]
) -> tuple["subprocess.Popen[str]", IO[str]]:
    told = stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115  the stack closes it
    process = subprocess.Popen([*PYTEST, *arguments], env=env, stdout=told, stderr=subprocess.STDOUT, text=True)
    stack.callback(process.terminate)
    return process, told


def _without(places: Sequence[str]) -> list[str]:
    return [f"--ignore={place}" for place in places if Path(place).exists()]


if __name__ == "__main__":
    sys.exit(main())
