"""A small MCP server over stdio: look up an order, refund it, delete a customer. It knows nothing of Countersign.

Each call that really runs is appended as one JSON line to the file named by EXAMPLE_CALLS_FILE, so that anyone can
count what happened.
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp.server import MCPServer

ORDERS = {
    "A-1001": {"customer": "C-7", "total": "310.00", "currency": "EUR", "status": "delivered"},
    "A-1002": {"customer": "C-9", "total": "48.50", "currency": "EUR", "status": "shipped"},
}

server = MCPServer("shop", instructions="Orders and customers of a small shop.")


def ran(tool: str, **arguments: Any) -> None:
    """Leave a trace of a call that happened."""
    path = os.environ.get("EXAMPLE_CALLS_FILE")
    entry = {"at": datetime.now(UTC).isoformat(), "tool": tool, "arguments": arguments}
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    print("ran", tool, json.dumps(arguments), file=sys.stderr)


@server.tool()
def lookup_order(order: str) -> dict[str, str]:
    """Say what is known of an order."""
    ran("lookup_order", order=order)
    if order not in ORDERS:
        raise ValueError(f"There is no order {order}.")
    return ORDERS[order]


@server.tool()
def refund(order: str, amount: str) -> str:
    """Pay an amount of an order back to its customer. The amount is text such as "250.00"."""
    ran("refund", order=order, amount=amount)
    return f"Refunded {amount} of order {order}."


@server.tool()
def delete_customer(customer: str) -> str:
    """Delete a customer and everything known of them."""
    ran("delete_customer", customer=customer)
    return f"Customer {customer} is gone."


if __name__ == "__main__":
    server.run()
