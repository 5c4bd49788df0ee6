"""Answers once given, by credential and attempt: read before anything is decided, written with what was decided."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from countersign.policy.values import Call
from countersign.proof import canonical, digests
from enforcement.problems import Kind, Problem
from evidence.bulk import Inserter

_FIND = (
    "SELECT credential_id, attempt, action_digest, answer FROM enforcement_attempt WHERE (credential_id, attempt) IN "
)
_NAMES = "(SELECT * FROM unnest(%s::bigint[], %s::text[]))"
ATTEMPTS = Inserter(
    "enforcement_attempt",
    credential_id="bigint",
    attempt="text",
    action_digest="text",
    answer="bytea",
    made_at="timestamptz",
)

_LABEL = b"countersign/attempt/v1\n"
_ALLOWED = b'"decision":true}'  # how every answer that permits ends (`telling`)

Name = tuple[int, str]
"""Credential and what it called the attempt."""


def digest_of(call: Call) -> str:
    """What an attempt is compared by: the action and the usage it declares, which caps count and no approval binds."""
    if not call.usage:
        return call.action_digest
    return digests.sha256(_LABEL + call.action_digest.encode() + b"\n" + canonical.dumps(call.usage))


def permits(outcome: object) -> bool:
    """Whether what became of a call is an answer that permits it."""
    return isinstance(outcome, bytes) and outcome.endswith(_ALLOWED)


class Given(NamedTuple):
    """What was answered to which question (its `digest_of`), and when."""

    digest: str
    answer: bytes
    at: datetime | None = None

    def again(self, digest: str, *, allowed_now: bool) -> bytes:
        """The same answer, byte for byte, to the same call. Raises Problem (409) for another call, and for an allow
        that would be none now: a repeat must not outlive the policy, the agent or the tool it was given under.
        """
        if digest != self.digest:
            raise Problem(Kind.ATTEMPT_REUSED, "An attempt names one call; give another call an attempt of its own.")
        if not allowed_now and permits(self.answer):
            raise Problem(Kind.CONFLICT, "This attempt was allowed before, and the call is not any more; ask anew.")
        return self.answer


def find(cursor: CursorWrapper, names: Sequence[Name]) -> Mapping[Name, Given]:
    """Those of the attempts that have been answered."""
    if not names:
        return {}
    if cursor.db.vendor == "postgresql":
        cursor.execute(_FIND + _NAMES, [list(column) for column in zip(*names, strict=True)])
    else:
        values = ", ".join(["(%s, %s)"] * len(names))
        cursor.execute(f"{_FIND}(VALUES {values})", [part for name in names for part in name])
    return {(row[0], row[1]): Given(row[2], bytes(row[3])) for row in cursor.fetchall()}


def keep(cursor: CursorWrapper, given: Iterable[tuple[Name, Given]]) -> None:
    """Write answers, sorted by name as every writer does. Raises IntegrityError if one has been given meanwhile."""
    ATTEMPTS.insert(cursor, rows(given))


def rows(given: Iterable[tuple[Name, Given]]) -> list[tuple[Any, ...]]:
    """What `ATTEMPTS` takes."""
    return sorted((*name, *answer) for name, answer in given)
