"""A tenant in, what its blueprints propose to ask for out, each with the waiver that was asked for in these words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from approvals.waivers.models import Waiver
from registry.models import Tenant, WaiverDraft

_TIMES: Final = frozenset({"not_before", "expires_at", "valid_until"})


@dataclass(frozen=True, slots=True)
class Draft:
    """Terms that nobody has granted. `asked` is the newest waiver with these, whatever became of it; the form writes
    times otherwise.
    """

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
    return next((one for one in same if _meant(one.terms["terms"]) == _meant(terms)), None)


def _meant(said: Any, name: str = "") -> Any:
    """The same with times as times."""
    if isinstance(said, Mapping):
        return {key: _meant(part, key) for key, part in said.items()}
    if isinstance(said, list):
        return [_meant(part) for part in said]
    return datetime.fromisoformat(said) if name in _TIMES else said
