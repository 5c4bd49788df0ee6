"""Where a PEP on the command line finds the PDP's address and its own key: environment or file, never an argument."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

URL = "COUNTERSIGN_URL"
KEY = "COUNTERSIGN_KEY"
KEY_FILE = "COUNTERSIGN_KEY_FILE"
AGENT = "COUNTERSIGN_AGENT"
WAIT = "COUNTERSIGN_WAIT"
RECEIPTS = "COUNTERSIGN_RECEIPTS"
STATE_DIR = "COUNTERSIGN_STATE_DIR"
NOTIFY = "COUNTERSIGN_NOTIFY"
OURS = "COUNTERSIGN_"


class NotConfigured(Exception):
    """Something needed to reach the PDP is missing; the message says what and where to put it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who asks whom. The key is kept out of the text form."""

    url: str
    key: str
    agent: str

    def __repr__(self) -> str:
        return f"Access(url={self.url!r}, agent={self.agent!r})"


def find(*, url: str | None = None, key_file: Path | None = None, agent: str | None = None) -> Access:
    """Options first, then the environment. Raises NotConfigured with everything that is missing at once."""
    found = {
        f"--url or {URL}": url or os.environ.get(URL),
        f"{KEY}, {KEY_FILE} or --key-file": _key(key_file),
        f"--agent or {AGENT}": agent or os.environ.get(AGENT),
    }
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise NotConfigured("missing: " + "; ".join(missing))
    address, key, who = (value or "" for value in found.values())
    return Access(url=address, key=key, agent=who)


def wait() -> float:
    """Seconds to wait for people; none if nothing is set. Raises NotConfigured."""
    text = os.environ.get(WAIT, "0")
    if not (text.isascii() and text.isdigit()):
        raise NotConfigured(f"{WAIT} is no number of seconds: {text!r}")
    return float(text)


def receipts() -> Path | None:
    """Where to keep receipts, if anywhere."""
    return _path(RECEIPTS)


def state_dir() -> Path | None:
    """Where the hook remembers a call between its two events, if it shall report at all."""
    return _path(STATE_DIR)


def notify() -> str | None:
    """The command that sends what a `notification` obliges to, if there is one."""
    return os.environ.get(NOTIFY)


def _path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


def _key(key_file: Path | None) -> str | None:
    path = key_file or os.environ.get(KEY_FILE)
    if path is None:
        return os.environ.get(KEY)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"the key file {path} cannot be read: {error}") from error


def environment_without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """What a guarded program may inherit: everything but our own settings, the key first of all."""
    return {name: value for name, value in environment.items() if not name.upper().startswith(OURS)}
