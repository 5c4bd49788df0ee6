"""An MCP server made with the library that most are made with; each tool tells one customer, each in another way."""

import json

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

CUSTOMER = {"name": "Ada", "iban": "DE1"}

server = MCPServer("telling")


@server.tool()
def bare() -> dict[str, str]:
    """An object is structured content as it is."""
    return CUSTOMER


@server.tool()
def wrapped() -> dict[str, str] | None:
    """What may be no object is wrapped."""
    return CUSTOMER


@server.tool()
def listed() -> list[dict[str, str]]:
    """A list is wrapped, and told as a text for each element."""
    return [CUSTOMER, {**CUSTOMER, "name": "Bob"}]


@server.tool()
def written() -> str:
    """JSON written as a text is wrapped as one."""
    return json.dumps(CUSTOMER)


@server.tool(structured_output=False)
def unstructured() -> list[dict[str, str]]:
    """Told as texts alone."""
    return [CUSTOMER]


@server.tool()
def spoken() -> str:
    """Words in which nobody finds an IBAN."""
    return "Ada has DE1"


@server.tool()
def failing() -> dict[str, str]:
    """An error quotes what it was about."""
    raise ToolError("Ada's DE1 is wrong, see AKIAIOSFODNN7EXAMPLF")


if __name__ == "__main__":
    server.run()
