"""What is wrong with the settings is told by Celery's commands as by `manage.py`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class TestCelery:
    def test_a_wrong_setting_is_named_without_a_traceback(self):
        done = subprocess.run(
            [sys.executable, "-m", "celery", "-A", "config", "worker"],
            cwd=ROOT, env=os.environ | {"COUNTERSIGN_LOG_LEVEL": "loud"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        first, named, last = done.stderr.splitlines()
        assert first == "The environment needs mending:"
        assert "COUNTERSIGN_LOG_LEVEL" in named
        assert last == "docs/settings.md describes every setting."
