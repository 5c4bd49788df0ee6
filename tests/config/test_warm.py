"""Whoever serves or pumps has the scrubber's rules compiled before anybody waits for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SAYS = "from countersign.inspection.catalogue import catalogue; print(catalogue.cache_info().currsize)"


@pytest.mark.parametrize(
    ("started", "read"),
    [
        ("import config.asgi", "1"),
        ("django.setup(); from config.background import Background; b = Background(); b._threads = []; b.start()", "1"),
        ("django.setup(); import config.tasks; from celery.signals import worker_init; worker_init.send(None)", "1"),
        ("django.setup()", "0"),
    ],
)
def test_it_is_read_at_the_start(tmp_path: Path, started: str, read: str) -> None:
    """A process of its own each: here it was read long ago. The threads stay away, for a log line would read it too."""
    environment = os.environ | {"COUNTERSIGN_DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite3"}
    code = f"import django; {started}; {SAYS}"
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings", "COUNTERSIGN_LOG_LEVEL": "ERROR"}
    ran = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ran.stdout.strip() == read, ran.stderr
