"""An evaluation's id in, the call that was allowed under it as its record tells it out. Blocking."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.proof.events import Event
from enforcement.memory import World
from enforcement.problems import Kind, Problem
from evidence import ledger
from evidence.models import Record

Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Allowed:
    """One allowed call, as the record of its decision tells it. `key_id` is the credential that asked.

    `is_reserved`: an approval was used for it, and its execution came into custody with the allow.
    """

    key_id: str
    commitment: str
    session: str
    transaction: str
    thread: str
    request_id: str
    is_reserved: bool
    action: Mapping[str, Any]
    charges: tuple[Mapping[str, str], ...]


def decided(evaluation_id: str, world: World) -> Statement:
    """The record of the decision. Raises Problem (404) for what this tenant never decided."""
    statement = ledger.find(world.tenant, evaluation_id)
    if statement is None or statement["predicate"]["event"] != Event.DECISION_MADE:
        raise Problem(Kind.NOT_FOUND, "No such evaluation.")
    return statement


def of_record(statement: Statement) -> Allowed:
    """Raises Problem (409) for what was no allow: nothing ran under it."""
    predicate = statement["predicate"]
    if not predicate["decision"]["permitted"]:
        raise Problem(Kind.CONFLICT, "This call was not allowed, so there is nothing to report.")
    thread: str = predicate["thread"]["id"]
    row = Record.objects.only("session", "transaction").get(log=predicate["log"], event_id=predicate["event_id"])
    request_id: str = predicate.get("request", {}).get("id", "")
    return Allowed(
        key_id=predicate["actor"]["id"],
        commitment="sha256:" + statement["subject"][0]["digest"]["sha256"],
        session=row.session,
        transaction=row.transaction,
        thread=thread,
        request_id=request_id,
        is_reserved=bool(request_id) and "waiver" not in predicate,
        action=predicate["action"],
        charges=tuple(predicate.get("budget", {}).get("charges", ())),
    )
