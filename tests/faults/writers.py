"""Many writers at one service that is about to break; what they were promised, and whether it was kept."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from countersign.proof import digests
from tests.journeys.server import Place
from tests.journeys.speakers import EVALUATION, Pep, lookup, refund
from tests.journeys.world import World


@dataclass
class Writers:
    """Threads that ask until told to stop; each question is an attempt with a name of its own."""

    acme: World
    count: int = 8
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    unanswered: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _names: "itertools.count[int]" = field(default_factory=itertools.count)

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Write, while something happens to the service."""
        self._stop.clear()
        threads = [threading.Thread(target=self._write, daemon=True) for _ in range(self.count)]
        for thread in threads:
            thread.start()
        try:
            meanwhile()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(timeout=60)

    def _write(self) -> None:
        pep = Pep(self.acme.url, self.acme.key)
        pep.http.timeout = 5
        while not self._stop.is_set():
            name = f"n-{next(self._names)}"
            escalates = int(name[2:]) % 3 == 0
            call = refund(f"{100 + int(name[2:])}.00", open_request=True) if escalates else lookup()
            call["context"]["attempt"] = name
            self.unanswered[name] = call
            while not self._ask(pep, name, call) and not self._stop.wait(0.05):
                self.lost += 1
        pep.http.close()

    def _ask(self, pep: Pep, name: str, call: dict[str, Any]) -> bool:
        """Whether it was answered. A PEP that was not asks the same again."""
        try:
            answer = pep.post(EVALUATION, call)
        except httpx2.HTTPError:
            return False
        if answer.status_code != 200:
            return False
        self.answered[name] = answer.json()
        del self.unanswered[name]
        return True

    def ask_again(self) -> None:
        """Each lost attempt once more; now all are answered."""
        pep = self.acme.pep
        for name, call in list(self.unanswered.items()):
            self.answered[name] = pep.decision(call)
            del self.unanswered[name]

    def assert_kept(self, place: Place) -> None:
        """Every answer that anybody holds has its record, under the leaf that its receipt promised."""
        rows = place.rows("SELECT event_id, leaf FROM evidence_record WHERE log = %s", self.acme.slug)
        leaves = {str(event_id): bytes(leaf) for event_id, leaf in rows}  # type: ignore[call-overload]  # a row is any
        for answer in self.answered.values():
            context = answer["context"]
            assert leaves.get(context["evaluation_id"]) == digests.raw(context["receipt"]["leaf"])

    def assert_nothing_half_done(self, place: Place) -> None:
        """A request, the record of its opening, of the decision that opened it, and its timer: all or none."""
        slug = self.acme.slug
        requests = "SELECT r.id FROM approvals_accessrequest r JOIN registry_tenant t ON t.id = r.tenant_id"
        there = {row[0] for row in place.rows(f"{requests} WHERE t.slug = %s", slug)}
        record = "SELECT request FROM evidence_record WHERE log = %s AND event = %s AND request <> ''"
        timers = "SELECT payload->>'request' FROM outbox_job WHERE tenant = %s AND kind = 'approvals.expire'"
        assert there
        for event in ("request.opened", "decision.made"):
            assert sorted(str(row[0]) for row in place.rows(record, slug, event)) == sorted(map(str, there)), event
        assert {row[0] for row in place.rows(timers, slug)} == there
        promised = [answer["context"].get("access_request", {}).get("task") for answer in self.answered.values()]
        assert {task["id"] for task in promised if task} <= there
