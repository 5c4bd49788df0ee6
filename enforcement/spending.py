"""What a call was charged and what it really used in; its counters moved by the difference out. Blocking.

More than the charge counts whoever says so. Less counts only by a word that is worth it: a PEP's for a call that never
ran and for the tokens of one that ended well; for the spend of what has run an independent verifier's alone. An agent
that enforces upon itself wins nothing back.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from countersign.policy.values import Reason
from enforcement import budgets, caps
from enforcement.allowed import Allowed
from enforcement.memory import World
from enforcement.models import Custody, Execution
from enforcement.problems import Kind, Problem
from registry.models import CredentialKind

Used = Mapping[Reason, int]
NONE: Used = {}

_MEMBERS = {"tokens": Reason.TOKEN_CAP, "spend": Reason.SPEND_CAP}
_NOT_SPENT: Used = {Reason.SPEND_CAP: 0}


def read(usage: Any) -> Used:
    """What a report says was used, as counters count. Raises Problem (400); other members are kept, not counted."""
    if not isinstance(usage, dict):
        raise Problem(Kind.MALFORMED, "`usage` must be an object.")
    used = {_MEMBERS[name]: _read(name, usage[name]) for name in _MEMBERS if name in usage}
    if None in used.values():
        raise Problem(Kind.MALFORMED, "`usage.tokens` must be a whole number, `usage.spend` an amount of money.")
    return {cap: amount for cap, amount in used.items() if amount is not None}


def _read(name: str, value: Any) -> int | None:
    if name == "spend":
        return budgets.amount_of(value)
    return value if type(value) is int and value >= 0 else None


def reported(
    row: Execution, before: Custody, used: Used, *, kind: str, allowed: Allowed, world: World, cursor: CursorWrapper
) -> Mapping[str, Any]:
    """Count what its PEP says of an end. Answers the members of the record: the charges, if they changed."""
    down: tuple[Reason, ...] = ()
    if kind == CredentialKind.PEP:
        if before == Custody.RESERVED and row.status == Custody.FAILED:
            used, down = {**_NOT_SPENT, **used}, (Reason.SPEND_CAP,)
        elif row.status == Custody.COMMITTED:
            down = (Reason.TOKEN_CAP,)
    if used.get(Reason.TOKEN_CAP) and not any(one["cap"] == Reason.TOKEN_CAP for one in row.budget):
        row.budget = [*row.budget, *_undeclared(allowed, world, row.reserved_at)]
    return _count(row, used, down=down, cursor=cursor)


def never_taken_up(row: Execution, *, cursor: CursorWrapper) -> Mapping[str, Any]:
    """A reservation that lapsed: nothing was spent."""
    return _count(row, _NOT_SPENT, down=(Reason.SPEND_CAP,), cursor=cursor)


def verified(row: Execution, *, cursor: CursorWrapper) -> Mapping[str, Any]:
    """An independent verifier saw what was reported: of a failure nothing was spent, of a commit what it says."""
    said = read(row.report.get("usage", {}))
    used: Used = {cap: amount for cap, amount in said.items() if cap is Reason.SPEND_CAP}
    if row.status == Custody.FAILED:
        used = {**_NOT_SPENT, **used}
    elif row.status != Custody.COMMITTED:
        return {}
    return _count(row, used, down=(Reason.SPEND_CAP,), cursor=cursor)


def _count(row: Execution, used: Used, *, down: Collection[Reason], cursor: CursorWrapper) -> Mapping[str, Any]:
    after, moves = budgets.corrected(row.budget, used, down=down)
    if not moves:
        return {}
    caps.move(cursor, row.tenant_id, moves)
    Execution.objects.filter(pk=row.pk).update(budget=after)
    return {"budget": {"charges": after}}


def _undeclared(allowed: Allowed, world: World, at: datetime) -> list[dict[str, str]]:
    """A call that declared no tokens was charged none, which its report may set right."""
    tool = world.bundle.registry.tools.get(allowed.action.get("tool", ""))
    if tool is None or not tool.caps:
        return []
    subject = allowed.action.get("agent") or allowed.action["subject"]["id"]
    plan = budgets.plan(tool.caps, subject_id=subject, tool_id=tool.id, tenant_id=world.tenant_id)
    return budgets.undeclared(plan, int(at.timestamp()))
