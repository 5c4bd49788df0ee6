"""A sealed row in, what counts of it and what waits to count out; and back. The whole of it is under the seal.

So is the moment from which a change counts: who can write in the database alone hastens nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.models import Access
from evidence import clock, keys
from registry.models import Tenant

Given = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Next:
    """What will count, from when on, and who entered it (a user name)."""

    settings: Given = field(repr=False)
    counts_from: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Held:
    """What counts, if anything does, and what waits."""

    settings: Given | None = field(repr=False)
    next: Next | None = None

    def at(self, now: datetime) -> "Held":
        """As it is at this moment: what has waited long enough counts."""
        if self.next is None or now < self.next.counts_from:
            return self
        return Held(self.next.settings)


def opened(row: Access, tenant: Tenant) -> Held:
    """As it is now, by the database's clock. Raises keys.CannotUnseal on a row changed by hand."""
    held = _read(json.loads(keys.unseal(bytes(row.box), bound_to=_place(tenant, row.kind))))
    return held if held.next is None else held.at(clock.now())


def sealed(held: Held, tenant: Tenant, kind: str) -> bytes:
    """Where nothing waits, the settings alone, as they have always been kept."""
    told = dict(held.settings or {}) if held.next is None else _written(held, held.next)
    return keys.seal(json.dumps(told).encode(), bound_to=_place(tenant, kind))


def _written(held: Held, waits: Next) -> Mapping[str, Any]:
    given = {"settings": dict(waits.settings), "from": waits.counts_from.isoformat(), "by": waits.by}
    return {"now": None if held.settings is None else dict(held.settings), "next": given}


def _read(told: Mapping[str, Any]) -> Held:
    waits = told.get("next")
    if waits is None:
        return Held(told)
    return Held(told["now"], Next(waits["settings"], datetime.fromisoformat(waits["from"]), waits["by"]))


def _place(tenant: Tenant, kind: str) -> str:
    return f"connectors/access/{tenant.slug}/{kind}"
