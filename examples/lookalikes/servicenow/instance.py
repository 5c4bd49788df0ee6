"""The tables of one instance and who may do what with them: a record's change in, the record as it then is out."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

Row = dict[str, str]

CHANGES, APPROVALS, USERS = "change_request", "sysapproval_approver", "sys_user"
REFERENCES = {"approver": USERS, "sysapproval": "task"}
JOURNALS = {CHANGES: ("work_notes", "comments"), APPROVALS: ("comments",), USERS: ()}
_TEXT = ("sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count")
FIELDS: Mapping[str, tuple[str, ...]] = {
    CHANGES: (
        *_TEXT, "number", "short_description", "description", "correlation_id", "correlation_display", "state",
        "approval", "close_code", "close_notes", "work_notes", "comments", "type", "risk",
    ),
    APPROVALS: (*_TEXT, "sysapproval", "source_table", "document_id", "approver", "state", "comments", "due_date"),
    USERS: (
        *_TEXT, "user_name", "name", "email", "active", "web_service_access_only", "internal_integration_user",
    ),
}  # fmt: skip
APPROVAL_STATES = {"not requested", "requested", "approved", "rejected", "cancelled", "not_required", "duplicate"}
CHANGE_STATES = {"-5", "-4", "-3", "-2", "-1", "0", "3", "4"}
_LONGEST = {"short_description": 160, "description": 4000, "correlation_id": 100}
_NEW, _CLOSED, _CANCELLED = "-5", "3", "4"


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.detail = status, message, detail


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry."""

    at: str
    by: str
    element: str
    text: str


@dataclass
class Person:
    """Somebody who signs in. Their row in sys_user has the same sys_id."""

    sys_id: str
    user_name: str
    password: str
    roles: frozenset[str]


@dataclass
class Instance:
    """One instance. `strict_states` is the change model of a fresh instance: a new change cannot simply be closed."""

    strict_states: bool = True
    people: dict[str, Person] = field(default_factory=dict)
    tables: dict[str, dict[str, Row]] = field(default_factory=lambda: {CHANGES: {}, APPROVALS: {}, USERS: {}})
    journal: dict[str, list[Entry]] = field(default_factory=dict)
    rules: list[Callable[[str, Row, Row, Person], None]] = field(default_factory=list)
    created: list[Callable[[str, Row], None]] = field(default_factory=list)

    def person(
        self, user_name: str, *roles: str, name: str = "", automation: bool = False, active: bool = True
    ) -> Person:
        """Somebody new, with a password of chance."""
        made = Person(secrets.token_hex(16), user_name, secrets.token_urlsafe(12), frozenset(roles))
        self.people[user_name] = made
        self.tables[USERS][made.sys_id] = self._stamped({}, by=user_name, sys_id=made.sys_id) | {
            "user_name": user_name, "name": name or user_name.title(), "active": str(active).lower(),
            "web_service_access_only": str(automation).lower(), "internal_integration_user": "false",
        }  # fmt: skip
        return made

    def row(self, table: str, sys_id: str) -> Row:
        found = self.tables[table].get(sys_id)
        if found is None:
            raise Refused(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
        return found

    def create(self, table: str, given: Mapping[str, str], *, by: Person) -> Row:
        self._check_may(by, table, given, creating=True)
        row = {"state": _NEW, "approval": "not requested"} if table == CHANGES else {"state": "requested"}
        row = self._stamped({**row, **self._plain(table, given)}, by=by.user_name, sys_id=secrets.token_hex(16))
        if table == CHANGES:
            row["number"] = f"CHG{len(self.tables[table]) + 30001:07}"
        self._check_values(table, row)
        self.tables[table][row["sys_id"]] = row
        self._note(table, row, given, by)
        for tell in self.created:
            tell(table, dict(row))
        return row

    def change(self, table: str, sys_id: str, given: Mapping[str, str], *, by: Person) -> Row:
        row = self.row(table, sys_id)
        self._check_may(by, table, row, creating=False)
        before, after = dict(row), {**row, **self._plain(table, given)}
        self._check_values(table, after)
        self._check_transition(table, before, after)
        notes = any(given.get(name) for name in JOURNALS[table])
        if after == before and not notes:
            return row  # nothing changed: the real one neither counts nor stamps it
        row.update(after, sys_updated_on=now(), sys_updated_by=by.user_name)
        row["sys_mod_count"] = str(int(row["sys_mod_count"]) + 1)
        self._note(table, row, given, by)
        for rule in self.rules:
            rule(table, before, dict(row), by)
        return row

    def notes(self, sys_id: str, element: str) -> list[str]:
        """The texts of one journal, oldest first."""
        return [entry.text for entry in self.journal.get(sys_id, []) if entry.element == element]

    def approvals_of(self, sys_id: str) -> dict[str, str]:
        """Who was asked about a record, by user name, and the state of it."""
        names = {row["sys_id"]: row["user_name"] for row in self.tables[USERS].values()}
        rows = (row for row in self.tables[APPROVALS].values() if row["sysapproval"] == sys_id)
        return {names.get(row["approver"], row["approver"]): row["state"] for row in rows}

    # --- inside

    @staticmethod
    def _stamped(row: Row, *, by: str, sys_id: str) -> Row:
        stamp = {"sys_id": sys_id, "sys_created_on": now(), "sys_created_by": by, "sys_mod_count": "0"}
        return {**row, **stamp, "sys_updated_on": now(), "sys_updated_by": by}

    @staticmethod
    def _plain(table: str, given: Mapping[str, str]) -> Row:
        """What a caller may set: unknown fields are ignored without a word, long texts are cut."""
        free = set(FIELDS[table]) - set(_TEXT) - set(JOURNALS[table])
        return {name: str(value)[: _LONGEST.get(name, 4000)] for name, value in given.items() if name in free}

    def _note(self, table: str, row: Row, given: Mapping[str, str], by: Person) -> None:
        for element in JOURNALS[table]:
            if given.get(element):
                entry = Entry(now(), by.user_name, element, str(given[element]))
                self.journal.setdefault(row["sys_id"], []).append(entry)

    @staticmethod
    def _check_may(by: Person, table: str, row: Mapping[str, str], *, creating: bool) -> None:
        own = table == APPROVALS and not creating and row.get("approver") == by.sys_id
        needed = {CHANGES: "itil", APPROVALS: "approval_admin", USERS: "user_admin"}[table]
        if not own and needed not in by.roles and "admin" not in by.roles:
            raise Refused(403, "Operation Failed", "ACL Exception Insert/Update Failed due to security constraints")

    @staticmethod
    def _check_values(table: str, row: Row) -> None:
        known = CHANGE_STATES if table == CHANGES else APPROVAL_STATES
        if table != USERS and row["state"] not in known:
            raise Refused(400, "Invalid value", f"state {row['state']} is no choice")

    def _check_transition(self, table: str, before: Row, after: Row) -> None:
        if table != CHANGES or before["state"] == after["state"]:
            return
        if after["state"] == _CLOSED and not (after.get("close_code") and after.get("close_notes")):
            raise Refused(403, "Operation Failed", "Data Policy Exception: Close code, Close notes are mandatory")
        if self.strict_states and after["state"] != _CANCELLED and (before["state"], after["state"]) != (_NEW, "-4"):
            raise Refused(403, "Operation Failed", "The change model does not allow this transition")


def now() -> str:
    """The instance's clock as its fields show it: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
