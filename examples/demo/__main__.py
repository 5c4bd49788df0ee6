"""The story: one call allowed, one denied, one that waits for two people; then the evidence, verified offline."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from typing import NoReturn

import anyio
import pyotp

from examples.demo.agent import Shop, ran, shop
from examples.demo.approvers import approve, confirm
from examples.demo.house import ROOT, TENANT, Approver, House, house

APPROVERS = ("erin", "frank")


def say(text: str = "") -> None:
    print(text, flush=True)


async def play(built: House, *, unattended: bool) -> None:
    case = f"case-{secrets.token_hex(3)}"
    calls = built.var / f"{case}.jsonl"
    approvers = built.approvers(*APPROVERS)
    # Attended, the proxy holds a call while people decide; the unattended approvers play between two calls.
    wait = 1 if unattended else 20
    async with shop(built, built.key(), transaction=case, calls=calls, wait=wait) as agent:
        say(f"\nThe agent works on {case}. Its MCP server is behind `countersign mcp-proxy`.\n")
        await step(agent, "lookup_order", ran_expected=True, order="A-1001")
        await step(agent, "delete_customer", ran_expected=False, customer="C-7")
        waiting = await step(agent, "refund", ran_expected=False, order="A-1001", amount="250.00")
        request_id = re.search(r"arq_\w+", waiting)
        if not request_id:
            raise SystemExit(f"the refund should wait for people, but: {waiting}")
        if unattended:
            decide(built, *approvers, request_id[0])
            await step(agent, "refund", ran_expected=True, order="A-1001", amount="250.00")
        else:
            introduce(built, approvers, request_id[0])
            await retry_until_done(agent)
        again = await step(agent, "refund", ran_expected=False, order="A-1001", amount="250.00")
        say(
            "    the approval was for one use: asking again waits for people again"
            if "arq_" in again
            else f"    {again}"
        )
    if ran(calls) != ["lookup_order", "refund"]:
        raise SystemExit(f"the server should have run two calls, but ran {ran(calls)}")
    say("\nThe server's own list of what ran: lookup_order, refund. Each exactly once.")
    prove(built, case)


def decide(built: House, first: Approver, second: Approver, request_id: str) -> None:
    """One approves on our pages, the other begins with a click in the chat."""
    approve(built, first, request_id, "Receipt checked.")
    say(f"  ✎ {first.username} signed in, read the request and approved it with a fresh code")
    begun = built.chat.begin_approval(second.username, request_id)
    say(f"  ✎ {second.username} pressed Approve on the card in the look-alike; it showed the number {begun.number}")
    confirm(built, second, begun)
    say(f"  ✎ {second.username} confirmed it on Countersign's own page: the same number, and a fresh code")
    built.chat.await_outcome(second.username, request_id)
    say("    the card now tells the outcome and has no buttons any more")


async def step(agent: Shop, tool: str, *, ran_expected: bool, **arguments: str) -> str:
    done, said = await agent.call(tool, **arguments)
    say(f"  {'✓' if done else '✋' if 'arq_' in said else '✗'} {tool}({', '.join(arguments.values())}): {said}")
    if done != ran_expected:
        raise SystemExit(f"{tool} should {'have run' if ran_expected else 'not have run'}")
    return said


async def retry_until_done(agent: Shop) -> None:
    """What an agent does: ask again now and then. The same action joins the same request, nobody is asked twice."""
    while True:
        await anyio.sleep(1)
        done, said = await agent.call("refund", order="A-1001", amount="250.00")
        if done:
            say(f"\n  ✓ refund(A-1001, 250.00): {said}")
            return
        if "arq_" not in said:
            raise SystemExit(f"the refund will not run: {said}")


def introduce(built: House, approvers: list[Approver], request_id: str) -> None:
    say("\nNow it is your turn: two different people must approve, each with a fresh code.")
    say(f"The request: {built.url}/requests/{request_id}/")
    say(f"The same in chat, a Slack look-alike on this machine: {built.chat.url}/\n")
    for approver in approvers:
        code = pyotp.TOTP(approver.secret)
        say(f"  {approver.username:<6} sign in once (use a private window each): {approver.link}")
        say(f"         authenticator secret {approver.secret}   code now {code.now()}")
        say(f"         in chat {built.chat.address(approver.username)}")
    say("\nIn chat, Approve shows a number and leads to Countersign's own page, which asks for it and for a code.")
    say("\nA code lives 30 seconds. For a new one:")
    say(f"  {sys.executable} -c \"import pyotp; print(pyotp.TOTP('SECRET').now())\"")
    say("\nWaiting … (Ctrl-C ends the demo)")


def prove(built: House, case: str) -> None:
    pack = built.var / "pack"
    shutil.rmtree(pack, ignore_errors=True)
    printed = built.manage("export_evidence", "--tenant", TENANT, "--out", str(pack), "--transaction", case)
    key = printed.rsplit("--key '", 1)[1].split("'", 1)[0]
    say(f"\nEvidence of {case} is in {pack}. Verified offline, without the server:\n")
    verify = [sys.executable, "-m", "countersign.cli", "verify", str(pack), "--key", key]
    done = subprocess.run(verify, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit("the pack does not verify")
    say(f"\nAgain at any time: .venv/bin/countersign verify {pack} --key '{key}'")


def _run(built: House, *, unattended: bool) -> None:
    try:
        anyio.run(lambda: play(built, unattended=unattended))
    except BaseExceptionGroup as group:  # the MCP client wraps what ends the story
        ending = group.subgroup(SystemExit)
        while isinstance(ending, BaseExceptionGroup):
            ending = ending.exceptions[0]
        raise ending or group from None


def _leave(*_: object) -> NoReturn:
    """A SIGTERM ends the demo as Ctrl-C does, with all that it started; a second one does not cut that short."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    signal.signal(signal.SIGTERM, _leave)
    began = time.monotonic()
    unattended = os.environ.get("UNATTENDED", "") not in {"", "0"}
    say("Setting up a fresh world …")
    with house(os.environ.get("HOST") or "127.0.0.1", int(os.environ.get("PORT") or 8000)) as built:
        say(f"It stands on {built.stands_on}.")
        say(f"Countersign is on {built.url}, and a Slack look-alike for it on {built.chat.url}")
        _run(built, unattended=unattended)
        if not unattended:
            say(f"\nThe service stays on {built.url} until Ctrl-C.")
            try:
                time.sleep(86_400)
            except KeyboardInterrupt:
                say()
    say(f"\nDone in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
