"""A call between its two hook events: the evaluation it runs under, kept in a file, taken out once."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the second event needs to know of the first."""

    evaluation_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Notes:
    """One file per running call, readable by its owner only."""

    directory: Path

    def put(self, session: str, call: str, note: Note) -> None:
        """Raises OSError, also where the same call is already noted."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry = {"evaluation_id": note.evaluation_id, "started_at": note.started_at.isoformat()}
        file = os.open(self._path(session, call), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            json.dump(entry, stream)

    def take(self, session: str, call: str) -> Note | None:
        """The note of a call, removed; None if there is none, or none that can be read."""
        path = self._path(session, call)
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            path.unlink()
            started_at = datetime.fromisoformat(entry["started_at"])
            return Note(evaluation_id=str(entry["evaluation_id"]), started_at=started_at)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _path(self, session: str, call: str) -> Path:
        """Ids come from outside, so they name a file only as a digest."""
        return self.directory / (sha256(json.dumps([session, call]).encode()).hexdigest() + ".json")
