"""The MCP server behind the proxy: a name and arguments in, its result out, or one of two errors."""

from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types
from mcp.client.client import Client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from countersign.pep.question import fingerprint

PAGES = 100  # a listing that goes on longer than this does not end

_RESULT: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)
_SILENCE: Final = {types.CONNECTION_CLOSED: "the connection was closed", types.REQUEST_TIMEOUT: "it took too long"}


class Unreadable(Exception):
    """The MCP server did not answer, or not with what the protocol allows."""


class Behind:
    """The server behind the proxy, with its answers turned into results or one of two errors."""

    def __init__(self, client: Client, *, call_timeout: float) -> None:
        self._client = client
        self._call_timeout = call_timeout

    async def list_tools(self, cursor: str | None) -> types.ListToolsResult:
        """One page, as the server gives it. Raises Unreadable."""
        try:
            return await self._client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        except (MCPError, ValidationError) as error:
            raise Unreadable(f"its list of tools cannot be read ({short(error)})") from error

    async def descriptor(self, name: str) -> str | None:
        """The fingerprint of a tool as the server describes it now; None if it names no such tool.

        A server may describe a tool harmlessly until it is approved and otherwise afterwards. So it is read afresh for
        each question: another description is another action, and no earlier approval fits it. A server that is gone is
        noticed by this too, before anything is claimed.
        """
        cursor: str | None = None
        for _ in range(PAGES):
            page = await self.list_tools(cursor)
            for tool in page.tools:
                if tool.name == name:
                    return fingerprint(tool.model_dump(by_alias=True, mode="json", exclude_none=True))
            cursor = page.next_cursor
            if cursor is None:
                return None
        raise Unreadable("its list of tools does not end")

    async def call(self, name: str, arguments: Mapping[str, Any], progress: ProgressFnT) -> types.CallToolResult:
        """Call once. Raises MCPError where the server refuses, Unreadable where nobody knows what happened.

        The request carries the name and the judged arguments and nothing else of what the agent's client sent.
        """
        params = types.CallToolRequestParams(name=name, arguments=dict(arguments))
        try:
            result = await self._client.session.send_request(
                types.CallToolRequest(params=params),
                _RESULT,
                request_read_timeout_seconds=self._call_timeout,
                progress_callback=progress,
            )
        except ValidationError as error:
            raise Unreadable(f"its answer is not what MCP allows ({short(error)})") from error
        except MCPError as error:
            # A server may send these codes as well, with words of its own; what it means by them nobody knows.
            if error.code in _SILENCE:
                raise Unreadable(f"it did not answer ({_SILENCE[error.code]})") from None
            raise
        if isinstance(result, types.InputRequiredResult):
            raise Unreadable("it asks for more input, which this proxy does not pass on")
        return result


def short(error: Exception) -> str:
    """One line; a validation error's own text would quote the server's whole answer."""
    if isinstance(error, ValidationError):
        return f"{error.error_count()} faults"
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
