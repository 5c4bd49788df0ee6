"""What a commitment commits to, encrypted beside the records; erasing the row erases it for good.

Action, arguments and salt, and where people were asked the lines they were shown: those quote the arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from countersign.proof import base64text, canonical
from evidence import keys
from evidence.bulk import Inserter
from evidence.models import KeptArguments
from evidence.queries import Compiled

KEPT = Inserter("evidence_keptarguments", log="text", commitment="text", sealed_box="bytea", kept_at="timestamptz")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a commitment commits to, and the lines people were shown of it (none if nobody was asked)."""

    action: Mapping[str, Any]
    arguments: Mapping[str, Any]
    salt: bytes
    display: Sequence[Mapping[str, Any]] = ()


def keep(
    log: str,
    *,
    commitment: str,
    action: Mapping[str, Any],
    arguments: Mapping[str, Any],
    salt: bytes,
    now: datetime,
    display: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Keep one action in the caller's transaction. Keeping it again adds what is shown of it, else changes nothing."""
    one = row(log, commitment=commitment, action=action, arguments=arguments, salt=salt, now=now, display=display)
    if not display:
        return keep_many([one])
    KeptArguments.objects.bulk_create(
        [one], update_conflicts=True, unique_fields=["log", "commitment"], update_fields=["sealed_box"]
    )
    return None


def row(
    log: str,
    *,
    commitment: str,
    action: Mapping[str, Any],
    arguments: Mapping[str, Any],
    salt: bytes,
    now: datetime,
    display: Sequence[Mapping[str, Any]] = (),
) -> KeptArguments:
    """The row of one action, sealed and not yet written."""
    whole = {"action": action, "arguments": arguments, "salt": base64text.encode(salt), "display": list(display)}
    box = keys.seal(canonical.dumps(whole), bound_to=_place(log, commitment))
    return KeptArguments(log=log, commitment=commitment, sealed_box=box, kept_at=now)


def keep_many(rows: Iterable[KeptArguments]) -> None:
    """Write rows of `row` with one INSERT; those that are there already stay as they are."""
    KeptArguments.objects.bulk_create(rows, ignore_conflicts=True)


def insert_many(cursor: CursorWrapper, rows: Sequence[KeptArguments]) -> None:
    """Write rows of commitments that are new: each salt is random, so none of them can be there already."""
    KEPT.insert(cursor, columns(rows))


def columns(rows: Sequence[KeptArguments]) -> list[tuple[Any, ...]]:
    """What `KEPT` takes."""
    return [(row.log, row.commitment, row.sealed_box, row.kept_at) for row in rows]


def read(log: str, commitment: str) -> Kept | None:
    """What was kept, or None if it never was or is erased. Raises keys.CannotUnseal on a row changed by hand."""
    return read_many(log, [commitment]).get(commitment)


def read_many(log: str, commitments: Sequence[str]) -> Mapping[str, Kept]:
    """What was kept under each commitment that has something. Raises keys.CannotUnseal on a row changed by hand."""
    rows = _boxes(log, *commitments)
    return {commitment: _opened(bytes(box), _place(log, commitment)) for commitment, box in rows}


_boxes = Compiled(
    lambda log, *commitments: KeptArguments.objects.filter(log=log, commitment__in=commitments).values_list(
        "commitment", "sealed_box"
    )
)


def _opened(box: bytes, place: str) -> Kept:
    plain = canonical.loads_object(keys.unseal(box, bound_to=place))
    return Kept(plain["action"], plain["arguments"], base64text.decode(plain["salt"]), tuple(plain["display"]))


def erase(log: str, commitment: str) -> bool:
    """Delete action, arguments and salt. Whether there was something to delete."""
    deleted, _ = KeptArguments.objects.filter(log=log, commitment=commitment).delete()
    return deleted > 0


def _place(log: str, commitment: str) -> str:
    """A box moved to another row does not open."""
    return f"kept/{log}/{commitment}"
