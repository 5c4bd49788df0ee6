"""A call that takes long to judge keeps nobody else waiting."""

import asyncio
import json
from typing import Any

from tests.enforcement.machine import EVALUATION, ask, question, run, send
from tests.worlds import World, world


def test_small_calls_are_answered_while_a_large_one_is_judged(database: None) -> None:
    """Judged on the event loop, the large one would be answered before anybody else had a turn."""
    own = world(caps={})
    own.apply(tools=[query_tool(own)])
    ask(own.pep_key)  # the world is known from here on: what follows needs no look-up
    large = json.dumps(slow()).encode()
    assert len(large) > 100_000
    assert run(answered(own.pep_key, large)) == [200] * 3 + ["large 200"]


def query_tool(own: World) -> dict[str, Any]:
    rules = [{"argument": "query", "sql": ["select"]}]
    who = {"group": "crm", "owner": own.username("carol"), "risk_tier": 1}
    return {"id": "crm.query", **who, "methods": ["get"], "argument_rules": rules}


def slow() -> dict[str, Any]:
    """Sixteen SQL texts, each as long as may be: a second or so of reading."""
    text = "select " + ", ".join(f"c{n}" for n in range(2_800)) + " from t"
    resource, action = {"type": "tool", "id": "crm.query"}, {"name": "get"}
    return question(resource=resource, action=action, intent="lookup", arguments={"query": [text] * 16})


async def answered(key: str, large: bytes) -> list[Any]:
    """The statuses in the order of the answers: of one large call, and of three small ones asked after it."""
    order: list[Any] = []

    async def one(name: str, body: Any) -> None:
        reply = await send("POST", EVALUATION, key, body)
        order.append(f"{name} {reply.status}" if name else reply.status)

    first = asyncio.create_task(one("large", large))
    await asyncio.sleep(0)  # its turn comes before theirs
    for _ in range(3):
        await one("", question())
    await first
    return order
