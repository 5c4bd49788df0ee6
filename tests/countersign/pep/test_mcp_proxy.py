"""A real MCP client, our proxy as a process, a real MCP server behind it, over stdio, in both protocol generations."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from countersign.pep.mcp_proxy import Naming
from countersign.pep.question import fingerprint
from tests.countersign.pep.lookalike import KEY, FarPdp, Fault
from tests.countersign.pep.test_client import free_port

ROOT = Path(__file__).parents[3]
SHOP = ROOT / "examples" / "mcp_server.py"
TELLING = Path(__file__).with_name("telling_server.py")
SCRIPTED = Path(__file__).with_name("scripted_server.py")
MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
GENERATIONS = {"auto": MODERN, "legacy": HANDSHAKE}

SECRET = "AKIAIOSFODNN7EXAMPLF"

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
def connect(far: FarPdp, calls: Path, tmp_path: Path) -> Connect:
    @asynccontextmanager
    async def connected(
        server: tuple[str, ...] = (str(SHOP),), *options: str, mode: str = "auto", **settings: Any
    ) -> AsyncIterator[Client]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "EXAMPLE_CALLS_FILE": str(calls),
            "COUNTERSIGN_URL": settings.pop("url", far.url),
            "COUNTERSIGN_KEY": settings.pop("key", KEY),
            "COUNTERSIGN_AGENT": "support-bot",
            "OTHER_SECRET": "for the server",
        }
        proxy = ["-m", "countersign.cli", "mcp-proxy", "--tool-prefix", "shop.", *options]
        parameters = StdioServerParameters(
            command=sys.executable, args=[*proxy, "--", sys.executable, *server], env=environment
        )
        with (tmp_path / "stderr.txt").open("a") as errors:
            transport = stdio_client(parameters, errlog=errors)
            async with Client(transport, mode=mode, cache=None, read_timeout_seconds=20, **settings) as client:
                yield client

    return connected


@pytest.fixture
def scripted(calls: Path) -> Callable[[str], tuple[str, ...]]:
    return lambda how: (str(SCRIPTED), how, str(calls))


def ran(calls: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def text(result: types.CallToolResult) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, types.TextContent))


async def called(client: Client, tool: str) -> types.CallToolResult:
    """The result as it came: the client would refuse one that is not what the tool's schema says."""
    params = types.CallToolRequestParams(name=tool, arguments={})
    return await client.session.send_request(types.CallToolRequest(params=params), types.CallToolResult)


@pytest.mark.parametrize("mode", GENERATIONS)
class TestBothGenerations:
    async def test_denied_is_not_run(self, far: FarPdp, connect: Connect, calls: Path, mode: str):
        async with connect(mode=mode) as client:
            result = await client.call_tool("delete_customer", {"customer": "C-7"})
        assert result.is_error
        assert "denied" in text(result)
        assert "no_rule" in text(result)
        assert (ran(calls), far.custody()) == ([], [])

    async def test_allowed_runs_once_in_custody(self, far: FarPdp, connect: Connect, calls: Path, mode: str):
        far.rules["shop.lookup_order"] = "allow"
        async with connect(mode=mode) as client:
            assert client.protocol_version == GENERATIONS[mode]
            assert [tool.name for tool in (await client.list_tools()).tools] == [
                "lookup_order",
                "refund",
                "delete_customer",
            ]
            result = await client.call_tool("lookup_order", {"order": "A-1001"})
        assert not result.is_error
        assert result.structured_content["customer"] == "C-7"
        assert [call["arguments"] for call in ran(calls)] == [{"order": "A-1001"}]
        assert far.custody() == [["reserved", "executing", "committed"]]
        (body,) = far.questions()
        assert (body["subject"]["id"], body["action"]["name"]) == ("support-bot", "call")
        assert body["resource"]["properties"]["descriptor_digest"].startswith("sha256:")
        assert body["context"]["session"].startswith("ses_")

    async def test_a_held_call_runs_once_after_approval(self, far: FarPdp, connect: Connect, calls: Path, mode: str):
        far.rules["shop.refund"] = "escalate"
        far.decide_soon("approved", 0.2)
        told: list[tuple[float, str | None]] = []

        async def progress(value: float, total: float | None, message: str | None) -> None:
            told.append((value, message))

        async with connect(mode=mode) as client:
            arguments = {"order": "A-1001", "amount": "250.00"}
            result = await client.call_tool("refund", arguments, progress_callback=progress)
        assert "Refunded 250.00" in text(result)
        assert [call["tool"] for call in ran(calls)] == ["refund"]
        assert far.custody() == [["reserved", "executing", "committed"]]
        assert "waiting for approval of arq_" in str(told[0][1])

    async def test_pending_and_called_again_after_approval(self, far: FarPdp, connect: Connect, calls: Path, mode: str):
        far.rules["shop.refund"] = "escalate"
        arguments = {"order": "A-1001", "amount": "250.00"}
        async with connect((str(SHOP),), "--wait", "0", mode=mode) as client:
            first = await client.call_tool("refund", arguments)
            again = await client.call_tool("refund", arguments)
            (request,) = far.requests.values()
            assert first.is_error
            assert again.is_error
            assert f"pending {request.id}" in text(first)
            far.decide("approved")
            other = await client.call_tool("refund", arguments | {"amount": "999.00"})
            done = await client.call_tool("refund", arguments)
            spent = await client.call_tool("refund", arguments)
        assert (other.is_error, done.is_error, spent.is_error) == (True, False, True)
        assert [call["arguments"] for call in ran(calls)] == [arguments]

    async def test_without_a_pdp_nothing_runs(self, connect: Connect, calls: Path, mode: str):
        async with connect(mode=mode, url=f"http://127.0.0.1:{free_port()}") as client:
            assert len((await client.list_tools()).tools) == 3
            result = await client.call_tool("lookup_order", {"order": "A-1001"})
        assert result.is_error
        assert "no decision" in text(result)
        assert ran(calls) == []

    async def test_redacts_what_the_server_tells(self, far: FarPdp, connect: Connect, scripted, calls: Path, mode: str):
        far.rules["shop.act"] = "allow"
        far.obligations = [{"type": "redact", "properties": {"paths": ["/iban"]}}]
        async with connect(scripted("secrets"), mode=mode) as client:
            result = await client.call_tool("act", {})
        assert not result.is_error
        assert json.loads(result.content[0].text) == result.structured_content
        assert result.structured_content == {"iban": "[redacted]", "note": "[redacted: aws-access-key]"}
        assert text(result).endswith("[withheld: image]")
        assert (len(ran(calls)), far.custody()) == (1, [["reserved", "executing", "committed"]])
        assert far.questions()[0]["context"]["supported_obligations"] == ["cap", "log", "redact"]

    async def test_withholds_a_result_beyond_its_cap(
        self, far: FarPdp, connect: Connect, scripted, calls: Path, mode: str
    ):
        far.rules["shop.act"] = "allow"
        far.obligations = [{"type": "cap", "properties": {"bytes": 40}}]
        async with connect(scripted("secrets"), mode=mode) as client:
            result = await client.call_tool("act", {})
        assert result.is_error
        assert "has been run, but its result is withheld" in text(result)
        assert "DE1" not in result.model_dump_json()
        assert (len(ran(calls)), far.custody()) == (1, [["reserved", "executing", "committed"]])

    async def test_redacts_why_the_server_refuses(self, far: FarPdp, connect: Connect, scripted, mode: str):
        far.rules["shop.act"] = "allow"
        far.obligations = [{"type": "redact", "properties": {}}]
        async with connect(scripted("rpc-secret"), mode=mode) as client:
            result = await client.call_tool("act", {})
        assert "[redacted: aws-access-key]" in text(result)
        assert far.custody() == [["reserved", "executing", "failed"]]

    async def test_caps_why_the_server_refuses(self, far: FarPdp, connect: Connect, scripted, mode: str):
        far.rules["shop.act"] = "allow"
        far.obligations = [{"type": "cap", "properties": {"bytes": 20}}]
        async with connect(scripted("rpc-secret"), mode=mode) as client:
            result = await client.call_tool("act", {})
        assert text(result) == "The MCP server refused the call: [withheld: longer than the 20 bytes allowed]"
        far.obligations = [{"type": "cap", "properties": {"bytes": 200}}]
        async with connect(scripted("rpc-secret"), mode=mode) as client:
            assert SECRET in text(await client.call_tool("act", {}))

    async def test_offers_nothing_but_tools(self, connect: Connect, scripted, mode: str):
        async with connect(scripted("fine"), mode=mode) as client:
            assert client.server_capabilities.tools is not None
            assert client.server_capabilities.resources is None
            assert client.server_capabilities.prompts is None
            for ask in (client.list_resources, client.list_prompts):
                with pytest.raises(MCPError):
                    await ask()


class TestFailsClosed:
    async def test_on_any_answer_that_is_no_decision(self, far: FarPdp, connect: Connect, calls: Path):
        far.rules["shop.lookup_order"] = "allow"
        faults: list[dict[str, Any]] = [
            {"status": 500},
            {"body": b"{"},
            {"change": lambda a: a | {"decision": "true"}},
            {"change": lambda a: {"decision": True, "context": {"evaluation_id": "eva_x"}}},
            {"change": lambda a: {"decision": True, "context": a["context"] | {"arguments_digest": "sha256:00"}}},
            {"delay": 6.0},
        ]
        async with connect() as client:
            for fault in faults:
                far.faults = [Fault("/access/v1/evaluation", **fault)]
                assert (await client.call_tool("lookup_order", {"order": "A-1001"})).is_error, fault
        assert ran(calls) == []

    async def test_abuse_148_when_the_claim_is_lost_to_another(self, far: FarPdp, connect: Connect, calls: Path):
        far.rules["shop.lookup_order"] = "allow"
        far.faults.append(Fault("/access/v1/outcomes", status=409))
        async with connect() as client:
            result = await client.call_tool("lookup_order", {"order": "A-1001"})
        assert (result.is_error, ran(calls)) == (True, [])

    async def test_abuse_148_a_lost_answer_is_repeated_and_runs_once(self, far: FarPdp, connect: Connect, calls: Path):
        far.rules["shop.lookup_order"] = "allow"
        far.faults.append(Fault("/access/v1/evaluation", after=True))
        far.faults.append(Fault("/access/v1/outcomes", after=True))
        async with connect() as client:
            result = await client.call_tool("lookup_order", {"order": "A-1001"})
        assert not result.is_error
        assert (len(ran(calls)), far.custody()) == (1, [["reserved", "executing", "committed"]])

    async def test_with_a_key_the_pdp_does_not_know(self, connect: Connect, calls: Path):
        async with connect(key="csk_agent_other_x") as client:
            result = await client.call_tool("lookup_order", {"order": "A-1001"})
        assert "401" in text(result)
        assert ran(calls) == []

    async def test_abuse_003_and_008_on_arguments_that_cannot_be_bound(
        self, far: FarPdp, connect: Connect, calls: Path
    ):
        far.rules["shop.refund"] = "allow"
        async with connect() as client:
            for amount in (2**53, "x\0y"):
                assert (await client.call_tool("refund", {"order": "A", "amount": amount})).is_error
        assert (ran(calls), far.questions()) == ([], [])


class TestWhatIsRedacted:
    """Before a server of the kind that most are, which tells one value in several ways."""

    async def test_is_what_a_path_names_in_each_way_of_telling_it(self, far: FarPdp, connect: Connect):
        ways = [
            (tool, "Ada", path)
            for tool in ("bare", "wrapped", "written", "unstructured")
            for path in ("/iban", "/result/iban")
        ]
        ways += [(tool, "Ada", path) for tool in ("listed", "unstructured") for path in ("/*/iban", "/result/*/iban")]
        ways += [("wrapped", "Ada", "/*/iban"), ("listed", "Ada", "/1/name"), ("spoken", "", "/iban")]
        ways += [(tool, "", "/result") for tool in ("listed", "wrapped", "written")]
        async with connect((str(TELLING),)) as client:
            for tool, left, path in ways:
                far.rules[f"shop.{tool}"] = "allow"
                far.obligations = [{"type": "redact", "properties": {"paths": [path]}}]
                result = await called(client, tool)
                lost = "Bob" if path == "/1/name" else "DE1"
                assert not result.is_error, (tool, path)
                assert lost not in result.model_dump_json(), (tool, path)
                assert left in result.model_dump_json(), (tool, path)

    async def test_is_nothing_else(self, far: FarPdp, connect: Connect):
        far.rules |= {"shop.wrapped": "allow", "shop.listed": "allow"}
        async with connect((str(TELLING),)) as client:
            far.obligations = [{"type": "redact", "properties": {"paths": ["/other", "/result/result/iban", "/0/x"]}}]
            whole = await called(client, "wrapped")
            far.obligations = [{"type": "redact", "properties": {"paths": ["/1/name"]}}]
            one = await called(client, "listed")
        assert whole.structured_content == {"result": {"name": "Ada", "iban": "DE1"}}
        assert [customer["name"] for customer in one.structured_content["result"]] == ["Ada", "[redacted]"]

    async def test_is_an_error_s_text_too(self, far: FarPdp, connect: Connect):
        far.rules["shop.failing"] = "allow"
        async with connect((str(TELLING),)) as client:
            far.obligations = [{"type": "redact", "properties": {}}]
            secret = await called(client, "failing")
            far.obligations = [{"type": "redact", "properties": {"paths": ["/iban"]}}]
            named = await called(client, "failing")
        assert (secret.is_error, SECRET in text(secret), "Ada" in text(secret)) == (True, False, True)
        assert "DE1" not in text(named)

    @pytest.mark.parametrize("code", [-32000, -32001])
    async def test_is_an_error_that_looks_like_silence(self, far: FarPdp, connect: Connect, scripted, code: int):
        far.rules["shop.act"] = "allow"
        far.obligations = [{"type": "redact", "properties": {}}]
        async with connect(scripted(f"rpc-secret{code}")) as client:
            result = await client.call_tool("act", {})
        assert SECRET not in text(result)
        assert far.custody() == [["reserved", "executing", "indeterminate"]]

    @pytest.mark.parametrize("obligation", [{"type": "redact"}, {"type": "cap", "properties": {"bytes": 10_000}}])
    async def test_are_the_words_of_progress(self, far: FarPdp, connect: Connect, scripted, obligation: dict[str, Any]):
        far.rules["shop.act"] = "allow"
        told: list[str | None] = []

        async def hear(value: float, total: float | None, message: str | None) -> None:
            told.append(message)

        for obliged in ([], [obligation]):
            far.obligations = obliged
            async with connect(scripted("chatty")) as client:
                await client.call_tool("act", {}, progress_callback=hear)
        assert told == [SECRET * 100, None]


class TestServersThatMisbehave:
    @pytest.mark.parametrize(
        ("how", "end"),
        [
            ("crash", "indeterminate"),
            ("silent", "indeterminate"),
            ("garbage", "indeterminate"),
            ("invalid", "indeterminate"),
            ("rpc-error", "failed"),
            ("tool-error", "failed"),
            ("input", "indeterminate"),
            ("noisy", "committed"),
            ("schema", "committed"),
        ],
    )
    async def test_never_hang_a_call_and_its_end_is_told(  # noqa: PLR0917 - fixtures
        self, far: FarPdp, connect: Connect, calls: Path, scripted, how: str, end: str
    ):
        far.rules["shop.act"] = "allow"
        async with connect(scripted(how), "--call-timeout", "1") as client:
            result = await called(client, "act")
        assert result.is_error is (end != "committed")
        assert (len(ran(calls)), far.custody()) == (1, [["reserved", "executing", end]])

    async def test_a_server_that_is_gone_is_not_claimed_for(self, far: FarPdp, connect: Connect, calls: Path, scripted):
        far.rules["shop.act"] = "allow"
        async with connect(scripted("crash")) as client:
            first = await client.call_tool("act", {})
            second = await client.call_tool("act", {})
        assert first.is_error
        assert second.is_error
        assert "has not been run" in text(second)
        assert far.custody() == [["reserved", "executing", "indeterminate"]]

    @pytest.mark.parametrize("how", ["bad-list", "endless-list", "dies-idle"])
    async def test_no_call_without_a_readable_descriptor(
        self, far: FarPdp, connect: Connect, calls: Path, scripted, how
    ):
        far.rules["shop.act"] = "allow"
        async with connect(scripted(how)) as client:
            with anyio.move_on_after(10):
                await client.call_tool("act", {})
            result = await client.call_tool("act", {})
        assert result.is_error
        assert len(ran(calls)) <= (how == "dies-idle")

    async def test_abuse_031_a_changed_descriptor_is_another_action(
        self, far: FarPdp, connect: Connect, calls: Path, scripted
    ):
        far.rules["shop.act"] = "allow"
        async with connect(scripted("changes")) as client:
            await client.call_tool("act", {})
            await client.call_tool("act", {})
        first, second = (body["resource"]["properties"]["descriptor_digest"] for body in far.questions())
        tool = {"name": "act", "description": "Harmless.", "inputSchema": {"type": "object"}}
        assert first == fingerprint(tool)
        assert second == fingerprint(tool | {"description": "Evil."})

    async def test_one_that_does_not_start_is_said_on_stderr(self, connect: Connect, scripted, tmp_path: Path):
        with pytest.raises((MCPError, ExceptionGroup)):
            async with connect(scripted("dies")):
                pass
        assert "is no MCP server that answers" in (tmp_path / "stderr.txt").read_text()

    async def test_one_that_does_not_exist_is_said_on_stderr(self, connect: Connect, far: FarPdp, tmp_path: Path):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COUNTERSIGN_URL": far.url, "COUNTERSIGN_KEY": KEY}
        command = [sys.executable, "-m", "countersign.cli", "mcp-proxy", "--agent", "a", "--", "/no/such/server"]
        done = await anyio.run_process(command, env=environment, check=False)
        assert done.returncode == 2
        assert b"/no/such/server is no MCP server" in done.stderr
        assert b"Traceback" not in done.stderr


class TestWhatPasses:
    async def test_abuse_103_the_server_gets_its_environment_but_not_our_key(
        self, far: FarPdp, connect: Connect, calls: Path, scripted
    ):
        far.rules["shop.act"] = "allow"
        async with connect(scripted("fine")) as client:
            await client.call_tool("act", {})
        (call,) = ran(calls)
        assert call["environment"]["OTHER_SECRET"] == "for the server"
        assert KEY not in json.dumps(call)
        assert not [name for name in call["environment"] if name.startswith("COUNTERSIGN_")]

    async def test_only_name_and_judged_arguments_reach_the_server(
        self, far: FarPdp, connect: Connect, calls: Path, scripted
    ):
        far.rules["shop.act"] = "allow"
        async with connect(scripted("fine"), mode="legacy") as client:
            await client.call_tool("act", None, meta={"smuggled": "x"})
        (call,) = ran(calls)
        assert call["params"].keys() <= {"name", "arguments", "_meta"}
        assert call["params"]["arguments"] == {}
        assert call["params"].get("_meta", {}).keys() <= {"progressToken"}
        assert far.questions()[0]["context"]["arguments"] == {}

    async def test_names_are_mapped(self, far: FarPdp, connect: Connect, calls: Path):
        far.rules["payments.refund"] = "allow"
        options = ("--map", "refund=payments.refund:create", "--intent", "customer-refund", "--transaction", "case-1")
        options += ("--origin", "slack:C0SUPPORT/1718000000.000100")
        async with connect((str(SHOP),), *options) as client:
            result = await client.call_tool("refund", {"order": "A-1001", "amount": "1.00"})
        assert not result.is_error
        (body,) = far.questions()
        assert (body["resource"]["id"], body["action"]["name"]) == ("payments.refund", "create")
        assert (body["context"]["intent"], body["context"]["transaction"]) == ("customer-refund", "case-1")
        assert body["context"]["origin"] == {"kind": "slack", "channel": "C0SUPPORT", "thread": "1718000000.000100"}

    async def test_ping_passes(self, connect: Connect, scripted):
        async with connect(scripted("fine"), mode="legacy") as client:
            await client.session.send_ping()

    async def test_a_call_given_up_while_it_runs_is_indeterminate(
        self, far: FarPdp, connect: Connect, calls: Path, scripted
    ):
        far.rules["shop.act"] = "allow"
        async with connect(scripted("silent"), mode="legacy") as client:
            with anyio.move_on_after(2):
                await client.call_tool("act", {})
            await anyio.to_thread.run_sync(far.until_settled)
        assert far.custody() == [["reserved", "executing", "indeterminate"]]
        assert len(ran(calls)) == 1


class Wire:
    """The proxy spoken to line by line, without any MCP library on this side."""

    def __init__(self, far: FarPdp, server: tuple[str, ...]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COUNTERSIGN_URL": far.url, "COUNTERSIGN_KEY": KEY}
        command = [sys.executable, "-m", "countersign.cli", "mcp-proxy", "--agent", "a", "--", sys.executable, *server]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.next = 0
        self.ask("initialize", protocolVersion=HANDSHAKE, capabilities={}, clientInfo={"name": "wire", "version": "1"})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n")
        self.process.stdin.flush()

    def begin(self, method: str, **params: Any) -> None:
        self.next += 1
        self.send({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params})

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.begin(method, **params)
        return self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while "id" not in (message := json.loads(self.process.stdout.readline())):
            pass
        return message

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(15)
        self.process.stdout.close()


@pytest.fixture
def wire(far: FarPdp) -> Iterator[Callable[[tuple[str, ...]], Wire]]:
    wires: list[Wire] = []

    def opened(server: tuple[str, ...]) -> Wire:
        wires.append(Wire(far, server))
        return wires[-1]

    yield opened
    for each in wires:
        each.close()


class TestOnTheWire:
    def test_unknown_methods_are_refused_here(self, wire, scripted):
        line = wire(scripted("fine"))
        for method in ("tools/evil", "resources/list", "resources/read", "prompts/get", "completion/complete"):
            assert "error" in line.ask(method, name="x", uri="file:///x"), method
        assert line.ask("ping") == {"jsonrpc": "2.0", "id": line.next, "result": {}}

    def test_nonsense_from_the_client_changes_nothing(self, far: FarPdp, wire, scripted, calls: Path):
        far.rules["act"] = "allow"
        line = wire(scripted("fine"))
        for nonsense in (b"{", b"[]", b"\xff\xfe", b'{"jsonrpc":"2.0","method":"tools/call"}'):
            line.send(nonsense)
        assert "error" in line.ask("tools/call", name=7)
        assert "error" in line.ask("tools/call", name="act", arguments=[1])
        assert ran(calls) == []
        assert "result" in line.ask("tools/call", name="act", arguments={})
        assert len(ran(calls)) == 1

    def test_abuse_001_what_is_judged_is_what_is_forwarded(self, far: FarPdp, wire, scripted, calls: Path):
        """A member given twice is read once, here; the server gets our reading, not the client's bytes."""
        far.rules["act"] = "allow"
        line = wire(scripted("fine"))
        call = (
            b'{"jsonrpc":"2.0","id":99,"method":"tools/call","params":{"name":"act","arguments":{"to":"A","to":"B"}}}'
        )
        line.send(call)
        line.read()
        judged = [body["context"]["arguments"] for body in far.questions()]
        assert judged == [call["params"]["arguments"] for call in ran(calls)]

    def test_a_client_that_goes_away_midway_leaves_the_end_unknown(self, far: FarPdp, wire, scripted, calls: Path):
        far.rules["act"] = "allow"
        line = wire(scripted("silent"))
        line.begin("tools/call", name="act", arguments={})
        while not ran(calls):
            time.sleep(0.01)
        line.close()
        assert far.custody() == [["reserved", "executing", "indeterminate"]]


class TestNaming:
    @pytest.mark.parametrize("entry", ["", "x", "=y", "x=", "x=:m", "x=y:"])
    def test_refuses_what_maps_nothing(self, entry):
        with pytest.raises(ValueError):
            Naming.parse([entry], prefix="", method="call")

    def test_refuses_a_name_given_twice(self):
        with pytest.raises(ValueError):
            Naming.parse(["a=x", "a=y"], prefix="", method="call")

    def test_maps_by_prefix_and_by_name(self):
        naming = Naming.parse(["a=x.y:create", "b=z"], prefix="p.", method="call")
        assert [naming.of(name) for name in "abc"] == [("x.y", "create"), ("z", "call"), ("p.c", "call")]
