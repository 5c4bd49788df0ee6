"""`make test`: the whole suite, then the rooms again on SQLite, so that the try-out is as true as the real thing."""

import os
import subprocess
import sys
from pathlib import Path

ON_BOTH = ["tests/approvals", "tests/enforcement", "tests/evidence", "tests/outbox", "tests/registry", "tests/journeys"]


def main() -> int:
    here = [sys.executable, "-m", "pytest", "-q"]
    first = subprocess.run([*here, "tests"], check=False).returncode
    from tests import environment  # noqa: PLC0415  looks for servers, which the first run must do for itself

    if first or not environment.DATABASE_URL:
        return first
    on_sqlite = {**os.environ, "COUNTERSIGN_TEST_DATABASE_URL": "sqlite"}
    folders = [folder for folder in ON_BOTH if Path(folder).is_dir()]
    return subprocess.run([*here, *folders], check=False, env=on_sqlite).returncode


if __name__ == "__main__":
    sys.exit(main())
