"""One evaluation request in, or many in one, durable answers out. The only file that knows the order of the steps.

credential → reach → policy (agent, tool, group, method, intent, schema, rules) → unsettled run → waiver → approval →
caps → record.
What was judged in an older world, or by a clock that is wrong, goes through all of it again.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import NamedTuple, cast

from django.conf import settings

from countersign import ids
from countersign.policy.evaluate import evaluate
from countersign.policy.values import Because, Mode, Outcome, Reason, Verdict
from countersign.policy.waivers import Lifted, lift
from enforcement import (
    approved,
    asking,
    attempts,
    authn,
    budgets,
    chance,
    commit,
    group,
    judged,
    many,
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
from enforcement.group import NotAsked, Stale
from enforcement.judged import Judged
from enforcement.many import Item, Many
from enforcement.memory import World
from enforcement.principals import Unproven
from enforcement.problems import Kind, Problem, unavailable
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
            return await _answer(step)
        except Unproven as unproven:
            await principals.prove(unproven, caller.world)
        except Stale as stale:
            await renew(stale)
    raise unavailable("The policy changes faster than this call can be judged.")


async def evaluations(headers: Mapping[str, str], body: bytes) -> bytes:
    """The answers to an AuthZEN evaluations request, in order. Raises Problem for what concerns all of them.

    All that needs no transaction of its own is decided in one COMMIT. What was judged in an older world is judged
    again; what has its answer by then keeps it.
    """
    caller = await authn.caller(headers)
    authn.check_speaks(caller.key)
    asked = await pool.run(many.read, body, limit=settings.COUNTERSIGN.body_limit)
    if asked is None:
        return await evaluation(headers, body)
    answers: Answers = {}
    for _ in range(ROUNDS):
        try:
            turns = await pool.run(_turns, caller, asked, answers)
            await _answer_in_turn(await _proven(turns, asked, headers), answers, ends_at=asked.ends_at)
        except Stale as stale:
            await renew(stale)
            caller = await authn.caller(headers)
        else:
            return many.written(answers)
    raise unavailable("The policy changes faster than these calls can be judged.")


async def renew(stale: Stale) -> World:
    """The world that a call must be judged in. Raises Problem."""
    try:
        return await pool.look(memory.renew, stale.tenant, stale.epoch)
    except memory.NoWorld as error:
        raise unavailable("The policy of this tenant cannot be loaded; nothing is decided until it can.") from error


def judge(caller: Caller, body: bytes) -> Step:
    """Everything that needs no database. Raises Problem."""
    authn.check_speaks(caller.key)
    return _judge(caller, parse.evaluation(body, caller.world))


def _judge(caller: Caller, asked: Asked) -> Step:
    authn.check_reach(caller.key, asked.call.subject_type, asked.call.subject_id)
    offset = clock.offset
    verdict, lifted = verdict_on(asked, caller.world, now=at(offset))
    return Step(asked, caller.key, caller.world, ids.of("eva", chance.salt()[:16]), verdict, offset, lifted)


def verdict_on(asked: Asked, world: World, *, now: datetime) -> tuple[Verdict, Lifted | None]:
    """What the policy says of it, and the waiver that would let it through, or may have let this very attempt. Pure."""
    verdict = unsettled.judged(world, asked.call, evaluate(world.bundle, asked.call, now=now))
    lifted = None
    if verdict.held_up and world.waivers.all and not asked.approval:
        lifted = lift(world.waivers, world.bundle, asked.call, verdict, now=now)
    if lifted is None and asked.attempt is not None and verdict.held_up and world.used_up.all and not asked.approval:
        lifted = lift(world.used_up, world.bundle, asked.call, verdict, now=now)
    if asked.supported is not None:
        verdict, lifted = obliging.judged(world, asked, verdict, lifted, now=now)
    return verdict, lifted


# --- many at once

Answers = dict[int, bytes | Exception]
"""By place in the request. An exception is a Problem, told in that place."""


class Turn(NamedTuple):
    """One item of a request. Judged: it joins the group; a Step needs a transaction of its own."""

    place: int
    step: Judged | Step | Problem

    @property
    def joins(self) -> bool:
        return isinstance(self.step, Judged)


def _turns(caller: Caller, asked: Many, answers: Answers) -> list[Turn]:
    """Every item that has no answer yet, judged."""
    return [Turn(place, _turn(caller, item)) for place, item in enumerate(asked.items) if place not in answers]


def _turn(caller: Caller, item: Item | Problem) -> Judged | Step | Problem:
    try:
        if isinstance(item, Problem):
            return item
        read = parse.plain if item.plain else parse.question
        step = _judge(caller, read(item.members, item.body, caller.world))
        return grouped(step) or step
    except Problem as problem:
        return problem


async def _proven(turns: list[Turn], asked: Many, headers: Mapping[str, str]) -> list[Turn]:
    """The same; what named a principal by a token that nobody had looked at yet is judged now that somebody has."""
    return [
        turn._replace(step=await _proved(turn.step, asked.items[turn.place], headers))
        if isinstance(turn.step, Unproven)
        else turn
        for turn in turns
    ]


async def _proved(unproven: Unproven, item: Item | Problem, headers: Mapping[str, str]) -> Judged | Step | Problem:
    """In the world that the token was looked at in, which may be newer: the others are found to be stale then."""
    try:
        await principals.prove(unproven, (await authn.caller(headers)).world)
    except Problem as problem:
        return problem
    return await pool.run(_turn, await authn.caller(headers), item)


async def _answer_in_turn(turns: list[Turn], answers: Answers, *, ends_at: bool | None) -> None:
    """Into `answers`, until one is decided as `ends_at` says. Raises Stale if the rest must be judged again."""
    gone: Problem | None = None
    for run in _runs(turns, ends_at=ends_at):
        stale = None
        outcomes = [gone] if gone and isinstance(run[0].step, Step) else await _decided(run, ends_at=ends_at)
        for turn, outcome in zip(run, outcomes, strict=True):
            if isinstance(outcome, NotAsked):
                return
            if isinstance(outcome, Stale):
                stale = outcome
                continue
            answers[turn.place] = outcome
            if ends_at is not None and attempts.permits(outcome) == ends_at:
                return
            if isinstance(turn.step, Step) and isinstance(outcome, Problem) and outcome.kind is Kind.UNAVAILABLE:
                gone = outcome  # the next would only wait as long for the same database
        if stale is not None:
            raise stale


def _runs(turns: list[Turn], *, ends_at: bool | None) -> Iterator[list[Turn]]:
    """What is decided together. Where all are asked their order means nothing, so those that can share a COMMIT do and
    go first. What needs one of its own goes one after another: one caller takes one thread, not the whole pool.
    """
    ordered = turns if ends_at is not None else sorted(turns, key=lambda turn: not turn.joins)
    for joins, together in groupby(ordered, key=lambda turn: turn.joins):
        run = list(together)
        yield from [run] if joins else [[turn] for turn in run]


async def _decided(run: list[Turn], *, ends_at: bool | None) -> Sequence[group.Outcome]:
    """What becomes of each."""
    calls = [turn.step for turn in run if isinstance(turn.step, Judged)]
    try:
        if calls:
            futures = commit.writer().submit_all(calls, ends_at=ends_at)
            return cast("list[group.Outcome]", await asyncio.gather(*futures, return_exceptions=True))
        (turn,) = run
        return [turn.step if isinstance(turn.step, Problem) else await _answer(cast("Step", turn.step))]
    except (Problem, Stale) as error:
        return [error] * len(run)


# --- one


async def _answer(step: Step) -> bytes:
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
