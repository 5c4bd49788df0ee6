"""A hint in, the approval as the instance itself tells it believed: counted as a vote, or set back with a word of why.

Who answered is believed only where everything agrees: the approval is of a record we made, its approver is a person,
that very person changed it last, and that was the change the hint speaks of. An administrator who answers for others,
a delegate, a flow or a script is nobody's judgement. What the person read must be what we wrote.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_never

from approvals.models import Decision
from connectors import accounts, answers, once, telling
from connectors.answers import Counted, Refused, StepUpNeeded, Unlinked
from connectors.models import Delivery
from connectors.port import Account, Told, TransportError
from connectors.servicenow import approvers, card
from connectors.servicenow.inbound import KIND, LOOK
from connectors.servicenow.table import Row, Table
from connectors.servicenow.transport import APPROVALS, ServiceNow, is_same
from evidence import clock
from outbox import pump
from outbox.queue import handler
from registry.models import Tenant

_DECISIONS = {"approved": Decision.APPROVE, "rejected": Decision.DENY}
_FIELDS = ("sys_id", "state", "approver", "sysapproval", "sys_updated_by", "sys_mod_count")
_USER = ("sys_id", "user_name", "name", "active", "web_service_access_only", "internal_integration_user")
_MISREAD = "servicenow.misread"
_SOON = timedelta(seconds=2)
PATIENCE = timedelta(minutes=1)  # how long a record may be there before its ref is kept here

_SOMEBODY_ELSE = (
    "This does not count: it was not set by the approver, or was changed again since. Only the approver's own answer "
    "counts. Answer again, or here: {link}"
)
_EDITED = "This does not count: the text of the record was changed here. It is as it was again; or decide here: {link}"
_NOT_HERE = "Not everything could be shown here, so this does not count. Read it all and decide here: {link}"
_CONFIRM = "This counts once it is confirmed with a second factor, here: {link}"
_WAITS = "An approval given here waits to be confirmed with a second factor, here: {link}"
_LINK = "Countersign does not know this account. Link it here, signed in: {link}"


@handler(LOOK)
def look(payload: Mapping[str, Any]) -> None:
    """Read the approval again and act on that. Safe to repeat: an answer that counted is counted once."""
    tenant = Tenant.objects.get(pk=payload["tenant"])
    account = accounts.account(tenant, KIND)
    if account is None:
        return
    try:
        _look(account, payload, now=clock.now())
    except TransportError as error:
        if error.permanent:
            raise pump.Permanent(str(error)) from error
        if error.retry_after is not None:
            raise pump.Later(error.retry_after) from error
        raise


def _look(account: Account, hint: Mapping[str, Any], *, now: datetime) -> None:
    table = Table(account)
    approval = table.row(APPROVALS, hint["sys_id"], _FIELDS)
    if approval["state"] not in _DECISIONS or approval["sys_updated_by"] == table.user:
        return  # set back already, or our own hand
    delivery = _delivery(account, approval["sysapproval"])
    if delivery is None:
        if now - datetime.fromisoformat(hint["at"]) < PATIENCE:
            raise pump.Later(_SOON)
        return  # of a record that is none of ours
    told = telling.told(delivery.request, version=delivery.wanted)
    words = _heard(account, approval, hint, delivery, told, now=now)
    if words:
        ServiceNow(account).put_right(delivery.ref, told)
        _set_back(table, approval, words, tenant_id=account.tenant_id, request_id=told.request_id)


def _set_back(table: Table, approval: Row, words: str, *, tenant_id: int, request_id: str) -> None:
    """In one call and as the last: once it is our hand that changed the approval, it is not looked at again."""
    state = approvers.wanted(request_id, tenant_id=tenant_id).get(approval["approver"])
    table.change(APPROVALS, approval["sys_id"], {"comments": words, **({"state": state} if state else {})})


def _delivery(account: Account, record: str) -> Delivery | None:
    """Ours, by the ref that was kept when it was made: a correlation id could be copied by anybody there."""
    rows = Delivery.objects.filter(tenant_id=account.tenant_id, kind=KIND, remote_id=record)
    return rows.select_related("request__tenant").first() if record else None


def _heard(
    account: Account, approval: Row, hint: Mapping[str, Any], delivery: Delivery, told: Told, *, now: datetime
) -> str:
    """What to say below the approval; nothing where it counted."""
    table = Table(account)
    if doubt := _doubt(table, approval, hint, delivery, told, now=now):
        return doubt.format(link=told.link)
    answered = answers.answer(
        tenant_id=account.tenant_id, kind=KIND, identity=approval["approver"], request_id=told.request_id,
        decision=_DECISIONS[approval["state"]], reason="", seen=told.display_hash, now=now,
    )  # fmt: skip
    match answered:
        case Counted():
            return ""
        case Refused(words=words):
            return words
        case StepUpNeeded(link=link):
            table.change(delivery.ref["table"], delivery.ref["sys_id"], {"work_notes": _WAITS.format(link=link)})
            return _CONFIRM.format(link=link)
        case Unlinked(link=link):
            return _LINK.format(link=link)
        case _:
            assert_never(answered)


def _doubt(
    table: Table, approval: Row, hint: Mapping[str, Any], delivery: Delivery, told: Told, *, now: datetime
) -> str:
    """Why this answer is not heard at all; nothing where it is.

    That another text was read is kept first: the text is put right before the approval is set back, and where only the
    one arrives, whoever looks again would find nothing wrong.
    """
    if not _is_their_own(table.row("sys_user", approval["approver"], _USER), approval, hint):
        return _SOMEBODY_ELSE
    if told.outcome:
        return ""  # it is over: the answer says how
    record = table.row(delivery.ref["table"], delivery.ref["sys_id"], ("short_description", "description"))
    answer = f"{approval['sys_id']}:{approval['sys_mod_count']}"
    if not _is_as_written(record, told):
        once.first(_MISREAD, answer, now=now)
    if once.happened(_MISREAD, answer):
        return _EDITED
    return "" if card.is_answerable(told) or told.step_up != "none" else _NOT_HERE


def _is_their_own(user: Row, approval: Row, hint: Mapping[str, Any]) -> bool:
    """The approver is a person, theirs was the last change, and the answer that was called about was theirs too.

    A rule may see the count of changes as it was before or after its own: one apart is the same.
    """
    since = int(approval["sys_mod_count"] or -1) - int(hint["mod_count"])
    machine = "true" in {user.get("web_service_access_only"), user.get("internal_integration_user")}
    return (
        not machine
        and user.get("active") == "true"
        and user.get("user_name", "") == approval["sys_updated_by"] == hint["updated_by"] != ""
        and since in {0, 1}
    )


def _is_as_written(record: Row, told: Told) -> bool:
    wanted = card.fields(told)
    return all(is_same(record[name], wanted[name]) for name in ("short_description", "description"))
