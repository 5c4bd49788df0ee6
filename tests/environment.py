"""Loaded before Django's settings: which real servers this run uses, and a world of its own for keys and files.

PostgreSQL and Redis come from `COUNTERSIGN_TEST_DATABASE_URL` / `COUNTERSIGN_TEST_REDIS_URL`, else from loopback, else
from throw-away instances of installed binaries (`tests.servers`). `COUNTERSIGN_TEST_DATABASE_URL=sqlite` runs on SQLite.
"""

import os
import tempfile
from pathlib import Path

from tests import servers

WORK = Path(tempfile.mkdtemp(prefix="countersign-tests-"))

DATABASE_URL = servers.postgres_url()
REDIS_URL = servers.redis_url()

os.environ["COUNTERSIGN_DATABASE_URL"] = DATABASE_URL or f"sqlite:///{WORK / 'tests.sqlite3'}"
os.environ["COUNTERSIGN_KEYS_DIR"] = str(WORK / "keys")
os.environ["COUNTERSIGN_CHECKPOINTS_DIR"] = str(WORK / "checkpoints")
os.environ["COUNTERSIGN_SECRET_KEY"] = "tests-only-" + "k" * 50
os.environ["COUNTERSIGN_BASE_URL"] = "http://testserver"
os.environ["COUNTERSIGN_ALLOWED_HOSTS"] = "testserver,127.0.0.1,localhost"
os.environ["COUNTERSIGN_APPROVALS_PER_MINUTE"] = "600"  # people here read at machine speed; `test_pace.py` slows them
os.environ.pop("COUNTERSIGN_REDIS_URL", None)
os.environ.pop("COUNTERSIGN_MIGRATOR_DATABASE_URL", None)
