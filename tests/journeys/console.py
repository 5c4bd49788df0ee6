"""Management commands in one long-lived process, a JSON line each: the same commands, without a start for every one."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


class CommandFailed(Exception):
    """The command refused; its own words."""


class Console:
    """`manage.py` kept open. Started with the first command."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, *arguments: str) -> str:
        """What the command printed. Raises CommandFailed."""
        process = self._process or self._started()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the console ended at {arguments}"
        told = json.loads(line)
        if told["error"] is not None:
            raise CommandFailed(told["error"])
        return str(told["out"])

    def _started(self) -> "subprocess.Popen[str]":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.journeys.console"],
            cwd=ROOT, env=dict(self._environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self._process

    def close(self) -> None:
        if self._process:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.close()
            self._process.wait(timeout=20)
            self._process.stdout.close()
            self._process = None


def main() -> None:
    """The child: one command a line, until the pipe closes."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django  # noqa: PLC0415  the parent needs none of it
    from django.core.management import call_command  # noqa: PLC0415
    from django.core.management.base import CommandError  # noqa: PLC0415

    answers, sys.stdout = sys.stdout, sys.stderr  # a stray print must not be taken for an answer
    django.setup()
    for line in sys.stdin:
        out, error = io.StringIO(), None
        try:
            call_command(*json.loads(line), stdout=out, stderr=out)
        except (CommandError, SystemExit) as raised:
            error = f"{raised}\n{out.getvalue()}"
        answers.write(json.dumps({"out": out.getvalue(), "error": error}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
