"""One evaluation request in, one durable answer out. The only file that knows the order of the steps.

credential → reach → policy (agent, tool, group, method, intent, schema, rules) → approval → caps → record.
What was judged in an older world, or by a clock that is wrong, goes through all of it again.
"""

from collections.abc import Mapping

from countersign import ids
from countersign.policy.evaluate import evaluate
from countersign.policy.values import Because, Mode, Outcome, Reason, Verdict
from enforcement import approved, asking, authn, budgets, commit, memory, moments, parse, pool, telling
from enforcement.asking import Step
from enforcement.authn import Caller
from enforcement.batch import Judged
from enforcement.budgets import Asks
from enforcement.clock import at, clock
from enforcement.group import Stale
from enforcement.memory import World
from enforcement.parse import Asked
from enforcement.problems import unavailable
from enforcement.telling import Said

ROUNDS = 4


async def evaluation(headers: Mapping[str, str], body: bytes) -> bytes:
    """The answer to one AuthZEN evaluation. Raises Problem."""
    for _ in range(ROUNDS):
        caller = await authn.caller(headers)
        step = judge(caller, body)
        try:
            return await _answer(step)
        except Stale as stale:
            await renew(stale)
    raise unavailable("The policy changes faster than this call can be judged.")


async def renew(stale: Stale) -> World:
    """The world that a call must be judged in. Raises Problem."""
    try:
        return await pool.run(memory.renew, stale.tenant, stale.epoch)
    except memory.NoWorld as error:
        raise unavailable("The policy of this tenant cannot be loaded; nothing is decided until it can.") from error


def judge(caller: Caller, body: bytes) -> Step:
    """Everything that needs no database. Raises Problem."""
    authn.check_speaks(caller.key)
    asked = parse.evaluation(body, caller.world)
    authn.check_reach(caller.key, asked.call.subject_type, asked.call.subject_id)
    offset = clock.offset
    verdict = evaluate(caller.world.bundle, asked.call, now=at(offset))
    return Step(asked, caller.key, caller.world, ids.new("eva"), verdict, offset)


async def _answer(step: Step) -> bytes:
    """An escalation that binds needs a transaction of its own; everything else joins the group."""
    if step.verdict.outcome is not Outcome.ESCALATE or step.verdict.mode is Mode.OBSERVE:
        return await commit.writer().submit(plain(step))
    if step.asked.approval is None:
        return await pool.run(_own_transaction, step, None)
    return await pool.run(_own_transaction, step, _asks(step.world, step.asked))


def _own_transaction(step: Step, asks: Asks | None) -> bytes:
    if asks is None:
        return moments.of(step.world, lambda moment: asking.answer(step, moment), judged_by=step.offset)
    return moments.of(step.world, lambda moment: approved.answer(step, moment, asks), judged_by=step.offset)


def plain(step: Step) -> Judged:
    """An allow, a denial or an observed call, with what its caps ask."""
    said = _said(step.verdict, step.asked)
    asks = _asks(step.world, step.asked) if said.permitted else budgets.NOTHING
    return Judged(step.asked, step.key, step.world, step.evaluation_id, said, asks, step.offset)


def _said(verdict: Verdict, asked: Asked) -> Said:
    """An approval does not override what policy denies now; its caller is told that asking again is no use."""
    said = telling.of_verdict(verdict)
    if asked.approval is None or said.permitted:
        return said
    words = "The approval does not help: the policy denies this call now."
    return telling.because_of(said, Because(Reason.POLICY_DENIED, words), outcome=Outcome.DENY)


def _asks(world: World, asked: Asked) -> Asks:
    """What the caps of a registered tool ask; nothing else has caps."""
    if asked.call.resource_type != "tool":
        return budgets.NOTHING
    tool = world.bundle.registry.tools.get(asked.call.resource_id)
    if tool is None or not tool.caps:
        return budgets.NOTHING
    return budgets.asks(tool.caps, asked.call, tenant_id=world.tenant_id)
