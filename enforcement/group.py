"""A group of judged calls in, one transaction, what became of each out. One bad call takes no neighbour down."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection

from enforcement import attempts, batch, budgets, wire
from enforcement.attempts import Given, Name
from enforcement.budgets import Demand, Place
from enforcement.clock import TOLERANCE, clock
from enforcement.judged import Judged
from enforcement.line import Waiting
from enforcement.memory import World
from enforcement.problems import Problem, unavailable
from enforcement.wire import Transaction
from evidence import kept, keys
from evidence.keys import Purpose

log = logging.getLogger(__name__)

_GONE = (InterfaceError, OperationalError)
_STATES_OF_ONE = frozenset({"55P03", "40P01", "40001"})  # lock not available, deadlock, serialization failure


class Stale(Exception):
    """The call was judged in a world that is no more, or by a clock that is wrong: judge it again."""

    def __init__(self, tenant: str, epoch: int) -> None:
        super().__init__(f"tenant {tenant} is at epoch {epoch}")
        self.tenant = tenant
        self.epoch = epoch


class NotAsked(Exception):
    """A call of the same party was decided as that party ends: this one is not decided, and nothing is recorded."""


Outcome = bytes | Exception
"""What becomes of a ticket: the answer, or Problem, Stale or NotAsked."""


@dataclass(frozen=True, slots=True, eq=False)
class Party:
    """Calls that are decided in turn until one is decided so; then the rest is not asked any more."""

    ends_at: bool


@dataclass(slots=True, eq=False)
class Ticket:
    """One call on its way, and who waits for it."""

    judged: Judged
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[bytes]"
    deadline: float
    party: Party | None = None

    @property
    def given_up(self) -> bool:
        """Nobody waits any more, or not for long enough: it must not be recorded."""
        return self.future.done() or time.monotonic() >= self.deadline


def commit(tickets: Sequence[Ticket]) -> list[Outcome]:
    """What becomes of each, in order, by this thread's connection. Blocking."""
    try:
        transaction = wire.here()
    except _GONE as error:
        return gone(tickets, error)
    steps = committing(tickets, transaction)
    if connection.vendor == "postgresql":
        return connection.connection.wait(steps)  # type: ignore[no-any-return]  # psycopg's own, of steps like its own
    return _at_once(steps)


def _at_once(steps: Waiting[list[Outcome]]) -> list[Outcome]:
    """Steps that wait for nothing."""
    try:
        next(steps)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]  # what the steps return
    raise RuntimeError("there is nothing to wait for")


def gone(tickets: Sequence[Ticket], error: Exception | None = None) -> list[Outcome]:
    """Without a database nothing is answered but 503."""
    log.warning("the database is not there: %s", type(error).__name__ if error else "no connection")
    return [unavailable("The evidence store does not answer.")] * len(tickets)


def committing(tickets: Sequence[Ticket], transaction: Transaction) -> Waiting[list[Outcome]]:
    """What becomes of each, in order. One bad call costs its neighbours a second try, not their answers."""
    live = [ticket for ticket in tickets if not ticket.given_up]
    outcomes = {id(ticket): unavailable() for ticket in tickets} | (yield from _outcomes(live, transaction))
    return [outcomes[id(ticket)] for ticket in tickets]


def _outcomes(tickets: Sequence[Ticket], transaction: Transaction, *, met: bool = False) -> Waiting[dict[int, Outcome]]:
    """`met`: one of their attempts was being committed elsewhere; now it is, and is answered from what stands there."""
    if not tickets:
        return {}
    try:
        return (yield from _together(tickets, transaction))
    except _GONE as error:
        if not _of_one(error):
            transaction.drop()  # whether that COMMIT held nobody knows; an attempt asks again and finds out
            return dict(zip(map(id, tickets), gone(tickets, error), strict=True))
        failed: Exception = error
    except (DataError, IntegrityError, ValueError) as error:
        failed = error
        if isinstance(error, IntegrityError) and not met and any(name_of(ticket) for ticket in tickets):
            return (yield from _outcomes(tickets, transaction, met=True))
    units = _units(tickets)
    if len(units) == 1:
        log.error("a call could not be recorded: %s", type(failed).__name__)
        return {id(ticket): unavailable("This call could not be recorded.") for ticket in tickets}
    return (yield from _apart(units, transaction))


def _units(tickets: Sequence[Ticket]) -> list[list[Ticket]]:
    """What can be tried apart. A party cannot: who comes later in it is asked only because of those before."""
    units: dict[object, list[Ticket]] = {}
    for ticket in tickets:
        units.setdefault(ticket.party or ticket, []).append(ticket)
    return list(units.values())


def _apart(units: list[list[Ticket]], transaction: Transaction) -> Waiting[dict[int, Outcome]]:
    """A second try: those that need no counter together if that is news, else each alone for as long as it has time."""
    free = [unit for unit in units if not any(ticket.judged.claim.demands for ticket in unit)]
    groups = units
    if 0 < len(free) < len(units):
        groups = [[ticket for unit in free for ticket in unit], *(unit for unit in units if unit not in free)]
    outcomes: dict[int, Outcome] = {}
    for group in groups:
        outcomes |= yield from _outcomes([ticket for ticket in group if not ticket.given_up], transaction)
    return {id(ticket): unavailable() for unit in units for ticket in unit} | outcomes


def _of_one(error: Exception) -> bool:
    """Whether the database is well and only something in this batch was not."""
    return getattr(error.__cause__, "sqlstate", None) in _STATES_OF_ONE


def _together(tickets: Sequence[Ticket], transaction: Transaction) -> Waiting[dict[int, Outcome]]:
    """One transaction for all. Raises what the database raises; then nothing is written."""
    with transaction.frame():
        try:
            return (yield from _within(tickets, transaction))
        except Exception:
            yield from transaction.roll_back()
            raise


def _within(tickets: Sequence[Ticket], transaction: Transaction) -> Waiting[dict[int, Outcome]]:
    """Counters are locked for every call before it is known which of them go back: one round trip less, and a lock too
    many harms nobody.
    """
    seen = yield from transaction.look(_wanted(tickets))
    outcomes, fresh = _sort_out(tickets, seen.epochs, clock.told(seen.now))
    decided = _decide(fresh, seen, outcomes)
    calls = [ticket.judged for ticket in decided.leaders]
    built = batch.build(calls, decided.refused, now=seen.now, signer=keys.signer(Purpose.PDP))
    yield from transaction.write(_writes(calls, built, budgets.changed(decided.used, seen.used), seen.now))
    for ticket, one in zip(decided.leaders, built, strict=True):
        outcomes[id(ticket)] = one.answer
    for ticket, leader in decided.followers:
        outcomes[id(ticket)] = _again(ticket, Given(attempts.digest_of(leader.judged.asked.call), outcomes[id(leader)]))  # type: ignore[arg-type]  # a leader has been answered
    return outcomes


def _wanted(tickets: Sequence[Ticket]) -> wire.Wanted:
    return wire.Wanted(
        sorted({ticket.judged.world.tenant_id for ticket in tickets}),
        [name for ticket in tickets if (name := name_of(ticket))],
        budgets.places(ticket.judged.claim for ticket in tickets),
    )


def _sort_out(
    tickets: Sequence[Ticket], epochs: Mapping[int, int], offset: float
) -> tuple[dict[int, Outcome], list[Ticket]]:
    """What goes back, and what is still as it was judged."""
    outcomes: dict[int, Outcome] = {}
    fresh = []
    for ticket in tickets:
        world = ticket.judged.world
        epoch = epochs[world.tenant_id]
        if is_stale(world, epoch, offset, judged_by=ticket.judged.offset):
            outcomes[id(ticket)] = Stale(world.tenant, epoch)
        else:
            fresh.append(ticket)
    return outcomes, fresh


def is_stale(world: World, epoch: int, offset: float, *, judged_by: float | None) -> bool:
    """Whether what was judged goes back, because of a change committed since or a clock that was wrong."""
    return epoch != world.epoch or (judged_by is not None and abs(offset - judged_by) > TOLERANCE)


def name_of(ticket: Ticket) -> Name | None:
    """Its attempt, if it has one."""
    attempt = ticket.judged.asked.attempt
    return None if attempt is None else (ticket.judged.key.id, attempt)


def _again(ticket: Ticket, given: Given) -> Outcome:
    try:
        return given.again(attempts.digest_of(ticket.judged.asked.call), allowed_now=ticket.judged.told.said.permitted)
    except Problem as problem:
        return problem


class _Decided(NamedTuple):
    """Who is decided in this transaction and on which demand each fails; who repeats one of them; what was taken."""

    leaders: list[Ticket]
    refused: list[Demand | None]
    followers: list[tuple[Ticket, Ticket]]
    used: dict[Place, int]


def _decide(tickets: Sequence[Ticket], seen: wire.Seen, outcomes: dict[int, Outcome]) -> _Decided:
    """Caps are shared out in order. Attempts answered before are answered from that, and take nothing."""
    decided = _Decided([], [], [], dict(seen.used))
    leading: dict[Name, Ticket] = {}
    ended: set[Party] = set()
    for ticket in tickets:
        party, name = ticket.party, name_of(ticket)
        if party in ended:
            outcomes[id(ticket)] = NotAsked()
            continue
        if name is not None and name in seen.given:
            outcomes[id(ticket)] = _again(ticket, seen.given[name])
        elif name is not None and name in leading:
            decided.followers.append((ticket, leading[name]))
        else:
            decided.leaders.append(ticket)
            decided.refused.append(budgets.take(ticket.judged.claim, decided.used))
            if name is not None:
                leading[name] = ticket
        if party is not None and _permitted(ticket, decided, outcomes) == party.ends_at:
            ended.add(party)
    return decided


def _permitted(ticket: Ticket, decided: _Decided, outcomes: Mapping[int, Outcome]) -> bool:
    """How the ticket that was just decided was decided, before its answer is written."""
    outcome = outcomes.get(id(ticket))
    if outcome is not None:
        return attempts.permits(outcome)
    if decided.leaders[-1] is ticket:
        return batch.told_of(ticket.judged, decided.refused[-1]).said.permitted
    leader = decided.followers[-1][1]
    same = attempts.digest_of(leader.judged.asked.call) == attempts.digest_of(ticket.judged.asked.call)
    if not same or not ticket.judged.told.said.permitted:
        return False  # told the leader's denial, or a conflict with it
    return batch.told_of(leader.judged, decided.refused[decided.leaders.index(leader)]).said.permitted


def _writes(
    calls: Sequence[Judged], built: Sequence[batch.Built], used: Mapping[Place, int], now: datetime
) -> wire.Writes:
    given = [
        ((one.key.id, one.asked.attempt), Given(attempts.digest_of(one.asked.call), made.answer, now))
        for one, made in zip(calls, built, strict=True)
        if one.asked.attempt is not None
    ]
    # In one order, as every lock: two groups that write the same ones must not wait for each other in a ring.
    given.sort(key=lambda named: named[0])
    rows = [_kept(one, now) for one in calls if one.world.snapshot.keep_arguments]
    return wire.Writes([one.entry for one in built], given, used, rows)


def _kept(one: Judged, now: datetime) -> Any:
    asked = one.asked
    return kept.row(
        one.world.tenant, commitment=asked.commitment, action=asked.call.action, arguments=asked.call.arguments,
        salt=asked.salt, now=now,
    )  # fmt: skip
