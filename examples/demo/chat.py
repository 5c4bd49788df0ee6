"""The chat beside the house: a Slack look-alike in a process of its own, and an approver's clicks over its HTTP."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2

ROOT = Path(__file__).resolve().parent.parent.parent
APPROVE = "countersign.approve"
PATIENCE = 120.0  # seconds, for a machine that is busy with other things
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Begun:
    """A vote begun in the chat: where it is confirmed, and the number shown beside it."""

    link: str
    number: str


@dataclass(frozen=True, slots=True)
class Chat:
    """The running look-alike. `settings` are what the service must be told to find it."""

    url: str
    settings: Mapping[str, str]

    def address(self, username: str) -> str:
        """The page, as this person."""
        return f"{self.url}/?user={user_id(username)}"

    def begin_approval(self, username: str, request_id: str) -> Begun:
        """Wait for the card, press Approve on it, and read what only this person is then shown."""
        channel, ts = self._wait(f"the card of {request_id}", lambda: self._card(username, request_id))
        asked = {"user": user_id(username), "channel": channel, "ts": ts, "action_id": APPROVE}
        told = httpx2.post(f"{self.url}/_/press", json=asked, timeout=10).json()
        if not told.get("taken"):
            raise SystemExit(f"the click in the chat was not taken: {told}")
        return self._wait("where to confirm", lambda: self._begun(username, request_id))

    def await_outcome(self, username: str, request_id: str) -> None:
        """Until the card has no buttons any more."""
        self._wait("the outcome in the chat", lambda: not self._card(username, request_id))

    def _screen(self, username: str) -> dict[str, Any]:
        told = httpx2.get(f"{self.url}/_/screen", params={"user": user_id(username)}, timeout=10)
        return dict(told.raise_for_status().json())

    def _card(self, username: str, request_id: str) -> tuple[str, str] | None:
        for channel in self._screen(username)["channels"]:
            for message in channel["messages"]:
                for block in message.get("blocks", []):
                    for one in block.get("elements", []):
                        if one.get("action_id") == APPROVE and one.get("value") == request_id:
                            return channel["id"], message["ts"]
        return None

    def _begun(self, username: str, request_id: str) -> Begun | None:
        shown = json.dumps(self._screen(username))
        link = re.search(rf"http[^\s\"|>]+/requests/{request_id}/confirm/\?intent=\w+", shown)
        number = re.search(r"number is \*(\d\d)\*", shown)
        return Begun(link[0], number[1]) if link and number else None

    def _wait(self, what: str, look: Callable[[], Found | None]) -> Found:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.1)
        raise SystemExit(f"{what} did not appear on {self.url}")


def user_id(username: str) -> str:
    """As in examples/quickstart/blueprint.yaml, after the workspace's id."""
    return f"U0{username.upper()}"


@contextmanager
def chat(*, port: int, request_url: str, log: Path) -> Iterator[Chat]:
    """Serve the look-alike until the block ends. It listens on loopback only."""
    url = f"http://127.0.0.1:{port}"
    settings = {
        "COUNTERSIGN_SLACK_API_URL": f"{url}/api/",
        "COUNTERSIGN_SLACK_BOT_TOKEN": f"xoxb-lookalike-{secrets.token_hex(12)}",
        "COUNTERSIGN_SLACK_SIGNING_SECRET": secrets.token_hex(16),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.lookalikes.slack", "--port", str(port), "--request-url", request_url],
            cwd=ROOT, env={**os.environ, **settings}, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            _await(url, process, log)
            yield Chat(url, settings)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(f"{url}/", timeout=2).is_success:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"The Slack look-alike did not start on {url}. Its last words:\n{log.read_text()[-2000:]}")
