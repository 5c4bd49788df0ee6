"""Uvicorn's HTTP with a short cut: a whole evaluation request is answered without a task, all else goes its usual way.

Between a request's last byte and the group commit the general way makes a scope, a task and a dozen awaits, which cost
as much as judging the call. `--http config.protocol:Protocol` leaves them out for the one path that is asked most.
"""

import asyncio
from functools import lru_cache, partial
from typing import cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from config import asgi  # noqa: F401  sets Django up, which the rooms' models need
from enforcement import api, decide, direct, discovery, http
from enforcement.group import Stale
from enforcement.http import Headers, Request, Response

_URL = discovery.EVALUATION.encode()


class _Asked:
    """One evaluation under way, where uvicorn keeps a request's cycle: it asks it these things and no others."""

    __slots__ = ("body", "disconnected", "headers", "keep_alive", "message_event", "response_complete")

    def __init__(self, headers: dict[bytes, bytes]) -> None:
        self.headers = headers
        self.body = b""
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False
        self.message_event = self

    def set(self) -> None:
        """Nobody waits for more of this request: it is whole."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    _reading: _Asked | None = None  # whose body is not whole yet
    _quiet_since: float | None = None  # when the last answer was sent; None while something is under way

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        """The scope is made later, if anybody needs one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        if self._is_plain():
            self._reading = _Asked(dict(self.headers))
        else:
            self._generally()

    def on_body(self, body: bytes) -> None:
        if self._reading is None:
            super().on_body(body)
        else:
            self._reading.body += body

    def on_message_complete(self) -> None:
        asked, self._reading = self._reading, None
        if asked is None:
            super().on_message_complete()
        elif len(asked.body) <= decide.AT_ONCE:
            self._ask(asked)
        else:  # how large a body may be at all is asked in the general way
            self._generally(asked.body)
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """A body that does not come at once is waited for in the general way, which knows for how long."""
        super().data_received(data)
        asked, self._reading = self._reading, None
        if asked is not None and not self.transport.is_closing():
            self._generally(asked.body)

    def _is_plain(self) -> bool:
        """Whether this may be answered the short way: nothing else under way here, nothing about it unusual."""
        return (
            self.url == _URL
            and self._is_free()
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and not self.access_log
            and self.limit_concurrency is None
            and not self.root_path
        )

    def _is_free(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _generally(self, body: bytes = b"") -> None:
        """As uvicorn does it, with what has been read of the body."""
        url, headers, expecting = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expecting
        self.headers.extend(headers)
        super().on_headers_complete()
        if body:
            super().on_body(body)

    # --- how long a connection may be silent

    def _unset_keepalive_if_required(self) -> None:
        """Let the timer run: one made and cancelled for each request costs more than to look what it is about."""
        self._quiet_since = None

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._quiet_since is None:
            return  # the answer under way starts it again
        left = self._quiet_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        if self.pipeline or self.flow.read_paused or self.transport.is_closing():
            self._end_timer()
            super().on_response_complete()
            self._quiet_since = None if self.timeout_keep_alive_task is None else self.loop.time()
            return
        self.server_state.total_requests += 1
        self._quiet_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_timer()
        super().connection_lost(exc)

    def _end_timer(self) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    # --- the short way

    def _ask(self, asked: _Asked) -> None:
        self.cycle = cast("RequestResponseCycle", asked)
        try:
            answer = direct.ask(asked.headers, asked.body)
        except Exception as error:  # noqa: BLE001 - told as everywhere
            self._send(asked, api.failed(error))
            return
        if answer is None and b"authorization" not in asked.headers:
            self.cycle = None  # type: ignore[assignment]  # nothing was begun; who the other end is, the general way tells
            self._generally(asked.body)
            super().on_message_complete()
        elif answer is None:
            self._ask_at_length(asked)
        else:
            answer.add_done_callback(partial(self._answered, asked))

    def _answered(self, asked: _Asked, answer: "asyncio.Future[bytes]") -> None:
        if answer.cancelled():
            self.transport.close()
            return
        error = answer.exception()
        if error is None:
            self._send(asked, http.json_bytes(answer.result()))
        elif isinstance(error, Stale):
            self._ask_at_length(asked)
        else:
            self._send(asked, api.failed(error))

    def _ask_at_length(self, asked: _Asked) -> None:
        task = self.loop.create_task(self._at_length(asked))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _at_length(self, asked: _Asked) -> None:
        headers = {str(name, "latin-1"): str(value, "latin-1") for name, value in asked.headers.items()}
        self._send(asked, await api.answer(Request("POST", discovery.EVALUATION, "", headers, asked.body)))

    def _send(self, asked: _Asked, response: Response) -> None:
        if asked.disconnected:
            return
        named = response.request_id or api.named(str(asked.headers.get(b"x-request-id", b""), "latin-1"))
        self.transport.write(
            b"%b%bcontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
            % (
                _head(response.status, response.headers),
                b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers]),
                len(response.body),
                named.encode("latin-1"),
                b"" if asked.keep_alive else b"connection: close\r\n",
                response.body,
            )
        )
        asked.response_complete = True
        if not asked.keep_alive:
            self.transport.close()
        self.on_response_complete()


@lru_cache(maxsize=64)  # most are constants of ours
def _head(status: int, headers: Headers) -> bytes:
    written = [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers]
    return STATUS_LINE[status] + b"".join(written)
