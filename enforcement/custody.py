"""A tenant in; its executions whose end nobody knows, and those that people settled lately, with their calls, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals.decisions import named
from countersign.proof import canonical
from enforcement import reconciling
from enforcement.models import Custody, Execution, Verification
from evidence.models import Record
from registry.models import Membership, Tenant

PAGE: Final = 50
_LATELY: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One execution and the call it is of, as the record of its decision tells it: names alone, never an argument."""

    execution: Execution
    action: Mapping[str, Any]
    transaction: str

    @property
    def caller(self) -> str:
        """The agent, or `type:id`."""
        return named(self.action, "agent", "subject")

    @property
    def resource(self) -> str:
        """The tool, or `type:id`."""
        return named(self.action, "tool", "resource")

    @property
    def blocks(self) -> bool:
        """Whether the same call is denied meanwhile."""
        return self.execution.status == Custody.INDETERMINATE and bool(self.execution.action_digest)

    @property
    def status(self) -> str:
        """Where it stands."""
        return self.execution.status


def waiting(tenant: Tenant, *, page: int = 1) -> list[Row]:
    """One page of those that wait for a person, the longest wait first; and one more, if there are more."""
    rows = Execution.objects.filter(tenant=tenant, status=Custody.INDETERMINATE).order_by("finished_at", "pk")
    return _rows(tenant, rows[(page - 1) * PAGE : page * PAGE + 1])


def lately(tenant: Tenant) -> list[Row]:
    """The last that people reconciled."""
    rows = Execution.objects.filter(tenant=tenant, reconciliation__isnull=False)
    newest = rows.select_related("reconciliation__by__user").order_by("-reconciliation__made_at")
    return _rows(tenant, newest[:_LATELY])


def one(evaluation_id: str, tenant: Tenant) -> Row:
    """Raises UnknownExecution."""
    rows = Execution.objects.filter(pk=evaluation_id, tenant=tenant)
    found = _rows(tenant, rows.select_related("reconciliation__by__user", "credential", "tenant"))
    if not found:
        raise reconciling.UnknownExecution(evaluation_id)
    return found[0]


def findings(row: Row) -> Sequence[Verification]:
    """What verifiers saw, oldest first."""
    return list(row.execution.verifications.select_related("credential").order_by("made_at"))


def why_not(row: Row, member: Membership) -> str:
    """What stands against this member's saying what became of it: `settled`, `role`, `party`; empty for nothing."""
    if row.status != Custody.INDETERMINATE:
        return "settled"
    if not reconciling.may(member):
        return "role"
    return "party" if reconciling.is_party(row.execution, member) else ""


def _rows(tenant: Tenant, executions: Any) -> list[Row]:
    """One look at the records serves all of them."""
    found = list(executions)
    records = Record.objects.filter(log=tenant.slug, event_id__in=[one.pk for one in found])
    by_id = {record.event_id: record for record in records}
    return [_row(one, by_id[one.pk]) for one in found]


def _row(execution: Execution, record: Record) -> Row:
    predicate = canonical.loads_object(bytes(record.body))["predicate"]
    return Row(execution, predicate["action"], record.transaction)
