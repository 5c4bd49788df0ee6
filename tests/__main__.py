"""`make test`: the whole suite, and beside it the rooms on SQLite, so that the try-out is as true as the real thing."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import environment

ON_BOTH = [
    "tests/approvals", "tests/connectors", "tests/enforcement", "tests/evidence", "tests/outbox", "tests/registry",
    "tests/journeys",
]  # fmt: skip
PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    """Both at once: most of a test's time is waiting. The servers are this process's, so that each is started once."""
    given = {**os.environ, "COUNTERSIGN_TEST_DATABASE_URL": environment.DATABASE_URL or "sqlite"}
    if environment.REDIS_URL:
        given["COUNTERSIGN_TEST_REDIS_URL"] = environment.REDIS_URL
    if not environment.DATABASE_URL:
        return subprocess.run([*PYTEST, "tests"], check=False, env=given).returncode
    on_sqlite = {**given, "COUNTERSIGN_TEST_DATABASE_URL": "sqlite"}
    folders = [folder for folder in ON_BOTH if Path(folder).is_dir()]
    with tempfile.TemporaryFile("w+") as told:
        beside = subprocess.Popen([*PYTEST, *folders], env=on_sqlite, stdout=told, stderr=subprocess.STDOUT)
        try:
            first = subprocess.run([*PYTEST, "tests"], check=False, env=given).returncode
            second = beside.wait()
        finally:
            beside.terminate()
        told.seek(0)
        sys.stdout.write(f"\nThe rooms on SQLite:\n{told.read()}")
    return first or second


if __name__ == "__main__":
    sys.exit(main())
