"""A payload in, the app's answer out: signed and posted to the request URL, or through an open socket.

https://docs.slack.dev/authentication/verifying-requests-from-slack/ and https://docs.slack.dev/apis/events-api/#retries
"""

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass

import httpx2

from examples.lookalikes.faults import Fault
from examples.lookalikes.slack import payloads
from examples.lookalikes.slack.socket import Sockets
from examples.lookalikes.slack.workspace import Delivered, Json, Workspace


@dataclass(frozen=True)
class Answer:
    """What came back from one attempt. `status` None: nothing in time; `reason` as in `X-Slack-Retry-Reason`."""

    status: int | None
    body: str = ""
    reason: str = ""

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004


def signed(secret: str, body: bytes, *, at: float | None = None) -> dict[str, str]:
    """The two headers by which an app knows that Slack speaks."""
    timestamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256)
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={mac.hexdigest()}"}


async def deliver(workspace: Workspace, sockets: Sockets, payload: Json) -> Delivered:
    """Tell the app. Events are tried again as Slack does; an interaction is told once, and a person sees it fail."""
    kind, began = payloads.kind_of(payload), time.monotonic()
    fault = workspace.faults.take(f"deliver.{kind}") or Fault()
    is_event = payload.get("type") == "event_callback"
    answer, attempts = await _attempt(workspace, sockets, payload, fault=fault), 1
    for wait in workspace.retry_after if is_event else ():
        if answer.is_taken:
            break
        await asyncio.sleep(wait)
        answer = await _attempt(workspace, sockets, payload, retry=attempts, reason=answer.reason)
        attempts += 1
    for _ in range(fault.duplicate):
        await _attempt(workspace, sockets, payload, retry=attempts, reason="http_timeout")
        attempts += 1
    told = Delivered(kind, payload, answer.status, answer.body, attempts, time.monotonic() - began)
    workspace.delivered.append(told)
    return told


async def _attempt(
    workspace: Workspace,
    sockets: Sockets,
    payload: Json,
    *,
    fault: Fault | None = None,
    retry: int = 0,
    reason: str = "",
) -> Answer:
    if fault and fault.delay:
        await asyncio.sleep(fault.delay)
    if fault and fault.drop == "before":
        return Answer(None, reason="connection_failed")
    if sockets.are_open:
        said = await sockets.tell(payload, within=workspace.answer_within, retry=retry, reason=reason)
        return Answer(None, reason="timeout") if said is None else Answer(200, said)
    body, content_type = payloads.body_of(payload)
    headers = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0 (look-alike)"}
    headers |= signed(workspace.signing_secret, body)
    if retry:
        headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": reason}
    return await _posted(workspace, body, headers)


async def _posted(workspace: Workspace, body: bytes, headers: dict[str, str]) -> Answer:
    if not workspace.request_url:
        return Answer(None, reason="connection_failed")
    try:
        # Loopback speaks no TLS, and loading the world's certificates would take longer than the call.
        async with httpx2.AsyncClient(timeout=workspace.answer_within, trust_env=False, verify=False) as client:
            async with asyncio.timeout(workspace.answer_within):
                told = await client.post(workspace.request_url, content=body, headers=headers)
    except (httpx2.TimeoutException, TimeoutError):
        return Answer(None, reason="http_timeout")
    except httpx2.HTTPError:
        return Answer(None, reason="connection_failed")
    return Answer(told.status_code, told.text, reason="" if told.is_success else "http_error")
