"""An MCP server in front of another one: tools are listed as they are, and called only after the PDP said yes.

Both protocol generations are served on both sides (2026-07-28 and the initialize handshake up to 2025-11-25). Only
tools, `ping` and notifications pass; resources, prompts, sampling and elicitation are not offered, because nothing
judges them here. Whatever goes wrong becomes an `is_error` result that says what to do; nothing waits for ever.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from countersign import ids
from countersign.pep import credentials
from countersign.pep.answer import Denied, Pending, PepError
from countersign.pep.client import AsyncPdp
from countersign.pep.conversation import Custody, NotClaimed
from countersign.pep.exchange import Waiting
from countersign.pep.hook import pending
from countersign.pep.mcp_behind import Behind, Unreadable, short
from countersign.pep.obligations import SHAPING, on_the_command_line, write_down
from countersign.pep.passage import Execution, Passage, apassing
from countersign.pep.question import Question
from countersign.pep.results import shaped
from countersign.pep.shaping import PLAIN, Withheld

log = logging.getLogger(__name__)

ANSWER = 30.0  # seconds an MCP server may take for its handshake and for one page of its tools


class NotStarted(Exception):
    """The MCP server could not be started, or did not speak MCP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """From the server's names of its tools to registered tools and methods."""

    prefix: str = ""
    method: str = "call"
    exact: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, entries: Sequence[str], *, prefix: str, method: str) -> "Naming":
        """`NAME=TOOL_ID` or `NAME=TOOL_ID:METHOD`. Raises ValueError."""
        exact: dict[str, tuple[str, str]] = {}
        for entry in entries:
            name, equals, target = entry.partition("=")
            tool, colon, own_method = target.partition(":")
            if not name or not equals or not tool or (colon and not own_method):
                raise ValueError(f"--map {entry!r} is not NAME=TOOL_ID or NAME=TOOL_ID:METHOD")
            if name in exact:
                raise ValueError(f"--map names {name!r} twice")
            exact[name] = (tool, own_method or method)
        return cls(prefix=prefix, method=method, exact=exact)

    def of(self, name: str) -> tuple[str, str]:
        return self.exact.get(name, (self.prefix + name, self.method))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One proxy: who asks, which server stands behind, and how its tools are called in the registry."""

    access: credentials.Access
    command: tuple[str, ...]
    naming: Naming = field(default_factory=Naming)
    wait: float = 20.0
    call_timeout: float = 300.0
    intent: str | None = None
    principal: str | None = None
    session: str | None = None
    transaction: str | None = None
    origin: Mapping[str, Any] | None = None
    receipts: Path | None = None
    notify: str | None = None


class Proxy:
    """The two handlers of the outer server."""

    def __init__(self, settings: Settings, pdp: AsyncPdp, behind: Behind, echo: "Echo") -> None:
        self._settings = settings
        self._pdp = pdp
        self._behind = behind
        self._echo = echo
        self._session = settings.session or ids.new("ses")
        self._able = {**SHAPING, **on_the_command_line(notify=settings.notify, log=write_down)}

    async def list_tools(
        self, ctx: ServerRequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        self._echo.listener = ctx.session
        try:
            return await self._behind.list_tools(params.cursor if params else None)
        except Unreadable as error:
            raise MCPError(types.INTERNAL_ERROR, f"the MCP server behind Countersign failed: {error}") from error

    async def call_tool(self, ctx: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Ask, hold while people decide, run once, report."""
        self._echo.listener = ctx.session
        try:
            return await self._call(ctx, params)
        except Withheld as error:
            return refusal(f"Countersign: {error}. Calling again would run it again.")
        except (PepError, Unreadable, MCPError) as error:
            return refusal(explain(error))

    async def _call(self, ctx: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = params.arguments or {}
        passage = Passage(
            question=await self._question(params.name, arguments), wait=self._settings.wait, obligations=self._able
        )
        progress = Progress(ctx.session)
        async with apassing(self._pdp, passage, on_wait=progress.waiting) as execution:
            progress.shape = execution.shape
            result = await self._run(execution, params.name, arguments, progress)
        return shaped(result, execution.shape)

    async def _question(self, name: str, arguments: Mapping[str, Any]) -> Question:
        tool, method = self._settings.naming.of(name)
        try:
            descriptor = await self._behind.descriptor(name)
        except Unreadable as error:
            raise PepError(f"the MCP server behind failed: {error}") from error
        return Question(
            agent=self._settings.access.agent,
            tool=tool,
            method=method,
            arguments=arguments,
            intent=self._settings.intent,
            principal=self._settings.principal,
            session=self._session,
            transaction=self._settings.transaction,
            descriptor_digest=descriptor,
            open_request=True,
            origin=self._settings.origin,
        )

    async def _run(
        self, execution: Execution, name: str, arguments: Mapping[str, Any], progress: "Progress"
    ) -> types.CallToolResult:
        """A tool's own error, and a refusal of the server, is a failure; silence and garbage leave the end unknown."""
        try:
            result = await self._behind.call(name, arguments, progress.passed_on)
        except Unreadable:
            execution.status = Custody.INDETERMINATE
            raise
        except MCPError as error:
            raise MCPError(error.code, execution.shape.words(error.message)) from None
        execution.status = Custody.FAILED if result.is_error else Custody.COMMITTED
        execution.result = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return result


class Echo:
    """Passes on that the server's list of tools has changed, once there is somebody to tell."""

    def __init__(self) -> None:
        self.listener: ServerSession | None = None

    async def hear(self, message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification) and self.listener is not None:
            await self.listener.send_tool_list_changed()


class Progress:
    """Progress notifications that never go back: first our waiting, then what the server behind reports."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._waited = 0.0
        self.shape = PLAIN

    async def waiting(self, waiting: Waiting) -> None:
        self._waited = max(waiting.elapsed, self._waited + 0.001)
        await self._session.report_progress(self._waited, None, f"waiting for approval of {waiting.task.id}")

    async def passed_on(self, progress: float, total: float | None, message: str | None) -> None:
        whole = None if total is None else self._waited + total
        told = message if self.shape == PLAIN else None  # no result, but it may quote one
        await self._session.report_progress(self._waited + progress, whole, told)


def explain(error: PepError | Unreadable | MCPError) -> str:
    """What has happened and what to do next, for the agent."""
    match error:
        case Pending():
            return f"Countersign: {pending(error)}"
        case Denied():
            return f"Countersign denied this call. It has not been run. {error}"
        case NotClaimed():
            return f"Countersign: this call has been started before and is not started again ({error})."
        case PepError():
            return f"Countersign: no decision, so the call has not been run: {error}. Try again later."
        case Unreadable():
            return f"The MCP server behind Countersign failed: {error}. Whether the call took effect is not known."
        case _:
            return f"The MCP server refused the call: {error}"


def refusal(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


def run(settings: Settings) -> None:
    """Serve on standard input and output until the client goes away. Raises NotStarted."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="countersign mcp-proxy: %(message)s")
    anyio.run(serve, settings)


async def serve(settings: Settings) -> None:
    """Start the server behind, then stand in front of it."""
    access = settings.access
    async with AsyncPdp(access.url, access.key, receipts=settings.receipts) as pdp, AsyncExitStack() as stack:
        echo = Echo()
        transport = stdio_client(_server(settings.command))
        client = Client(transport, message_handler=echo.hear, read_timeout_seconds=ANSWER, cache=None)
        try:
            await stack.enter_async_context(client)
        except (OSError, ValueError, MCPError, ExceptionGroup) as error:
            raise NotStarted(f"{settings.command[0]} is no MCP server that answers: {short(_first(error))}") from error
        proxy = Proxy(settings, pdp, Behind(client, call_timeout=settings.call_timeout), echo)
        await _stand_in_front(proxy, client)


def _server(command: Sequence[str]) -> StdioServerParameters:
    """The child inherits the environment it would have had without us, but nothing that is ours: not the key."""
    return StdioServerParameters(
        command=command[0],
        args=list(command[1:]),
        env=credentials.environment_without_ours(os.environ),
        encoding_error_handler="replace",  # a strict reader would die of one bad byte on the server's output
    )


async def _stand_in_front(proxy: Proxy, client: Client) -> None:
    info = client.server_info
    server: Server[Any] = Server(
        info.name if info else "mcp-server",
        version=info.version if info else "",
        instructions=client.instructions,
        on_list_tools=proxy.list_tools,
        on_call_tool=proxy.call_tool,
    )
    async with stdio_server() as (incoming, outgoing):
        options = server.create_initialization_options(NotificationOptions(tools_changed=True))
        await server.run(incoming, outgoing, options)


def _first(error: Exception) -> Exception:
    """The error at the bottom of the groups that task groups wrap around it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
