"""`make test`: the whole suite, and beside it the rooms on SQLite, so that the try-out is as true as the real thing.

Two processes for two cores: what needs no database is run by the second, which has less to do.
"""

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
WITHOUT_DATABASE = ["tests/countersign", "tests/docs", "tests/lookalikes"]
PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    """Both at once: most of a test's time is waiting. The servers are this process's, so that each is started once."""
    given = {**os.environ, "COUNTERSIGN_TEST_DATABASE_URL": environment.DATABASE_URL or "sqlite"}
    if environment.REDIS_URL:
        given["COUNTERSIGN_TEST_REDIS_URL"] = environment.REDIS_URL
    if not environment.DATABASE_URL:
        return subprocess.run([*PYTEST, "tests"], check=False, env=given).returncode
    on_sqlite = {**given, "COUNTERSIGN_TEST_DATABASE_URL": "sqlite"}
    folders = [folder for folder in (*WITHOUT_DATABASE, *ON_BOTH) if Path(folder).is_dir()]
    left = [f"--ignore={folder}" for folder in WITHOUT_DATABASE]
    with tempfile.TemporaryFile("w+") as told:
        beside = subprocess.Popen([*PYTEST, *folders], env=on_sqlite, stdout=told, stderr=subprocess.STDOUT)
        try:
            first = subprocess.run([*PYTEST, "tests", *left], check=False, env=given).returncode
            second = beside.wait()
        finally:
            beside.terminate()
        told.seek(0)
        sys.stdout.write(f"\nThe rooms on SQLite, and what needs no database:\n{told.read()}")
    return first or second


if __name__ == "__main__":
    sys.exit(main())
