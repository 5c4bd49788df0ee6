"""Socket Mode: the app's open websockets, and one envelope in, the app's acknowledgement out.

https://docs.slack.dev/apis/events-api/using-socket-mode/
"""

import asyncio
import json
import uuid

from starlette.websockets import WebSocket, WebSocketDisconnect

from examples.lookalikes.slack.workspace import Json, Workspace


class Sockets:
    """The connections of one app. An envelope goes to the newest; its acknowledgement may come on any."""

    def __init__(self) -> None:
        self._open: list[WebSocket] = []
        self._waiting: dict[str, asyncio.Future[str]] = {}

    @property
    def are_open(self) -> bool:
        return bool(self._open)

    async def serve(self, workspace: Workspace, socket: WebSocket) -> None:
        """One connection from hello to its end. A ticket opens one."""
        ticket = socket.query_params.get("ticket", "")
        if ticket not in workspace.tickets:
            await socket.close(4401)
            return
        workspace.tickets.discard(ticket)
        await socket.accept()
        await socket.send_json(self._hello(workspace))
        self._open.append(socket)
        try:
            while True:
                self._heard(await socket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            self._forget(socket)

    def _hello(self, workspace: Workspace) -> Json:
        return {
            "type": "hello", "num_connections": len(self._open) + 1,
            "connection_info": {"app_id": workspace.app_id},
            "debug_info": {"host": "look-alike", "build_number": 1, "approximate_connection_time": 18060},
        }  # fmt: skip

    def _heard(self, said: str) -> None:
        try:
            acknowledged = json.loads(said)
        except ValueError:
            return
        waiting = self._waiting.pop(str(acknowledged.get("envelope_id")), None)
        if waiting and not waiting.done():
            payload = acknowledged.get("payload")
            waiting.set_result(json.dumps(payload) if payload else "")

    async def tell(self, payload: Json, *, within: float, retry: int = 0, reason: str = "") -> str | None:
        """The acknowledgement's payload as a response body would carry it; None when none came in time."""
        is_event = payload.get("type") == "event_callback"
        envelope = {
            "envelope_id": str(uuid.uuid4()),
            "type": "events_api" if is_event else "slash_commands" if "command" in payload else "interactive",
            "payload": payload,
            "accepts_response_payload": not is_event,
            **({"retry_attempt": retry, "retry_reason": reason} if is_event else {}),
        }
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[str(envelope["envelope_id"])] = waiting
        socket = self._open[-1]
        try:
            async with asyncio.timeout(within):
                await socket.send_json(envelope)
                return await waiting
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            return None
        finally:
            self._waiting.pop(str(envelope["envelope_id"]), None)

    def _forget(self, socket: WebSocket) -> None:
        if socket in self._open:
            self._open.remove(socket)

    async def refresh(self) -> None:
        """Ask the app to connect anew, as Slack does every few hours."""
        for socket in list(self._open):
            self._forget(socket)
            await socket.send_json({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})
            await socket.close()
