"""ServiceNow as a Transport: a record a request, an approval a person, the story as work notes."""

import re
from collections.abc import Mapping

from connectors import plain
from connectors.port import ABOUT, Account, Name, Place, Ref, Reply, Told, TransportError, Waiting
from connectors.servicenow import approvers, card, elsewhere
from connectors.servicenow.table import Forbidden, Row, Table

APPROVALS = "sysapproval_approver"
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,79}")
_ID = re.compile(r"[A-Za-z0-9_:.-]{1,100}")
_MOST = 500
_SHOWN = ("short_description", "description", "approval", "work_notes")


class ServiceNow:
    """One tenant's instance."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._table = Table(account)
        self._for_words = f"countersign:{account.tenant}:messages"

    def post(self, place: Place, told: Told) -> Ref:
        """A record, its first notes, and an approval for everybody who is asked and known there."""
        notes = "\n".join(line for _, line in card.notes(told))
        given = {**card.fields(told), **card.naming(told), "work_notes": notes}
        ref = self._made(place, given)
        try:
            self.ask(ref, told)
        except TransportError as error:  # the record is there: this must not look like being turned away at the door
            raise TransportError(str(error), permanent=error.permanent) from None
        return ref

    def edit(self, place: Place, ref: Ref, told: Told) -> Ref:  # noqa: ARG002  the port's shape
        """Bring the record, its notes and its approvals to what is told. What stands there already is not sent."""
        self.put_right(ref, told)
        self.ask(ref, told)
        return {**ref, "id": ref["sys_id"]}

    def put_right(self, ref: Ref, told: Told) -> None:
        """The record and its notes alone."""
        stored, shown = self._table.shown(ref["table"], ref["sys_id"], _SHOWN)
        given = {name: value for name, value in card.fields(told).items() if not is_same(stored.get(name, ""), value)}
        missing = [line for _, line in card.notes(told) if line not in shown.get("work_notes", "")]
        if missing:
            given["work_notes"] = "\n".join(missing)
        if given:
            self._change(ref, given, card.ending(told) if "approval" in given else {})

    def find(self, place: Place, name: Name) -> Ref | None:
        """By the correlation id, which for a request is its name. A digest's ends what the record for words tells."""
        return self._found(place, name.id) or self._telling(place, name)

    def say(self, place: Place, words: str) -> None:
        """A work note: at the record that `about` names, else at the one record that is there for such words."""
        ref = place.config.get(ABOUT) or self._messages(place)
        self._table.change(ref["table"], ref["sys_id"], {"work_notes": card.harmless(words)})

    def digest(self, place: Place, ref: Ref | None, waiting: Waiting, *, name: Name) -> Ref:
        """The text of the record for words; a note where it begins, so that who watches the record hears of it."""
        there = ref or self._messages(place)
        given = {"description": card.digest(waiting, name)}
        if not ref:
            given["work_notes"] = plain.waits(waiting)
        self._table.change(there["table"], there["sys_id"], given)
        return there

    def reply(self, reply: Reply) -> None:
        """A work note at a record that somebody else made."""
        elsewhere.reply(self._table, reply)

    def check(self) -> str:
        """Reads a row of each table we write to."""
        for table in (card.CHANGES, APPROVALS):
            self._table.rows(table, "", ("sys_id",), limit=1)
        return f"ServiceNow answers {self._table.user}, who may read changes and approvals."

    def ask(self, ref: Ref, told: Told) -> None:
        """Bring the approvals to what the votes say: the missing made, those that say otherwise set right."""
        wanted = approvers.wanted(told.request_id, tenant_id=self._account.tenant_id)
        there = self._approvals(ref)
        for sys_id, state in wanted.items():
            if sys_id not in there:
                if state == "requested":
                    self._table.create(APPROVALS, _approval(ref, sys_id, told))
            elif there[sys_id][1] != state:
                self._table.change(APPROVALS, there[sys_id][0], {"state": state})

    # --- inside

    def _approvals(self, ref: Ref) -> Mapping[str, tuple[str, str]]:
        """Id and state of each approval of the record, by approver."""
        fields = ("sys_id", "approver", "state", "sysapproval")
        query = f"sysapproval={ref['sys_id']}^ORDERBYsys_created_on"
        rows = self._table.rows(APPROVALS, query, fields, limit=_MOST)
        return {row["approver"]: (row["sys_id"], row["state"]) for row in rows if row["sysapproval"] == ref["sys_id"]}

    def _change(self, ref: Ref, given: Mapping[str, str], ending: Mapping[str, str]) -> None:
        """With the state that it ends in, or without where the instance's own model of states refuses that."""
        if ref["table"] == card.CHANGES and ending:
            try:
                self._table.change(ref["table"], ref["sys_id"], {**given, **ending})
            except Forbidden:
                pass
            else:
                return
        self._table.change(ref["table"], ref["sys_id"], given)

    def _made(self, place: Place, given: Mapping[str, str]) -> Ref:
        made = self._table.create(_table(place), given)
        return _ref(place, made)

    def _messages(self, place: Place) -> Ref:
        """The one record there is for words that belong to no request."""
        return self._found(place, self._for_words) or self._made(place, _words(self._for_words))

    def _telling(self, place: Place, name: Name) -> Ref | None:
        """The record for words, if what it tells is that digest: text and first note are one change of the record."""
        row = self._row(place, self._for_words)
        return _ref(place, row) if row and card.is_digest(row["description"], name) else None

    def _found(self, place: Place, name: str) -> Ref | None:
        row = self._row(place, name)
        return _ref(place, row) if row else None

    def _row(self, place: Place, name: str) -> Row | None:
        """The oldest record of that correlation id. What comes back is compared: see `Table.rows`."""
        if not _ID.fullmatch(name):
            return None
        query, fields = f"correlation_id={name}^ORDERBYsys_created_on", ("sys_id", "number", "correlation_id")
        rows = self._table.rows(_table(place), query, (*fields, "description"), limit=1)
        return next((row for row in rows if row["correlation_id"] == name), None)


def open_(account: Account) -> ServiceNow:
    """The account's instance. Nothing is asked of it yet."""
    return ServiceNow(account)


def _table(place: Place) -> str:
    """The name of the table, which becomes a part of a path."""
    if not _TABLE.fullmatch(place.key):
        raise TransportError("The channel names no table of ServiceNow. Mend it in the registry.", permanent=True)
    return place.key


def _ref(place: Place, row: Mapping[str, str]) -> Ref:
    return {
        "table": place.key, "id": row["sys_id"], "sys_id": row["sys_id"], "number": row.get("number", "")
    }  # fmt: skip


def _approval(ref: Ref, approver: str, told: Told) -> Mapping[str, str]:
    due = f"{told.expires_at:%Y-%m-%d %H:%M:%S}"
    return {
        "sysapproval": ref["sys_id"], "source_table": ref["table"], "document_id": ref["sys_id"], "approver": approver,
        "state": "requested", "due_date": due,
    }  # fmt: skip


def _words(name: str) -> Mapping[str, str]:
    return {
        "short_description": "Messages of Countersign", "correlation_id": name, "correlation_display": card.OURS,
        "description": "Reminders, digests and tests are written below as work notes. Nothing is to be done here.",
    }  # fmt: skip


def is_same(stored: str, wanted: str) -> bool:
    """ServiceNow ends lines as it likes and trims."""
    return stored.replace("\r\n", "\n").strip() == wanted.strip()
