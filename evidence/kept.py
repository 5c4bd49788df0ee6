"""Action, arguments and salt of a commitment, encrypted beside the records; erasing the row erases them for good."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from countersign.proof import base64text, canonical
from evidence import keys
from evidence.bulk import Inserter
from evidence.models import KeptArguments

_KEPT = Inserter("evidence_keptarguments", log="text", commitment="text", sealed_box="bytea", kept_at="timestamptz")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a commitment commits to."""

    action: Mapping[str, Any]
    arguments: Mapping[str, Any]
    salt: bytes


def keep(
    log: str, *, commitment: str, action: Mapping[str, Any], arguments: Mapping[str, Any], salt: bytes, now: datetime
) -> None:
    """Keep one action in the caller's transaction. Keeping it again changes nothing."""
    keep_many([row(log, commitment=commitment, action=action, arguments=arguments, salt=salt, now=now)])


def row(
    log: str, *, commitment: str, action: Mapping[str, Any], arguments: Mapping[str, Any], salt: bytes, now: datetime
) -> KeptArguments:
    """The row of one action, sealed and not yet written."""
    plain = canonical.dumps({"action": action, "arguments": arguments, "salt": base64text.encode(salt)})
    box = keys.seal(plain, bound_to=_place(log, commitment))
    return KeptArguments(log=log, commitment=commitment, sealed_box=box, kept_at=now)


def keep_many(rows: Iterable[KeptArguments]) -> None:
    """Write rows of `row` with one INSERT; those that are there already stay as they are."""
    KeptArguments.objects.bulk_create(rows, ignore_conflicts=True)


def insert_many(cursor: CursorWrapper, rows: Sequence[KeptArguments]) -> None:
    """Write rows of commitments that are new: each salt is random, so none of them can be there already."""
    _KEPT.insert(cursor, [(row.log, row.commitment, row.sealed_box, row.kept_at) for row in rows])


def read(log: str, commitment: str) -> Kept | None:
    """What was kept, or None if it never was or is erased. Raises keys.CannotUnseal on a row changed by hand."""
    found = KeptArguments.objects.filter(log=log, commitment=commitment).first()
    if found is None:
        return None
    plain = canonical.loads_object(keys.unseal(bytes(found.sealed_box), bound_to=_place(log, commitment)))
    return Kept(plain["action"], plain["arguments"], base64text.decode(plain["salt"]))


def erase(log: str, commitment: str) -> bool:
    """Delete action, arguments and salt. Whether there was something to delete."""
    deleted, _ = KeptArguments.objects.filter(log=log, commitment=commitment).delete()
    return deleted > 0


def _place(log: str, commitment: str) -> str:
    """A box moved to another row does not open."""
    return f"kept/{log}/{commitment}"
