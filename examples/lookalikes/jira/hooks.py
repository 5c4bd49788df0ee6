"""Events in, signed deliveries out: retried as Jira retries them, with one identifier for each event."""

import hashlib
import hmac
import json
import queue
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from examples.lookalikes.jira.site import Site

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass
class Hook:
    """One webhook an administrator registered. Without a secret its deliveries are not signed."""

    url: str
    secret: str
    events: Sequence[str] = ("jira:issue_updated", "comment_created", "comment_updated")


@dataclass
class Delivered:
    """One event told to one hook, with the answers it got. Status 0: none."""

    hook: Hook
    event: str
    identifier: str
    body: bytes
    statuses: list[int] = field(default_factory=list)


class Hooks:
    """All hooks of a site, and one thread that tells them. `wait` returns when nothing is left to tell."""

    def __init__(self, site: Site, *, retry_after: Sequence[float] = (0.05, 0.2, 0.5)) -> None:
        self.site, self.retry_after = site, retry_after
        self.hooks: list[Hook] = []
        self.delivered: list[Delivered] = []
        self._queue: queue.Queue[Delivered | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="jira-hooks", daemon=True)
        site.emit = self.emit

    def add(self, url: str, secret: str, **more: Any) -> Hook:
        self.hooks.append(Hook(url, secret, **more))
        return self.hooks[-1]

    def emit(self, event: str, payload: Mapping[str, Any]) -> None:
        for hook in self.hooks:
            if event in hook.events:
                body = json.dumps({"webhookEvent": event, **payload}).encode()
                delivery = Delivered(hook, event, secrets.token_hex(16), body)
                self.delivered.append(delivery)
                self._queue.put(delivery)

    def redeliver(self, delivery: Delivered, *, identifier: str = "") -> int:
        """The same bytes once more, as half an hour later; with another identifier, as somebody else might."""
        again = Delivered(delivery.hook, delivery.event, identifier or delivery.identifier, delivery.body)
        return self._send(again, retry=1)

    def wait(self) -> None:
        self._queue.join()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (delivery := self._queue.get()) is not None:
            try:
                self._deliver(delivery)
            finally:
                self._queue.task_done()

    def _deliver(self, delivery: Delivered) -> None:
        fault = self.site.faults.take(f"deliver.{delivery.event}")
        if fault and fault.delay:
            time.sleep(fault.delay)
        for _ in range(fault.duplicate if fault else 0):
            self._send(delivery, retry=0)
        for retry, pause in enumerate((0.0, *self.retry_after)):
            time.sleep(pause)
            if self._send(delivery, retry=retry) not in {0, *_AGAIN}:
                return

    def _send(self, delivery: Delivered, *, retry: int) -> int:
        headers = {
            "Content-Type": "application/json", "User-Agent": "Atlassian HttpClient look-alike",
            "X-Atlassian-Webhook-Identifier": delivery.identifier, "X-Atlassian-Webhook-Flow": "Primary",
        }  # fmt: skip
        if delivery.hook.secret:
            headers["X-Hub-Signature"] = signature(delivery.hook.secret, delivery.body)
        if retry:
            headers["X-Atlassian-Webhook-Retry"] = str(retry)
        try:
            status = httpx2.post(delivery.hook.url, content=delivery.body, headers=headers, timeout=10).status_code
        except httpx2.HTTPError:
            status = 0
        delivery.statuses.append(status)
        return status


def signature(secret: str, body: bytes) -> str:
    """WebSub's way, as Jira uses it: the method, and the hexadecimal HMAC of the raw bytes."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
