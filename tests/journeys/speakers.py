"""Those who speak to the service: a PEP in AuthZEN and ARAP, a person through the people's API or on our pages."""

import html
import re
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import pyotp

EVALUATION = "/access/v1/evaluation"
EVALUATIONS = "/access/v1/evaluations"
REQUESTS = "/access/v1/requests"
OUTCOMES = "/access/v1/outcomes"
STEP = 30
NO_KEEPING = httpx2.Limits(max_keepalive_connections=0)  # a story ends without open connections


def refund(amount: str = "10.00", **context: Any) -> dict[str, Any]:
    """support-bot wants to refund: below 100 the quickstart's policy allows it, from 100 on it waits for finance."""
    members = {"arguments": {"order": "A-1001", "amount": amount}, "intent": "customer-refund", **context}
    return {
        "subject": {"type": "agent", "id": "support-bot"},
        "action": {"name": "create"},
        "resource": {"type": "tool", "id": "payments.refund"},
        "context": members,
    }


def lookup(**context: Any) -> dict[str, Any]:
    """support-bot looks a customer up: allowed."""
    return {
        "subject": {"type": "agent", "id": "support-bot"},
        "action": {"name": "get"},
        "resource": {"type": "tool", "id": "crm.lookup"},
        "context": {"arguments": {"customer": "C-7"}, "intent": "lookup", **context},
    }


class Pep:
    """An enforcement point with its key."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        headers = {"authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=40, verify=False, limits=NO_KEEPING)

    def post(self, path: str, body: Mapping[str, Any], *, key: str = "") -> httpx2.Response:
        headers = {"idempotency-key": key} if key else {}
        return self.http.post(path, json=dict(body), headers=headers)

    def decision(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The whole answer to an evaluation that must be decided, whatever the decision."""
        answer = self.post(EVALUATION, body)
        assert answer.status_code == 200, answer.text
        decided: dict[str, Any] = answer.json()
        return decided

    def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The context of the answer."""
        context: dict[str, Any] = self.decision(body)["context"]
        return context

    def submit(self, body: Mapping[str, Any], evaluation_id: str, *, key: str = "", why: str = "") -> httpx2.Response:
        """Ask people about that escalation."""
        context = {"business_justification": why} if why else {}
        return self.post(REQUESTS, {**body, "context": context, "denial": {"evaluation_id": evaluation_id}}, key=key)

    def task(self, request_id: str, *, wait: float = 0) -> dict[str, Any]:
        answer = self.http.get(f"{REQUESTS}/{request_id}", params={"wait": wait} if wait else {})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def cancel(self, request_id: str, reason: str = "", *, method: str = "POST", key: str = "") -> httpx2.Response:
        headers = {"idempotency-key": key} if key else {}
        body = {"reason": reason} if reason else {}
        return self.http.request(method, f"{REQUESTS}/{request_id}/cancel", json=body, headers=headers)

    def report(self, evaluation_id: str, status: str, *, key: str = "", **members: Any) -> httpx2.Response:
        return self.post(OUTCOMES, {"evaluation_id": evaluation_id, "status": status, **members}, key=key)

    def pending(self, amount: str = "250.00", **context: Any) -> str:
        """The id of the request that a refund now waits for."""
        access = self.ask(refund(amount, open_request=True, **context))["access_request"]
        return str(access["task"]["id"])


class Person:
    """A person's program: reads with a personal key, confirms with the authenticator, votes."""

    def __init__(self, url: str, key: str, secret: str = "") -> None:
        headers = {"authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=20, verify=False, limits=NO_KEEPING)
        self._totp = pyotp.TOTP(secret) if secret else None
        self._last = 0

    def get(self, path: str) -> httpx2.Response:
        return self.http.get(path)

    def read(self, request_id: str) -> dict[str, Any]:
        answer = self.get(f"/api/v1/requests/{request_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def post(self, path: str, body: Mapping[str, Any], *, key: str = "") -> httpx2.Response:
        return self.http.post(path, json=dict(body), headers={"idempotency-key": key} if key else {})

    def code(self) -> str:
        """A code not used before: of the last step, this one or the next, which all count; else wait for one."""
        assert self._totp
        self._last = max(int(time.time()) // STEP - 1, self._last + 1)
        while self._last > int(time.time()) // STEP + 1:
            time.sleep(0.5)
        return self._totp.generate_otp(self._last)

    def step_up(self, request_id: str, decision: str, *, seen: str) -> httpx2.Response:
        body = {"method": "totp", "code": self.code(), "decision": decision, "seen": seen}
        return self.http.post(f"/api/v1/requests/{request_id}/step-up", json=body)

    def cast(
        self, request_id: str, decision: str, *, seen: str, step_up: str | None = None, reason: str = ""
    ) -> httpx2.Response:
        body = {"decision": decision, "reason": reason, "seen": seen, "step_up": step_up}
        return self.http.post(f"/api/v1/requests/{request_id}/votes", json=body)

    def vote(self, request_id: str, decision: str = "approve", *, reason: str = "") -> httpx2.Response:
        """Read, confirm, vote: what a careful person's program does."""
        seen = self.read(request_id)["display"]["hash"]
        passed = self.step_up(request_id, decision, seen=seen)
        assert passed.status_code == 201, passed.text
        return self.cast(request_id, decision, seen=seen, step_up=passed.json()["step_up"], reason=reason)


class Browser:
    """A person at our pages: keeps cookies, follows redirects, sends a form with what the page had put into it."""

    def __init__(self, url: str, sign_in: str) -> None:
        """`sign_in` is the path of a one-time link, which is used up."""
        self.http = httpx2.Client(base_url=url, timeout=20, follow_redirects=True, limits=NO_KEEPING)
        self.send(sign_in, self.read(sign_in))

    def read(self, path: str) -> str:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, path: str, page: str, **typed: str) -> str:
        """Press the button of the form on `page` that leads to `path`."""
        answer = self.press(path, page, **typed)
        assert answer.status_code == 200, answer.text
        return answer.text

    def press(self, path: str, page: str, **typed: str) -> httpx2.Response:
        """The same, whatever comes of it."""
        tags = re.findall(r'<input[^>]*type="hidden"[^>]*>', page)
        hidden = {_attribute(tag, "name"): _attribute(tag, "value") for tag in tags}
        return self.http.post(path, data={**hidden, **typed})

    def approve(self, request_id: str, code: str) -> str:
        """Read a request and approve it, with a fresh code."""
        path = f"/requests/{request_id}/"
        return self.send(f"{path}vote/", self.read(path), decision="approve", reason="", code=code)


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', tag)
    return html.unescape(found[1]) if found else ""
