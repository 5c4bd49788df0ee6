"""The agent: a real MCP client that talks to the shop's MCP server through `countersign mcp-proxy`."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from examples.demo.house import ROOT, House

TOOLS = ("lookup_order=crm.lookup:get", "refund=payments.refund:create", "delete_customer=crm.delete:delete")


@dataclass(frozen=True, slots=True)
class Shop:
    """An open conversation with the shop, one call after the other."""

    client: Client

    async def call(self, tool: str, **arguments: str) -> tuple[bool, str]:
        """Whether it ran, and what the server or the proxy said."""
        result = await self.client.call_tool(tool, arguments)
        said = " ".join(part.text for part in result.content if isinstance(part, types.TextContent))
        return not result.is_error, " ".join(said.split())


@asynccontextmanager
async def shop(house: House, key: str, *, transaction: str, calls: Path, wait: int) -> AsyncIterator[Shop]:
    """Start the proxy with the server behind it, as an MCP host would."""
    mapped = [part for tool in TOOLS for part in ("--map", tool)]
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "countersign.cli", "mcp-proxy", *mapped, "--intent", "customer-refund",
              "--transaction", transaction, "--principal", "customer-desk@acme.test", "--wait", str(wait),
              "--", sys.executable, "examples/mcp_server.py"],
        env={**house.environment, "PYTHONPATH": str(ROOT), "COUNTERSIGN_URL": house.url, "COUNTERSIGN_KEY": key,
             "COUNTERSIGN_AGENT": "support-bot", "EXAMPLE_CALLS_FILE": str(calls)},
        cwd=ROOT,
    )  # fmt: skip
    with (house.var / "proxy.log").open("a") as log:
        async with Client(stdio_client(parameters, errlog=log)) as client:
            yield Shop(client)


def ran(calls: Path) -> list[str]:
    """The tools that really ran, in order."""
    return [json.loads(line)["tool"] for line in calls.read_text().splitlines()] if calls.exists() else []
