"""A tenant in, the waivers its calls are judged with out: compiled once for each, whatever else changes."""

import logging
from typing import Final

from django.db.models import QuerySet
from django.db.models.functions import Now

from approvals.waivers.models import State, Waiver
from countersign.policy import waiver_scope, waiver_terms
from countersign.policy.faults import InvalidError
from countersign.policy.globs import Memo
from countersign.policy.waiver_scope import Times
from countersign.policy.waivers import Waiver as Compiled
from countersign.policy.waivers import Waivers

log = logging.getLogger(__name__)

_KEPT: Final = 50_000
_compiled: Memo[Compiled] = Memo(_KEPT)  # by id and version: neither terms nor pins of one ever change


def load(tenant_id: int) -> Waivers:
    """Those in force, whether or not their time has come."""
    return _compiled_of(Waiver.objects.filter(tenant_id=tenant_id, state=State.ACTIVE))


def used_up(tenant_id: int) -> Waivers:
    """Those without a use left, while their time is not over: they let nobody through, but an answer that was lost is
    given again.
    """
    return _compiled_of(Waiver.objects.filter(tenant_id=tenant_id, state=State.USED_UP, expires_at__gt=Now()))


def _compiled_of(rows: QuerySet[Waiver]) -> Waivers:
    """A row that nobody can read lifts nothing."""
    return Waivers([one for row in rows.iterator() if (one := _of(row)) is not None])


def _of(row: Waiver) -> Compiled | None:
    known = _compiled.get((row.pk, row.version))
    if known is None:
        try:
            terms, pinned = waiver_terms.read(row.terms["terms"]), row.terms["pinned"]
            times = Times(row.not_before, row.expires_at)
            known = waiver_scope.waiver(row.pk, row.version, terms, pinned, times=times)
        except (InvalidError, KeyError, TypeError, ValueError):
            log.warning("waiver %s cannot be read and lifts nothing", row.pk)
            return None
        _compiled.put((row.pk, row.version), known)
    return known
