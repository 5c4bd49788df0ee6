"""Answers and their receipts, kept as JSON lines: what a PEP can later hold against the PDP's log."""

import json
import os
from pathlib import Path

from countersign.pep.answer import Answer


def append(path: Path, answer: Answer) -> None:
    """Add one line `{"receipt": …, "answer": …}`, the answer as it was without the receipt. Raises OSError.

    The file is readable by its owner only: an answer carries the salt that hides its arguments in the log. One write
    of a whole line in append mode, so that several PEPs may share a file.
    """
    context = answer.raw["context"]
    if "receipt" not in context:
        return
    bare = {name: value for name, value in context.items() if name != "receipt"}
    entry = {"receipt": context["receipt"], "answer": {**answer.raw, "context": bare}}
    line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.write(file, line) != len(line):
            raise OSError(f"{path}: only part of a receipt could be written")
        os.fsync(file)
    finally:
        os.close(file)
