"""The record of a plain decision, written from parts that many records have in common. Pure.

`evidence.journal.entry` writes any record; this writes the one that is made thousands of times a second, and the
tests hold the two equal byte for byte.
"""

from collections.abc import Sequence
from datetime import datetime

from countersign.proof import canonical, merkle
from countersign.proof.events import Event
from enforcement import budgets, telling
from enforcement.budgets import Demand
from enforcement.judged import Judged
from enforcement.telling import Told
from evidence import journal
from evidence.journal import Entry

_EVENT = Event.DECISION_MADE.value
_HEAD = b'{"_type":"https://in-toto.io/Statement/v1","predicate":{'
_TAIL = (
    f',"n":0}},"v":1}},"predicateType":"urn:countersign:evidence:{_EVENT}:v1","subject":[{{"digest":{{"sha256":"'
).encode()


class Writer:
    """Writes the records of one batch: one time, and each rate's charge written once."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.at = journal.timestamp(now)
        self._at = self.at.encode()
        self._seconds = int(now.timestamp())
        self._charges: dict[int, tuple[Demand, bytes]] = {}  # by identity; rates are constants of their world

    def entry(self, one: Judged, told: Told, taken: Sequence[Demand]) -> Entry:
        """`decision.made`, alone in a thread of its own id."""
        tenant, name = one.world.tenant.encode(), one.evaluation_id.encode()
        body = b"".join(
            (
                _beginning(one),
                self._budget(taken) if taken else b"",
                b'"decision":',
                told.decision,
                b',"event":"decision.made","event_id":"%b","log":"%b","recorded_at":"%b","tenant":"%b","thread":{"id":"%b"'
                % (name, tenant, self._at, tenant, name),
                _TAIL,
                one.asked.commitment[7:].encode(),
                b'"},"name":"%b"}]}' % name,
            )
        )
        call = one.asked.call
        return Entry(
            one.world.tenant,
            _EVENT,
            one.evaluation_id,
            one.evaluation_id,
            0,
            call.session or "",
            call.transaction or "",
            "",
            self.now,
            body,
            merkle.leaf_hash(body),
        )

    def _budget(self, taken: Sequence[Demand]) -> bytes:
        return b'"budget":{"charges":[%b]},' % b",".join([self._charge(demand) for demand in taken])

    def _charge(self, demand: Demand) -> bytes:
        known = self._charges.get(id(demand))
        if known is None:
            known = self._charges[id(demand)] = demand, canonical.dumps(budgets.charge(demand, self._seconds))
        return known[1]


def _beginning(one: Judged) -> bytes:
    """Up to the actor: the same for all calls of one credential for one agent, tool and method, whose principal is
    not proven.
    """
    if one.asked.proven_by is not None:
        return _written(one)
    call = one.asked.call
    place = (one.key.key_id, call.subject_type, call.subject_id, call.action_name, call.resource_type, call.resource_id)
    known: bytes | None = one.world.memo.get(place)
    if known is None:
        known = _written(one)
        one.world.memo.put(place, known)
    return known


def _written(one: Judged) -> bytes:
    action, actor = canonical.dumps(telling.action(one.asked)), canonical.dumps(telling.actor(one.key))
    return _HEAD + b'"action":%b,"actor":%b,' % (action, actor)
