"""An approval's change in, a signed call to the webhook out: what the documented business rule does."""

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from dataclasses import dataclass, field

import httpx2

from examples.lookalikes.faults import Fault, Faults
from examples.lookalikes.servicenow.instance import APPROVALS, Person, Row

log = logging.getLogger(__name__)
_TELLING = {"approved", "rejected"}


@dataclass
class BusinessRule:
    """After an update of an approval whose state changed to a decision. `sent` keeps what went out, and the answers."""

    url: str
    secret: str
    faults: Faults
    sent: list[tuple[bytes, dict[str, str], int]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __call__(self, table: str, before: Row, after: Row, by: Person) -> None:
        if table != APPROVALS or after["state"] == before["state"] or after["state"] not in _TELLING:
            return
        told = {
            "sys_id": after["sys_id"], "sysapproval": after["sysapproval"], "state": after["state"],
            "mod_count": after["sys_mod_count"], "updated_by": by.user_name,
        }  # fmt: skip
        body = json.dumps(told).encode()
        thread = threading.Thread(target=self._send, args=(body,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def settle(self) -> None:
        """Wait until everything went out."""
        while self._threads:
            self._threads.pop().join(30)

    def headers(self, body: bytes, *, at: int | None = None) -> dict[str, str]:
        stamp = str(int(time.time()) if at is None else at)
        return {
            "Content-Type": "application/json",
            "X-Countersign-Timestamp": stamp,
            "X-Countersign-Signature": signature(self.secret, stamp, body),
        }

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        with httpx2.Client(timeout=10, trust_env=False) as client:
            status = client.post(self.url, content=body, headers=headers).status_code
        self.sent.append((body, headers, status))
        return status

    def _send(self, body: bytes) -> None:
        fault = self.faults.take("HOOK sysapproval_approver") or Fault()
        time.sleep(fault.delay)
        headers = self.headers(body)
        for _ in range(1 + fault.duplicate):
            try:
                self.post(body, headers)
            except httpx2.HTTPError as error:
                log.warning("the webhook did not answer: %s", type(error).__name__)


def signature(secret: str, stamp: str, body: bytes) -> str:
    """As docs/servicenow.md defines it: `v1=` and base64 of HMAC-SHA256 over `timestamp.body`."""
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1=" + base64.b64encode(mac).decode()
