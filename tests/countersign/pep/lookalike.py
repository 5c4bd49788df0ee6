"""The far side of a PEP: a small HTTP server that speaks the decision API, with scripted faults. Keeps its own state.

It computes digests with the reference library, not with ours, so that both sides agree only if both are right.
"""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import parse_qs, urlsplit

import rfc8785

KEY = "csk_agent_k1_s3cret"
FINAL = {"committed", "failed", "indeterminate"}


def digest_of(arguments: Any) -> str:
    return "sha256:" + hashlib.sha256(b"countersign/arguments/v1\n" + rfc8785.dumps(arguments)).hexdigest()


SALT = "c2FsdC1zYWx0LXNhbHQtc2FsdC1zYWx0LXNhbHQtczE="


@dataclass
class Fault:
    """What goes wrong with the next exchanges on a path, counted down."""

    path: str
    times: int = 1
    before: bool = False  # close the connection without having done anything
    after: bool = False  # do it, then close the connection instead of answering
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    drip: float = 0.0  # seconds between single bytes of the answer
    change: Callable[[dict[str, Any]], Any] | None = None
    done: bool = False  # with `status`: whether the request has had its effect


@dataclass
class Request:
    id: str
    action: str
    status: str = "pending"
    approval: str | None = None
    used: bool = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # the default of 5 drops connections that come at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of what is tested."""


class FarPdp:
    """Rules by tool id: allow, deny or escalate; anything else is denied."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        self.mode = "enforce"
        self.obligations: list[dict[str, Any]] = []
        self.holds_polls = True
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, dict[str, Any], dict[str, str]]] = []
        self.attempts: dict[str, tuple[str, dict[str, Any]]] = {}
        self.requests: dict[str, Request] = {}
        self.executions: dict[str, list[str]] = {}
        self.reports: list[dict[str, Any]] = []
        self.claims: dict[str, str] = {}
        self.changed = threading.Condition()
        self.approve_after: float | None = None
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # --- what tests look at

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for _, where, body, _ in self.seen if where == path]

    def questions(self) -> list[dict[str, Any]]:
        return self.bodies("/access/v1/evaluation")

    def custody(self) -> list[list[str]]:
        return list(self.executions.values())

    def decide(self, status: str, request_id: str | None = None) -> None:
        """What an approver does on the other side."""
        with self.changed:
            for request in self.requests.values():
                if request.status == "pending" and request_id in (None, request.id):
                    request.status = status
                    request.approval = "apr_" + secrets.token_hex(8) if status == "approved" else None
            self.changed.notify_all()

    def decide_soon(self, status: str, seconds: float = 0.3) -> None:
        """Once a request is there, decide it a moment later."""

        def later() -> None:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not any(r.status == "pending" for r in list(self.requests.values())):
                time.sleep(0.01)
            time.sleep(seconds)
            self.decide(status)

        threading.Thread(target=later, daemon=True).start()

    def until_settled(self) -> None:
        """Waits until every execution has ended."""
        with self.changed:
            self.changed.wait_for(lambda: all(states[-1] in FINAL for states in self.executions.values()), timeout=20)

    # --- the API

    def evaluate(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        context = body["context"]
        action = json.dumps(
            [body["subject"], body["action"], body["resource"], context["arguments"], context.get("transaction")],
            sort_keys=True,
        )
        with self.changed:
            if context["attempt"] in self.attempts:
                known, answer = self.attempts[context["attempt"]]
                return (200, answer) if known == action else (409, {"title": "attempt was used for another call"})
            answer = self._judge(body, context, action)
            self.attempts[context["attempt"]] = (action, answer)
            return 200, answer

    def evaluations(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        last = {"deny_on_first_deny": False, "permit_on_first_permit": True}.get(
            body["options"]["evaluations_semantic"]
        )
        answers = []
        for item in body["evaluations"]:
            status, answer = self.evaluate(item)
            error = {"status": status, "type": "urn:countersign:problem:x", "message": str(answer.get("title"))}
            answers.append(answer if status == 200 else {"decision": False, "context": {"error": error}})
            if answers[-1]["decision"] is last:
                break
        return 200, {"evaluations": answers}

    def _judge(self, body: dict[str, Any], context: dict[str, Any], action: str) -> dict[str, Any]:
        outcome = self.rules.get(body["resource"]["id"], "deny")
        reason = {"allow": "rule", "deny": "no_rule", "escalate": "approval_required"}[outcome]
        extra: dict[str, Any] = {}
        if outcome == "escalate" and "approval" in context:
            outcome, reason = self._use(context["approval"], action)
        elif outcome == "escalate":
            reason, extra = self._escalate(context, action)
        evaluation = "eva_" + secrets.token_hex(8)
        answer = {
            "evaluation_id": evaluation,
            "evaluated_at": "2026-11-20T10:00:00.123Z",
            "outcome": outcome,
            "mode": self.mode,
            "reason": reason,
            "reasons": [{"code": reason, "message": f"Because of {reason}."}],
            "arguments_digest": digest_of(context["arguments"]),
            "action_digest": digest_of({"action": action}),
            "commitment_salt": SALT,
            "obligations": self.obligations,
            "receipt": {"leaf": "sha256:00", "signature": "c2ln"},
            **extra,
        }
        decision = outcome == "allow" or self.mode == "observe"
        if decision:
            self.executions[evaluation] = ["reserved"]
        return {"decision": decision, "context": answer}

    def _use(self, approval: dict[str, Any], action: str) -> tuple[str, str]:
        for request in self.requests.values():
            if request.approval == approval.get("id") and request.action == action:
                if request.used:
                    return "deny", "approval_used"
                request.used = True
                return "allow", "rule"
        return "deny", "approval_unverifiable"

    def _escalate(self, context: dict[str, Any], action: str) -> tuple[str, dict[str, Any]]:
        access: dict[str, Any] = {"endpoint": "http://evil.test/requests", "expires_at": "2027-01-01T00:00:00Z"}
        live = [r for r in self.requests.values() if r.action == action and (r.status == "pending" or self._usable(r))]
        if not live and context.get("open_request"):
            live = [self._open(action)]
        if live:
            access |= self.told(live[0])
        return ("approval_available" if live and live[0].status == "approved" else "approval_required"), {
            "access_request": access
        }

    @staticmethod
    def _usable(request: Request) -> bool:
        return request.status == "approved" and not request.used

    def _open(self, action: str) -> Request:
        request = Request(id="arq_" + secrets.token_hex(8), action=action)
        self.requests[request.id] = request
        return request

    @staticmethod
    def told(request: Request) -> dict[str, Any]:
        task = {"id": request.id, "status": request.status, "status_endpoint": "http://evil.test/" + request.id}
        if request.status != "approved":
            return {"task": task}
        approval = {"id": request.approval, "approved_until": "2027-01-01T00:00:00Z", "state": {"kept": [1, "ü"]}}
        return {"task": task, "result": {"mode": "reevaluate", "approval": approval}}

    def submit(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        with self.changed:
            known = self.claims.get("submit:" + headers["idempotency-key"])
            request = self.requests[known] if known else self._open(self._action_of(body))
            self.claims["submit:" + headers["idempotency-key"]] = request.id
            return 201, self.told(request)

    def _action_of(self, body: dict[str, Any]) -> str:
        """The action of the evaluation that the submission names."""
        for action, answer in self.attempts.values():
            if answer["context"]["evaluation_id"] == body["denial"]["evaluation_id"]:
                return action
        raise KeyError(body["denial"])

    def look(self, identifier: str, wait: float) -> tuple[int, dict[str, Any]]:
        with self.changed:
            request = self.requests.get(identifier)
            if request is None:
                return 404, {"type": "urn:openid:authzen:access-request:error:unknown_task", "title": "Unknown task"}
            if self.holds_polls:
                self.changed.wait_for(lambda: request.status != "pending", timeout=wait)
            return 200, self.told(request)

    def cancel(self, identifier: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        with self.changed:
            request = self.requests[identifier]
            if self.claims.get("cancel:" + headers["idempotency-key"]) == identifier:
                return 200, self.told(request)
            if request.status != "pending":
                return 409, {"type": "urn:openid:authzen:access-request:error:invalid_task_state", "title": "Closed"}
            request.status = "cancelled"
            self.claims["cancel:" + headers["idempotency-key"]] = identifier
            self.changed.notify_all()
            return 200, self.told(request)

    def outcome(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        with self.changed:
            states = self.executions.get(body["evaluation_id"])
            if states is None:
                return 404, {"title": "Unknown evaluation"}
            key = headers["idempotency-key"]
            if key in self.claims:
                return 200, {"status": states[-1]}
            if not self._next(states[-1], body["status"]):
                return 409, {"title": "Conflict", "detail": f"it is {states[-1]}"}
            self.claims[key] = body["evaluation_id"]
            states.append(body["status"])
            self.reports.append(body)
            self.changed.notify_all()
            return 200, {"status": body["status"]}

    @staticmethod
    def _next(now: str, then: str) -> bool:
        return (now, then) in {("reserved", "executing"), ("reserved", "failed")} or (
            now == "executing" and then in FINAL
        )

    # --- HTTP

    def route(self, method: str, target: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        parts = urlsplit(target)
        if headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"title": "Unauthorized", "detail": "no such key"}
        identifier = parts.path.removeprefix("/access/v1/requests/").removesuffix("/cancel")
        wait = float(parse_qs(parts.query).get("wait", ["0"])[0])
        doors = {
            ("POST", "/access/v1/evaluation"): lambda: self.evaluate(body),
            ("POST", "/access/v1/evaluations"): lambda: self.evaluations(body),
            ("POST", "/access/v1/outcomes"): lambda: self.outcome(body, headers),
            ("POST", "/access/v1/requests"): lambda: self.submit(body, headers),
            ("POST", f"/access/v1/requests/{identifier}/cancel"): lambda: self.cancel(identifier, headers),
            ("GET", f"/access/v1/requests/{identifier}"): lambda: self.look(identifier, wait),
        }
        return doors.get((method, parts.path), lambda: (404, {"title": "Not found"}))()

    def fault(self, path: str) -> Fault:
        with self.changed:
            for fault in self.faults:
                if path.startswith(fault.path) and fault.times:
                    fault.times -= 1
                    return fault
        return Fault(path=path)

    def _handler(far) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body are two writes; waiting between them costs 40 ms

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._answer("GET", {})

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("content-length") or 0))
                self._answer("POST", json.loads(data or b"{}"))

            def _answer(self, method: str, body: dict[str, Any]) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                path = urlsplit(self.path).path
                far.seen.append((method, path, body, headers))
                fault = far.fault(path)
                try:
                    self._with(fault, method, body, headers)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _with(self, fault: Fault, method: str, body: dict[str, Any], headers: dict[str, str]) -> None:
                if fault.before:
                    return self._hang_up()
                undone = fault.status is not None and not fault.done
                status, answer = (fault.status, {}) if undone else far.route(method, self.path, body, headers)
                if fault.after:
                    return self._hang_up()
                time.sleep(fault.delay)
                if fault.change is not None:
                    answer = fault.change(json.loads(json.dumps(answer)))
                data = json.dumps(answer).encode() if fault.body is None else fault.body
                return self._write(fault.status or status or 500, fault.headers, data, fault.drip)

            def _write(self, status: int, headers: dict[str, str], data: bytes, drip: float) -> None:
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                for byte in data if drip else ():
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(drip)
                if not drip:
                    self.wfile.write(data)

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(SHUT_RDWR)

        return Handler
