"""A tenant in, what its blueprints propose to ask for out, each with the waiver that was asked for in these words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from approvals.waivers.models import Waiver
from registry.models import Tenant, WaiverDraft


@dataclass(frozen=True, slots=True)
class Draft:
    """Terms that nobody has granted. `asked` is the newest waiver with exactly these, whatever became of it."""

    id: str
    terms: Mapping[str, Any]
    asked: Waiver | None


def listed(tenant: Tenant) -> list[Draft]:
    """All drafts, by name."""
    rows = list(WaiverDraft.objects.filter(tenant=tenant).order_by("draft_id"))
    return [Draft(row.draft_id, row.terms, _asked(tenant, row.terms)) for row in rows]


def find(tenant: Tenant, draft_id: str) -> Draft | None:
    """One draft by its name in the blueprint, or None."""
    row = WaiverDraft.objects.filter(tenant=tenant, draft_id=draft_id).first()
    return None if row is None else Draft(row.draft_id, row.terms, _asked(tenant, row.terms))


def _asked(tenant: Tenant, terms: Mapping[str, Any]) -> Waiver | None:
    """Those of the same reason are few, and compared whole."""
    same = Waiver.objects.filter(tenant=tenant, terms__terms__reason=terms["reason"]).order_by("-asked_at")
    return next((one for one in same if one.terms["terms"] == terms), None)
