"""Checkpoints kept outside the database: what shows that a database was restored, shortened or rewritten."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from countersign.proof import checkpoint, note
from countersign.proof.checkpoint import Checkpoint

_LATEST = "latest"
_KEPT = ".kept"  # when a checkpoint was last kept for good
_KEEP_EVERY = timedelta(minutes=1)  # one file a second would be a hundred thousand a day


class Contradiction(RuntimeError):
    """What lies in the sink and what is to be written cannot both be of one log: a fork, or a changed file."""


class NoSuchLog(ValueError):
    """A log whose name is no file name."""


def directory(log: str) -> Path:
    """Where the checkpoints of one log lie. Raises NoSuchLog."""
    if not log or log.startswith(".") or "/" in log or "\0" in log:
        raise NoSuchLog(repr(log))
    base: Path = settings.COUNTERSIGN.checkpoints_dir
    return base / log


def latest(log: str) -> str | None:
    """The signed note of the newest checkpoint, not verified, or None if there is none yet."""
    try:
        return (directory(log) / _LATEST).read_text()
    except FileNotFoundError:
        return None


def kept(log: str, *, newest: int) -> list[str]:
    """The newest signed notes that were kept for good, and the latest; not verified."""
    try:
        sizes = sorted(int(path.name) for path in directory(log).iterdir() if path.name.isdecimal())
    except FileNotFoundError:
        return []
    notes = [(directory(log) / str(size)).read_text() for size in sizes[-newest:]]
    return [*notes, last] if (last := latest(log)) is not None else notes


def write(log: str, signed: str, *, made_at: datetime) -> None:
    """Make `signed` the latest, and about once a minute keep it for good under its size; never go back to a smaller.

    Raises Contradiction if what is there is no checkpoint, or of the same size with another root; OSError if it cannot
    be made durable.
    """
    head = _head(log, signed)
    folder = directory(log)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    with _one_writer(folder):
        known = latest(log)
        if known is not None and not _grows(_head(log, known), head):
            return
        if _due(folder / _KEPT, made_at):
            _replace(folder / str(head.size), signed)
            _replace(folder / _KEPT, made_at.isoformat())
        _replace(folder / _LATEST, signed)


def _grows(known: Checkpoint, head: Checkpoint) -> bool:
    if known.size == head.size and known.root != head.root:
        raise Contradiction(f"log {head.origin}: two trees of {head.size} records were signed")
    return known.size < head.size


def _head(log: str, signed: str) -> Checkpoint:
    try:
        text, _ = note.split(signed)
        return checkpoint.parse(text)
    except ValueError as error:
        raise Contradiction(f"log {log}: the latest checkpoint outside of the database is none: {error}") from error


def _due(kept: Path, made_at: datetime) -> bool:
    """Whether the last checkpoint that was kept under its size is a minute old."""
    try:
        return made_at - datetime.fromisoformat(kept.read_text()) >= _KEEP_EVERY
    except (FileNotFoundError, ValueError):
        return True


def _replace(path: Path, text: str) -> None:
    """The whole new file or the whole old one, also after a power cut."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
