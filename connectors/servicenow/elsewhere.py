"""A line for a record that somebody else made, noted there once out; never at a record of our own."""

from connectors.port import Reply, TransportError
from connectors.servicenow import card
from connectors.servicenow.table import Row, Table

NOT_WITHIN = "No table that a channel of the tenant lists under origins has that record, so nothing is told there."
OURS = "The record is one of Countersign's own, where nothing of another request is told."
_FIELDS = ("sys_id", "number", "correlation_display")


def reply(table: Table, line: Reply) -> None:
    """Find the record by its number in the tables that are allowed, then note it. Raises TransportError."""
    for name in sorted(line.within):
        row = _found(table, name, line.where["record"])
        if row is not None:
            _note(table, name, row, card.harmless(line.words))
            return
    raise TransportError(NOT_WITHIN, permanent=True)


def _found(table: Table, name: str, number: str) -> Row | None:
    """What comes back is compared: see `Table.rows`."""
    rows = table.rows(name, f"number={number}", _FIELDS, limit=1)
    return next((row for row in rows if row.get("number") == number), None)


def _note(table: Table, name: str, row: Row, words: str) -> None:
    if row.get("correlation_display") == card.OURS:
        raise TransportError(OURS, permanent=True)
    _, shown = table.shown(name, row["sys_id"], ("work_notes",))
    if words not in shown.get("work_notes", ""):
        table.change(name, row["sys_id"], {"work_notes": words})
