"""Decided calls in, journal entries and answers out, under one signature. Pure: what the group commit writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from countersign.policy.values import Mode
from countersign.proof import receipt
from countersign.proof.events import Event
from countersign.proof.keys import Signer
from enforcement import budgets, telling
from enforcement.budgets import Asks, Claim, Demand
from enforcement.memory import World
from enforcement.parse import Asked
from enforcement.telling import Said
from evidence import journal
from evidence.journal import Entry
from registry.snapshot import KeyView

PROMISED_WITHIN = timedelta(seconds=10)
_ANSWER = b"countersign/answer/v1\n"


@dataclass(slots=True)
class Judged:
    """One call that needs nothing but its caps and its record: judged, not yet said."""

    asked: Asked
    key: KeyView
    world: World
    evaluation_id: str
    said: Said
    asks: Asks
    offset: float  # of the clock it was judged by

    @property
    def enforced(self) -> bool:
        """Whether caps may refuse this call, or only count it."""
        return self.said.mode is Mode.ENFORCE

    @property
    def claim(self) -> Claim:
        """Only what will run is counted. A call that is over a cap by itself takes nothing."""
        runs = self.said.permitted and (self.asks.refusal is None or not self.enforced)
        return Claim(self.asks.demands if runs else (), enforced=self.enforced)


class Built(NamedTuple):
    """What is written of one call, and what its caller is told once it is."""

    entry: Entry
    answer: bytes


def build(judged: Sequence[Judged], refused: Sequence[Demand | None], *, now: datetime, signer: Signer) -> list[Built]:
    """Entries and answers of one batch, in order. `refused` is what `caps.reserve` said of each."""
    entries: list[Entry] = []
    answers: list[bytes] = []
    promises: list[receipt.Entry] = []
    seconds = int(now.timestamp())
    for one, demand in zip(judged, refused, strict=True):
        said = _said(one, demand)
        entry = _entry(one, said, demand, now=now, seconds=seconds)
        answer = telling.answer(
            said, asked=one.asked, world=one.world, brief=one.key.brief, evaluation_id=one.evaluation_id, at=now
        )
        entries.append(entry)
        answers.append(answer)
        promises.append(receipt.Entry(one.world.tenant, entry.leaf, answer_digest(answer)))
    receipts = receipt.promise(promises, promised_by=journal.timestamp(now + PROMISED_WITHIN), signer=signer)
    return [
        Built(entry, telling.with_receipt(answer, promised))
        for entry, answer, promised in zip(entries, answers, receipts, strict=True)
    ]


def answer_digest(answer: bytes) -> str:
    """What `receipt.answer_digest` says of the answer these canonical bytes are."""
    return "sha256:" + sha256(_ANSWER + answer).hexdigest()


def promised(answer: bytes, *, log: str, leaf: bytes, now: datetime, signer: Signer) -> bytes:
    """One answer with a receipt of its own, for decisions made outside of the group commit."""
    entry = receipt.Entry(log, leaf, answer_digest(answer))
    (one,) = receipt.promise([entry], promised_by=journal.timestamp(now + PROMISED_WITHIN), signer=signer)
    return telling.with_receipt(answer, one)


def _said(one: Judged, demand: Demand | None) -> Said:
    if not one.said.permitted:
        return one.said
    if one.asks.refusal is not None:
        return telling.over_cap(one.said, one.asks.refusal)
    return one.said if demand is None else telling.over_cap(one.said, demand.refusal)


def _entry(one: Judged, said: Said, demand: Demand | None, *, now: datetime, seconds: int) -> Entry:
    call = one.asked.call
    members: dict[str, Any] = {"action": telling.action(one.asked), "decision": telling.decision(said, one.world)}
    taken = one.claim.demands if demand is None or not one.enforced else ()
    if taken:
        members["budget"] = telling.budget(budgets.charges(taken, seconds))
    return journal.entry(
        Event.DECISION_MADE,
        event_id=one.evaluation_id,
        tenant=one.world.tenant,
        thread=one.evaluation_id,
        n=0,
        prev_leaf=None,
        recorded_at=now,
        actor=telling.actor(one.key),
        commitment=one.asked.commitment,
        members=members,
        session=call.session or "",
        transaction=call.transaction or "",
    )
