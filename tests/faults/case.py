"""A tenant of one's own behind the wire, with those who speak to it, and what is done while the wire is cut."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import yaml

from tests.faults.wire import Cut, Wire
from tests.journeys.speakers import Pep, Person, refund
from tests.journeys.world import World


@dataclass(frozen=True, slots=True)
class Case:
    """The tenant and its speakers."""

    acme: World
    wire: Wire
    pep: Pep
    erin: Person
    frank: Person

    def count(self, event: str) -> int:
        query = "SELECT count(*) FROM evidence_record WHERE log = %s AND event = %s"
        return int(str(self.acme.place.rows(query, self.acme.slug, event)[0][0]))

    def broken(
        self, cut: Cut, act: Callable[[], httpx2.Response], *, marker: bytes = b"INSERT INTO"
    ) -> httpx2.Response:
        """Do it while the wire is cut at the COMMIT of what holds the marker, see it fail, and do it again: the answer
        to that.
        """
        before = self.wire.cuts
        self.wire.arm(cut, marker)
        failed = act()
        assert self.wire.cuts == before + 1, f"nothing was cut: {failed.status_code} {failed.text[:300]}"
        assert failed.status_code >= 500
        return act()

    def member(self, name: str) -> Person:
        """Somebody with a key that may write, and no authenticator."""
        return Person(self.acme.url, self.acme.issue("--person", self.acme.username(name), "--scope", "read,vote"))

    def operator(self) -> Person:
        """Somebody who may say what became of a call, and is on no side of it."""
        slug, name = self.acme.slug, self.acme.username("olga")
        olga = {"username": name, "email": f"{name}@acme.test", "roles": ["operator"]}
        file = self.acme.place.home / f"{slug}.olga.yaml"
        file.write_text(yaml.safe_dump({"tenant": slug, "people": [olga]}))
        self.acme.place.manage("apply", "-f", str(file))
        return self.member("olga")

    def bundle(self) -> dict[str, Any]:
        """A submission for two calls, each denied by itself."""
        items = []
        for amount in ("250.00", "300.00"):
            call = refund(amount)
            denial = {"evaluation_id": self.pep.ask(call)["evaluation_id"]}
            items.append({"resource": call["resource"], "action": call["action"], "denial": denial})
        return {"subject": refund()["subject"], "items": items}

    def approved(self, amount: str = "250.00") -> dict[str, str]:
        request_id = self.pep.pending(amount)
        for person in (self.erin, self.frank):
            assert person.vote(request_id).status_code == 201
        return {"id": self.pep.task(request_id)["result"]["approval"]["id"]}


def terms(acme: World) -> dict[str, Any]:
    """dana asks that large refunds need nobody for a day, while carol vouches for them."""
    return {
        "category": "mitigated",
        "rules": ["refunds-over-100"],
        "match": {"agents": ["support-bot"], "tools": ["payments.refund"], "methods": ["create"]},
        "reason": "The migration of last year's orders.",
        "owner": acme.username("carol"),
        "expires_at": ahead(days=1),
        "controls": [{"kind": "attestation", "person": acme.username("carol"), "valid_until": ahead(days=1)}],
    }


def ahead(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()
