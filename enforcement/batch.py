"""Judged calls in, journal entries and answers out, under one signature. Pure: what the group commit writes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from countersign.proof import receipt
from countersign.proof.keys import Signer
from enforcement import records, telling
from enforcement.budgets import Demand
from enforcement.judged import Judged
from enforcement.telling import Told
from evidence import journal
from evidence.journal import Entry

PROMISED_WITHIN = timedelta(seconds=10)
_ANSWER = b"countersign/answer/v1\n"


class Built(NamedTuple):
    """What is written of one call, and what its caller is told once it is."""

    entry: Entry
    answer: bytes


def build(calls: Sequence[Judged], refused: Sequence[Demand | None], *, now: datetime, signer: Signer) -> list[Built]:
    """Entries and answers of one batch, in order. `refused` is what `caps.reserve` said of each."""
    writer = records.Writer(now)
    entries: list[Entry] = []
    answers: list[bytes] = []
    promises: list[receipt.Entry] = []
    for one, demand in zip(calls, refused, strict=True):
        told = told_of(one, demand)
        entry = writer.entry(one, told, () if demand is not None and one.claim.enforced else one.claim.demands)
        tail = told.brief if one.key.brief else told.full
        answer = telling.plain_answer(one.asked, tail, evaluation_id=one.evaluation_id, at=writer.at)
        entries.append(entry)
        answers.append(answer)
        promises.append(receipt.Entry(one.world.tenant, entry.leaf, answer_digest(answer)))
    receipts = receipt.written(promises, promised_by=journal.timestamp(now + PROMISED_WITHIN), signer=signer)
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
    (one,) = receipt.written([entry], promised_by=journal.timestamp(now + PROMISED_WITHIN), signer=signer)
    return telling.with_receipt(answer, one)


def told_of(one: Judged, demand: Demand | None) -> Told:
    """What is told of one call once its caps are shared out. `demand` is the one it failed on, if any."""
    if not one.told.said.permitted:
        return one.told
    if one.asks.refusal is not None:
        return telling.told_over_cap(one.told, one.asks.refusal, one.world)
    return one.told if demand is None else telling.told_over_cap(one.told, demand.refusal, one.world)
