"""`make demo UNATTENDED=1`: the program that newcomers run first, to its end, one vote on our pages and one from chat."""

import os
import subprocess
import sys
from pathlib import Path

from examples.lookalikes.weather import VARIABLE
from tests.journeys.console import ROOT
from tests.journeys.server import clean_environment
from tests.servers import free_port


class TestDemo:
    def test_it_tells_the_story_and_ends_well(self, tmp_path: Path):
        storm = {VARIABLE: os.environ.get(VARIABLE, "")}
        settings = {
            **storm,
            "UNATTENDED": "1",
            "PORT": str(free_port()),
            "COUNTERSIGN_DEMO_DIR": str(tmp_path / "demo"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "examples.demo"],
            cwd=ROOT, env={**clean_environment(), **settings}, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        for words in ("✓ lookup_order", "✗ delete_customer", "✋ refund", "✓ refund", "Each exactly once."):
            assert words in done.stdout
        for words in (
            "erin signed in",
            "frank pressed Approve on the card in the look-alike",
            "the card now tells the outcome",
        ):
            assert words in done.stdout
        assert (tmp_path / "demo" / "pack" / "checkpoint").exists()
