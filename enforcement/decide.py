"""One evaluation request in, its durable answer out. The only file that knows the order of the steps.

credential → reach → policy (agent, tool, group, method, intent, schema, rules) → unsettled run → waiver → approval →
caps → record.
What was judged in an older world, or by a clock that is wrong, goes through all of it again.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from countersign import ids
from countersign.policy.evaluate import evaluate
from countersign.policy.values import Because, Mode, Outcome, Reason, Verdict
from countersign.policy.waivers import Lifted, lift
from enforcement import (
    approved,
    asking,
    authn,
    budgets,
    chance,
    commit,
    judged,
    memory,
    moments,
    obliging,
    parse,
    pool,
    principals,
    telling,
    unsettled,
    waived,
)
from enforcement.asked import Asked
from enforcement.asking import Step
from enforcement.authn import Caller
from enforcement.budgets import Asks, Plan
from enforcement.clock import at, clock
from enforcement.group import Stale
from enforcement.judged import Judged
from enforcement.memory import World
from enforcement.principals import Unproven
from enforcement.problems import unavailable
from enforcement.telling import Said, Told

ROUNDS = 4
_SAY_WHY = (Reason.OBLIGATION_UNSUPPORTED, Reason.UNRECONCILED)  # denials that are told as they are to an approval
AT_ONCE = 4096  # bytes of a body that is judged on the event loop; ten times what a call needs


async def evaluation(headers: Mapping[str, str], body: bytes) -> bytes:
    """The answer to one AuthZEN evaluation. Raises Problem."""
    for _ in range(ROUNDS):
        caller = await authn.caller(headers)
        # A large body may take long to judge (an SQL text, a hundred thousand numbers): nobody else must wait for it.
        try:
            step = judge(caller, body) if len(body) <= AT_ONCE else await pool.run(judge, caller, body)
            return await answer(step)
        except Unproven as unproven:
            await principals.prove(unproven, caller.world)
        except Stale as stale:
            await renew(stale)
    raise unavailable("The policy changes faster than this call can be judged.")


async def renew(stale: Stale) -> World:
    """The world that a call must be judged in. Raises Problem."""
    try:
        return await pool.look(memory.renew, stale.tenant, stale.epoch)
    except memory.NoWorld as error:
        raise unavailable("The policy of this tenant cannot be loaded; nothing is decided until it can.") from error


def judge(caller: Caller, body: bytes) -> Step:
    """Everything that needs no database. Raises Problem."""
    authn.check_speaks(caller.key)
    return judge_asked(caller, parse.evaluation(body, caller.world))


def judge_asked(caller: Caller, asked: Asked) -> Step:
    """As `judge`, of a question that is read already."""
    authn.check_reach(caller.key, asked.call.subject_type, asked.call.subject_id)
    offset = clock.offset
    verdict, lifted = verdict_on(asked, caller.world, now=at(offset))
    return Step(asked, caller.key, caller.world, ids.of("eva", chance.salt()[:16]), verdict, offset, lifted)


def verdict_on(asked: Asked, world: World, *, now: datetime) -> tuple[Verdict, Lifted | None]:
    """What the policy says of it, and the waiver that would let it through. Pure."""
    verdict = unsettled.judged(world, asked.call, evaluate(world.bundle, asked.call, now=now))
    lifted = _lifted(asked, world, verdict, now=now) if verdict.held_up and not asked.approval else None
    if asked.supported is not None:
        verdict, lifted = obliging.judged(world, asked, verdict, lifted, now=now)
    return verdict, lifted


def _lifted(asked: Asked, world: World, verdict: Verdict, *, now: datetime) -> Lifted | None:
    """By a waiver in force, or else by one whose last use may have been this attempt's: it serves no other."""
    found = lift(world.waivers, world.bundle, asked.call, verdict, now=now)
    if found is None and asked.attempt is not None:
        found = lift(world.used_up, world.bundle, asked.call, verdict, now=now)
    return found


async def answer(step: Step) -> bytes:
    """An escalation that binds needs a transaction of its own; everything else joins the group."""
    joining = grouped(step)
    if joining is not None:
        return await commit.writer().submit(joining)
    if step.lifted is not None:
        return await pool.run(_waived, step, asks_of(step.world, step.asked))
    asks = asks_of(step.world, step.asked)
    if asks.refusal is not None:  # over a cap by itself: no yes could help, so nobody is asked for one
        said = telling.because_of(
            telling.of_verdict(step.verdict), asks.refusal, outcome=Outcome.DENY,
            next_action=None if step.asked.approval is None else "none",
        )  # fmt: skip
        return await commit.writer().submit(_judged(step, telling.told(step, said, step.world), budgets.NOTHING))
    return await pool.run(_own_transaction, step, asks if step.asked.approval is not None else None)


def grouped(step: Step) -> Judged | None:
    """What joins the group; None if it needs a transaction of its own, or nothing but words."""
    if step.lifted is not None or (step.verdict.outcome is Outcome.ESCALATE and step.verdict.mode is not Mode.OBSERVE):
        return None
    return plain(step)


def _own_transaction(step: Step, asks: Asks | None) -> bytes:
    if asks is None:
        return moments.of(step.world, lambda moment: asking.answer(step, moment), judged_by=step.offset)
    return moments.of(step.world, lambda moment: approved.answer(step, moment, asks), judged_by=step.offset)


def _waived(step: Step, asks: Asks) -> bytes:
    return moments.of(step.world, lambda moment: waived.answer(step, moment, asks), judged_by=step.offset)


def plain(step: Step) -> Judged:
    """An allow, a denial or an observed call, with what its caps ask."""
    told = telling.told_verdict(step.verdict, step.world)
    asks = budgets.NOTHING
    if told.said.permitted:
        asks = asks_of(step.world, step.asked)
    elif step.asked.approval is not None:
        told = telling.told(step, _no_help(told.said), step.world)
    return _judged(step, told, asks)


def _judged(step: Step, told: Told, asks: Asks) -> Judged:
    return judged.judged(
        step.asked,
        key=step.key,
        world=step.world,
        evaluation_id=step.evaluation_id,
        told=told,
        asks=asks,
        offset=step.offset,
    )


def _no_help(said: Said) -> Said:
    """An approval does not override what policy denies now; its caller is told that asking again is no use."""
    if said.reason in _SAY_WHY:
        return replace(said, next_action="none")
    words = "The approval does not help: the policy denies this call now."
    return telling.because_of(said, Because(Reason.POLICY_DENIED, words), outcome=Outcome.DENY, next_action="none")


def asks_of(world: World, asked: Asked) -> Asks:
    """What the caps of a registered tool ask; nothing else has caps."""
    call = asked.call
    if call.resource_type != "tool":
        return budgets.NOTHING
    place = (call.resource_id, call.subject_id)
    plan: Plan | None = world.memo.get(place)
    if plan is None:
        tool = world.bundle.registry.tools.get(call.resource_id)
        if tool is None or not tool.caps:
            return budgets.NOTHING
        plan = budgets.plan(tool.caps, subject_id=call.subject_id, tool_id=tool.id, tenant_id=world.tenant_id)
        world.memo.put(place, plan)
    return budgets.asks(plan, call)
