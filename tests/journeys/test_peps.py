"""Our own enforcement points against the real service: the guard for functions and coroutines, the MCP proxy."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from countersign.pep import many
from countersign.pep.answer import Denied, Pending, Refused, Status
from countersign.pep.client import AsyncPdp, Pdp
from countersign.pep.conversation import Custody
from countersign.pep.guard import guard
from countersign.pep.many import Semantic
from countersign.pep.question import Question
from countersign.policy.values import Outcome
from tests.journeys.conftest import NewWorld
from tests.journeys.console import ROOT
from tests.journeys.server import until
from tests.journeys.speakers import Person
from tests.journeys.world import POLICY, World

BY_HAND = POLICY.replace("quorum: 2, step_up: totp", "quorum: 1, step_up: none")
TOOL = {"agent": "support-bot", "tool": "payments.refund", "method": "create", "intent": "customer-refund"}


@pytest.fixture
def acme(new_world: NewWorld) -> World:
    return new_world(policy=BY_HAND, approval={"quorum": 1, "step_up": "none"})


def approve_what_comes(erin: Person) -> None:
    """Approve the first request that appears."""
    waiting = "/api/v1/requests?status=pending"
    until(lambda: erin.get(waiting).json()["count"], seconds=30, every=0.2)
    request_id = erin.get(waiting).json()["results"][0]["id"]
    seen = erin.read(request_id)["display"]["hash"]
    assert erin.cast(request_id, "approve", seen=seen).status_code == 201


class TestGuard:
    def test_a_function_runs_once_it_is_approved_and_only_once(self, acme: World, tmp_path: Path):
        ran = []
        receipts = tmp_path / "receipts.jsonl"
        with Pdp(acme.url, acme.key, receipts=receipts) as pdp:

            @guard(pdp, **TOOL, transaction="case-1")
            def pay(order: str, amount: str) -> str:
                ran.append(amount)
                return f"{amount} of {order}"

            assert pay("A-1", "10.00") == "10.00 of A-1"
            with pytest.raises(Pending) as pending:
                pay("A-1", "250.00")
            with pytest.raises(Pending) as again:
                pay("A-1", "250.00")
            assert again.value.task.id == pending.value.task.id
            approve_what_comes(acme.voter("erin"))
            with pytest.raises(Pending):
                pay("A-2", "250.00")
            assert pay("A-1", "250.00") == "250.00 of A-1"
            with pytest.raises(Pending) as afterwards:
                pay("A-1", "250.00")
            assert afterwards.value.task.id != pending.value.task.id
            with pytest.raises(Denied, match="arguments_schema"):
                pay("A-1", "a lot")
        assert ran == ["10.00", "250.00"]
        assert len(receipts.read_text().splitlines()) >= 6

    async def test_a_coroutine_waits_for_the_yes_and_runs(self, acme: World):
        ran = []
        erin = acme.voter("erin")
        async with AsyncPdp(acme.url, acme.key) as pdp:

            @guard(pdp, **TOOL, transaction="case-1", wait=30)
            async def pay(order: str, amount: str) -> str:
                ran.append(amount)
                return f"{amount} of {order}"

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, approve_what_comes, erin)
                assert await pay("A-1", "250.00") == "250.00 of A-1"
        assert ran == ["250.00"]


def refund(order: str, amount: str, **changes: Any) -> Question:
    return Question(
        **TOOL | {"arguments": {"order": order, "amount": amount}, "transaction": f"many-{order}"} | changes
    )


class TestManyQuestions:
    def test_are_answered_in_one_request_each_as_if_alone(self, acme: World, tmp_path: Path):
        receipts = tmp_path / "receipts.jsonl"
        asked = [
            refund("A-1", "10.00"),
            refund("A-2", "250.00", open_request=True),
            refund("A-3", "a lot"),
            refund("A-5", "20.00", origin={"kind": "carrier pigeon"}),
        ]
        with Pdp(acme.url, acme.key, receipts=receipts) as pdp:
            small, big, odd, broken = pdp.evaluations(asked)
            pdp.report(small.evaluation_id, Custody.EXECUTING)
            with pytest.raises(Refused):
                pdp.report(small.evaluation_id, Custody.EXECUTING)
            assert big.task is not None
            assert pdp.request(big.task.id).status is Status.PENDING
            ended = pdp.evaluations(asked, semantic=Semantic.DENY_ON_FIRST_DENY)
            assert [answer.outcome for answer in ended] == [Outcome.ALLOW, Outcome.ESCALATE]
            assert [answer.allowed for answer in pdp.evaluations(asked, semantic=Semantic.PERMIT_ON_FIRST_PERMIT)] == [
                True
            ]
        assert [answer.outcome for answer in (small, big, odd)] == [Outcome.ALLOW, Outcome.ESCALATE, Outcome.DENY]
        assert odd.reason == "arguments_schema"
        assert broken.error is not None
        assert (broken.allowed, broken.error.status) == (False, 400)
        assert len(receipts.read_text().splitlines()) == 3 + 2 + 1

    async def test_are_decided_once_if_the_answer_is_asked_for_again(self, acme: World):
        asked = many.ask([refund("A-1", "10.00"), refund("A-2", "10.00")], Semantic.EXECUTE_ALL)
        headers = {"authorization": f"Bearer {acme.key}", "content-type": "application/json"}
        async with httpx2.AsyncClient(base_url=acme.url, headers=headers) as line:
            first, again = [await line.post("/access/v1/evaluations", content=asked.body) for _ in range(2)]
        async with AsyncPdp(acme.url, acme.key) as pdp:
            anew = await pdp.evaluations([refund("A-1", "10.00"), refund("A-2", "10.00")])
        ids = [[answer.evaluation_id for answer in asked.answers(reply.content)] for reply in (first, again)]
        assert ids[0] == ids[1]
        assert {answer.evaluation_id for answer in anew}.isdisjoint(ids[0])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
class TestProxy:
    async def test_a_tool_call_waits_is_approved_and_runs_once(self, acme: World, tmp_path: Path, mode: str):
        calls = tmp_path / "calls.jsonl"
        erin = acme.voter("erin")
        parameters = StdioServerParameters(
            command=sys.executable,
            args=["-m", "countersign.cli", "mcp-proxy", "--map", "refund=payments.refund:create",
                  "--map", "lookup_order=crm.lookup:get", "--map", "delete_customer=crm.delete:delete",
                  "--intent", "customer-refund", "--transaction", "case-1", "--wait", "1",
                  "--", sys.executable, "examples/mcp_server.py"],
            env={"PYTHONPATH": str(ROOT), "COUNTERSIGN_URL": acme.url, "COUNTERSIGN_KEY": acme.key,
                 "COUNTERSIGN_AGENT": "support-bot", "EXAMPLE_CALLS_FILE": str(calls)},
            cwd=ROOT,
        )  # fmt: skip
        arguments = {"order": "A-1001", "amount": "250.00"}
        with (tmp_path / "stderr").open("a") as errors:
            async with Client(stdio_client(parameters, errlog=errors), mode=mode, read_timeout_seconds=30) as client:
                assert not (await client.call_tool("lookup_order", {"order": "A-1001"})).is_error
                assert (await client.call_tool("delete_customer", {"customer": "C-7"})).is_error
                waiting = await client.call_tool("refund", arguments)
                assert "arq_" in said(waiting)
                await anyio.to_thread.run_sync(approve_what_comes, erin)
                done = await client.call_tool("refund", arguments)
                assert said(done) == "Refunded 250.00 of order A-1001."
                assert "arq_" in said(await client.call_tool("refund", arguments))
        ran = [json.loads(line)["tool"] for line in calls.read_text().splitlines()]
        assert ran == ["lookup_order", "refund"]


def said(result: types.CallToolResult) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, types.TextContent))
