"""Many evaluations of one request in, decided in turn, durable answers in their order out.

Each takes the steps of `decide`; those that can share a COMMIT do.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, cast

from django.conf import settings

from enforcement import attempts, authn, commit, decide, group, many, parse, pool, principals
from enforcement.asking import Step
from enforcement.authn import Caller
from enforcement.group import NotAsked, Stale
from enforcement.judged import Judged
from enforcement.many import Item, Many
from enforcement.principals import Unproven
from enforcement.problems import Kind, Problem, unavailable

Answers = dict[int, bytes | Exception]
"""By place in the request. An exception is a Problem, told in that place."""


async def evaluations(headers: Mapping[str, str], body: bytes) -> bytes:
    """The answers to an AuthZEN evaluations request, in order. Raises Problem for what concerns all of them.

    All that needs no transaction of its own is decided in one COMMIT. What was judged in an older world is judged
    again; what has its answer by then keeps it.
    """
    caller = await authn.caller(headers)
    authn.check_speaks(caller.key)
    asked = await pool.run(many.read, body, limit=settings.COUNTERSIGN.body_limit)
    if asked is None:
        return await decide.evaluation(headers, body)
    answers: Answers = {}
    for _ in range(decide.ROUNDS):
        try:
            turns = await pool.run(_turns, caller, asked, answers)
            await _answer_in_turn(await _proven(turns, asked, headers), answers, ends_at=asked.ends_at)
        except Stale as stale:
            await decide.renew(stale)
            caller = await authn.caller(headers)
        else:
            return many.written(answers)
    raise unavailable("The policy changes faster than these calls can be judged.")


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
        step = decide.judge_asked(caller, read(item.members, item.body, caller.world))
        return decide.grouped(step) or step
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
        return [turn.step if isinstance(turn.step, Problem) else await decide.answer(cast("Step", turn.step))]
    except (Problem, Stale) as error:
        return [error] * len(run)
